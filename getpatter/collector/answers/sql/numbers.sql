-- A histogram of a number; without $field, of the latencies of all stages.
WITH chosen AS (
  SELECT
    field, kept, value, n,
    CASE $by
      WHEN 'release' THEN sdk_version WHEN 'os' THEN os WHEN 'carrier' THEN carrier
      WHEN 'engine' THEN engine WHEN 'provider' THEN provider WHEN 'direction' THEN direction
    END AS part
  FROM numbers_parts
  WHERE ($since IS NULL OR day >= CAST($since AS DATE))
    AND ($until IS NULL OR day <= CAST($until AS DATE))
    AND ($release IS NULL OR sdk_version = $release)
    AND ($os IS NULL OR os = $os)
    AND ($carrier IS NULL OR carrier = $carrier)
    AND ($engine IS NULL OR engine = $engine)
    AND ($provider IS NULL OR provider = $provider)
    AND ($direction IS NULL OR direction = $direction)
    AND (field = $field OR ($field IS NULL AND field IN (
      'latency_ms', 'stt_latency_ms', 'llm_ttft_ms', 'tts_first_byte_ms', 'eou_latency_ms')))
)
SELECT field, part, kept, value, sum(n) AS n
FROM chosen
GROUP BY field, part, kept, value
