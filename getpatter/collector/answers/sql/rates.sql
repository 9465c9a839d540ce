-- Ended calls, failed ones and slow ones by probability of being kept and group; then the runs and
-- the installs that have them.
WITH chosen AS (
  SELECT
    run_id, install_id, grp, kept, ends, faults, latency_ms, stt_latency_ms, llm_ttft_ms,
    tts_first_byte_ms, eou_latency_ms, slow_latency_ms, slow_stt_latency_ms, slow_llm_ttft_ms,
    slow_tts_first_byte_ms, slow_eou_latency_ms,
    CASE $by
      WHEN 'release' THEN sdk_version WHEN 'os' THEN os WHEN 'carrier' THEN carrier
      WHEN 'engine' THEN engine WHEN 'provider' THEN provider WHEN 'direction' THEN direction
      WHEN 'day' THEN CAST(day AS VARCHAR)
    END AS part
  FROM callers_parts
  WHERE ($since IS NULL OR day >= CAST($since AS DATE))
    AND ($until IS NULL OR day <= CAST($until AS DATE))
    AND ($release IS NULL OR sdk_version = $release)
    AND ($os IS NULL OR os = $os)
    AND ($carrier IS NULL OR carrier = $carrier)
    AND ($engine IS NULL OR engine = $engine)
    AND ($provider IS NULL OR provider = $provider)
    AND ($direction IS NULL OR direction = $direction)
), by_run AS (
  SELECT
    part, run_id, max(install_id) AS install_id, max(ends) AS ends, max(latency_ms) AS latency_ms,
    max(stt_latency_ms) AS stt_latency_ms, max(llm_ttft_ms) AS llm_ttft_ms,
    max(tts_first_byte_ms) AS tts_first_byte_ms, max(eou_latency_ms) AS eou_latency_ms
  FROM chosen
  GROUP BY part, run_id
), by_install AS (
  SELECT
    part, install_id, max(ends) AS ends, max(latency_ms) AS latency_ms,
    max(stt_latency_ms) AS stt_latency_ms, max(llm_ttft_ms) AS llm_ttft_ms,
    max(tts_first_byte_ms) AS tts_first_byte_ms, max(eou_latency_ms) AS eou_latency_ms
  FROM by_run
  GROUP BY part, install_id
)
SELECT
  'calls' AS unit, part, kept, grp, sum(ends) AS ends, sum(faults) AS faults,
  sum(latency_ms) AS latency_ms, sum(stt_latency_ms) AS stt_latency_ms,
  sum(llm_ttft_ms) AS llm_ttft_ms, sum(tts_first_byte_ms) AS tts_first_byte_ms,
  sum(eou_latency_ms) AS eou_latency_ms, sum(slow_latency_ms) AS slow_latency_ms,
  sum(slow_stt_latency_ms) AS slow_stt_latency_ms, sum(slow_llm_ttft_ms) AS slow_llm_ttft_ms,
  sum(slow_tts_first_byte_ms) AS slow_tts_first_byte_ms,
  sum(slow_eou_latency_ms) AS slow_eou_latency_ms
FROM chosen
GROUP BY part, kept, grp
UNION ALL
SELECT
  'runs' AS unit, part, CAST(NULL AS DOUBLE) AS kept, CAST(NULL AS INTEGER) AS grp,
  sum(CASE WHEN ends > 0 THEN 1 ELSE 0 END) AS ends, 0 AS faults,
  sum(CASE WHEN latency_ms > 0 THEN 1 ELSE 0 END) AS latency_ms,
  sum(CASE WHEN stt_latency_ms > 0 THEN 1 ELSE 0 END) AS stt_latency_ms,
  sum(CASE WHEN llm_ttft_ms > 0 THEN 1 ELSE 0 END) AS llm_ttft_ms,
  sum(CASE WHEN tts_first_byte_ms > 0 THEN 1 ELSE 0 END) AS tts_first_byte_ms,
  sum(CASE WHEN eou_latency_ms > 0 THEN 1 ELSE 0 END) AS eou_latency_ms,
  0 AS slow_latency_ms, 0 AS slow_stt_latency_ms, 0 AS slow_llm_ttft_ms,
  0 AS slow_tts_first_byte_ms, 0 AS slow_eou_latency_ms
FROM by_run
GROUP BY part
UNION ALL
SELECT
  'installs' AS unit, part, CAST(NULL AS DOUBLE) AS kept, CAST(NULL AS INTEGER) AS grp,
  sum(CASE WHEN ends > 0 THEN 1 ELSE 0 END) AS ends, 0 AS faults,
  sum(CASE WHEN latency_ms > 0 THEN 1 ELSE 0 END) AS latency_ms,
  sum(CASE WHEN stt_latency_ms > 0 THEN 1 ELSE 0 END) AS stt_latency_ms,
  sum(CASE WHEN llm_ttft_ms > 0 THEN 1 ELSE 0 END) AS llm_ttft_ms,
  sum(CASE WHEN tts_first_byte_ms > 0 THEN 1 ELSE 0 END) AS tts_first_byte_ms,
  sum(CASE WHEN eou_latency_ms > 0 THEN 1 ELSE 0 END) AS eou_latency_ms,
  0 AS slow_latency_ms, 0 AS slow_stt_latency_ms, 0 AS slow_llm_ttft_ms,
  0 AS slow_tts_first_byte_ms, 0 AS slow_eou_latency_ms
FROM by_install
GROUP BY part
