-- The runs and installs of which an ended call states a number.
WITH stated AS (
  SELECT
    run_id, install_id, day, sdk_version, os, carrier, engine, provider, direction,
    CASE $field
      WHEN 'duration_seconds' THEN duration_seconds WHEN 'cost_usd' THEN cost_usd
      WHEN 'latency_ms' THEN latency_ms WHEN 'stt_latency_ms' THEN stt_latency_ms
      WHEN 'llm_ttft_ms' THEN llm_ttft_ms WHEN 'tts_first_byte_ms' THEN tts_first_byte_ms
      WHEN 'eou_latency_ms' THEN eou_latency_ms
    END AS n
  FROM callers_parts
), chosen AS (
  SELECT
    run_id, install_id,
    CASE $by
      WHEN 'release' THEN sdk_version WHEN 'os' THEN os WHEN 'carrier' THEN carrier
      WHEN 'engine' THEN engine WHEN 'provider' THEN provider WHEN 'direction' THEN direction
    END AS part
  FROM stated
  WHERE ($since IS NULL OR day >= CAST($since AS DATE))
    AND ($until IS NULL OR day <= CAST($until AS DATE))
    AND ($release IS NULL OR sdk_version = $release)
    AND ($os IS NULL OR os = $os)
    AND ($carrier IS NULL OR carrier = $carrier)
    AND ($engine IS NULL OR engine = $engine)
    AND ($provider IS NULL OR provider = $provider)
    AND ($direction IS NULL OR direction = $direction)
    AND n > 0
)
SELECT part, count(DISTINCT run_id) AS runs, count(DISTINCT install_id) AS installs
FROM chosen
GROUP BY part
