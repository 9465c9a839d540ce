-- How many are at or below each of four values, by probability of being kept and group. $parts and
-- $first to $fourth are lists of the same length; part '' is no part.
WITH wanted AS (
  SELECT
    unnest($parts) AS part, unnest($first) AS first, unnest($second) AS second,
    unnest($third) AS third, unnest($fourth) AS fourth
), chosen AS (
  SELECT
    kept, grp, n,
    CASE $field
      WHEN 'latency_ms' THEN latency_ms WHEN 'stt_latency_ms' THEN stt_latency_ms
      WHEN 'llm_ttft_ms' THEN llm_ttft_ms WHEN 'tts_first_byte_ms' THEN tts_first_byte_ms
      WHEN 'eou_latency_ms' THEN eou_latency_ms WHEN 'duration_seconds' THEN duration_seconds
      WHEN 'cost_usd' THEN cost
    END AS value,
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
  wanted.part, kept, grp, sum(n) AS n,
  sum(CASE WHEN value <= first THEN n ELSE 0 END) AS below_1,
  sum(CASE WHEN value <= second THEN n ELSE 0 END) AS below_2,
  sum(CASE WHEN value <= third THEN n ELSE 0 END) AS below_3,
  sum(CASE WHEN value <= fourth THEN n ELSE 0 END) AS below_4
FROM chosen
JOIN wanted ON wanted.part = coalesce(chosen.part, '')
WHERE value IS NOT NULL
GROUP BY wanted.part, kept, grp
