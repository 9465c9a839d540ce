-- How many calls are at or below the median and the p95 of each stage, by probability of being kept
-- and group. All parameters that begin with median or p95, and $parts, are lists of the same length;
-- part '' is no part.
WITH wanted AS (
  SELECT
    unnest($parts) AS part,
    unnest($median_latency_ms) AS median_latency_ms, unnest($p95_latency_ms) AS p95_latency_ms,
    unnest($median_stt_latency_ms) AS median_stt_latency_ms, unnest($p95_stt_latency_ms) AS p95_stt_latency_ms,
    unnest($median_llm_ttft_ms) AS median_llm_ttft_ms, unnest($p95_llm_ttft_ms) AS p95_llm_ttft_ms,
    unnest($median_tts_first_byte_ms) AS median_tts_first_byte_ms, unnest($p95_tts_first_byte_ms) AS p95_tts_first_byte_ms,
    unnest($median_eou_latency_ms) AS median_eou_latency_ms, unnest($p95_eou_latency_ms) AS p95_eou_latency_ms
), chosen AS (
  SELECT
    kept, grp, n, latency_ms, stt_latency_ms, llm_ttft_ms,
    tts_first_byte_ms, eou_latency_ms,
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
)
SELECT
  wanted.part, kept, grp,
  sum(CASE WHEN latency_ms IS NULL THEN 0 ELSE n END) AS latency_ms,
  sum(CASE WHEN latency_ms <= median_latency_ms THEN n ELSE 0 END) AS median_latency_ms,
  sum(CASE WHEN latency_ms <= p95_latency_ms THEN n ELSE 0 END) AS p95_latency_ms,
  sum(CASE WHEN stt_latency_ms IS NULL THEN 0 ELSE n END) AS stt_latency_ms,
  sum(CASE WHEN stt_latency_ms <= median_stt_latency_ms THEN n ELSE 0 END) AS median_stt_latency_ms,
  sum(CASE WHEN stt_latency_ms <= p95_stt_latency_ms THEN n ELSE 0 END) AS p95_stt_latency_ms,
  sum(CASE WHEN llm_ttft_ms IS NULL THEN 0 ELSE n END) AS llm_ttft_ms,
  sum(CASE WHEN llm_ttft_ms <= median_llm_ttft_ms THEN n ELSE 0 END) AS median_llm_ttft_ms,
  sum(CASE WHEN llm_ttft_ms <= p95_llm_ttft_ms THEN n ELSE 0 END) AS p95_llm_ttft_ms,
  sum(CASE WHEN tts_first_byte_ms IS NULL THEN 0 ELSE n END) AS tts_first_byte_ms,
  sum(CASE WHEN tts_first_byte_ms <= median_tts_first_byte_ms THEN n ELSE 0 END) AS median_tts_first_byte_ms,
  sum(CASE WHEN tts_first_byte_ms <= p95_tts_first_byte_ms THEN n ELSE 0 END) AS p95_tts_first_byte_ms,
  sum(CASE WHEN eou_latency_ms IS NULL THEN 0 ELSE n END) AS eou_latency_ms,
  sum(CASE WHEN eou_latency_ms <= median_eou_latency_ms THEN n ELSE 0 END) AS median_eou_latency_ms,
  sum(CASE WHEN eou_latency_ms <= p95_eou_latency_ms THEN n ELSE 0 END) AS p95_eou_latency_ms
FROM chosen
JOIN wanted ON wanted.part = coalesce(chosen.part, '')
GROUP BY wanted.part, kept, grp
