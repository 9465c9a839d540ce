-- Slow calls by stage and model, of runs whose configuration named one model for the stage; then the
-- installs and runs.
WITH stated AS (
  SELECT run_id, 'stt' AS stage, stt_model AS model FROM setups_parts
  UNION ALL
  SELECT run_id, 'llm' AS stage, llm_model AS model FROM setups_parts
  UNION ALL
  SELECT run_id, 'tts' AS stage, tts_model AS model FROM setups_parts
), models AS (
  SELECT run_id, stage, min(model) AS model
  FROM stated
  WHERE model IS NOT NULL
  GROUP BY run_id, stage
  HAVING min(model) = max(model)
), chosen AS (
  SELECT
    run_id, install_id, grp, kept, stt_latency_ms, llm_ttft_ms, tts_first_byte_ms,
    slow_stt_latency_ms, slow_llm_ttft_ms, slow_tts_first_byte_ms
  FROM callers_parts
  WHERE ($since IS NULL OR day >= CAST($since AS DATE))
    AND ($until IS NULL OR day <= CAST($until AS DATE))
    AND ($release IS NULL OR sdk_version = $release)
    AND ($os IS NULL OR os = $os)
    AND ($carrier IS NULL OR carrier = $carrier)
    AND ($engine IS NULL OR engine = $engine)
    AND ($provider IS NULL OR provider = $provider)
    AND ($direction IS NULL OR direction = $direction)
), joined AS (
  SELECT
    chosen.run_id, install_id, grp, kept, stage, model,
    CASE stage WHEN 'stt' THEN stt_latency_ms WHEN 'llm' THEN llm_ttft_ms
      ELSE tts_first_byte_ms END AS n,
    CASE stage WHEN 'stt' THEN slow_stt_latency_ms WHEN 'llm' THEN slow_llm_ttft_ms
      ELSE slow_tts_first_byte_ms END AS slow
  FROM chosen
  JOIN models ON models.run_id = chosen.run_id
)
SELECT
  'calls' AS unit, stage, model, kept, grp, sum(n) AS n, sum(slow) AS slow, 0 AS runs, 0 AS installs
FROM joined
WHERE n > 0
GROUP BY stage, model, kept, grp
UNION ALL
SELECT
  'base' AS unit, stage, model, CAST(NULL AS DOUBLE) AS kept, CAST(NULL AS INTEGER) AS grp, 0 AS n,
  0 AS slow, count(DISTINCT run_id) AS runs, count(DISTINCT install_id) AS installs
FROM joined
WHERE n > 0
GROUP BY stage, model
