-- Calls: those that are never sampled, those of drawn runs by rate with their squares, those of runs
-- without a frame by the probability of being kept; then the frame: runs by rate, and the drawn ones.
WITH frame AS (
  SELECT
    run_id, draw,
    CASE WHEN legacy OR rate_low <> rate_high THEN NULL ELSE rate_low END AS rate
  FROM runs
  WHERE ($until IS NULL OR day <= CAST($until AS DATE))
    AND ($release IS NULL OR sdk_version = $release)
    AND ($os IS NULL OR os = $os)
), drawn AS (
  SELECT run_id, rate, CASE WHEN rate >= 1 OR CAST(draw AS DOUBLE) / 4294967295 < rate THEN 1 ELSE 0 END AS is_drawn
  FROM frame
), chosen AS (
  SELECT
    run_id, kept, starts, ends,
    CASE $by
      WHEN 'release' THEN sdk_version WHEN 'os' THEN os WHEN 'carrier' THEN carrier
      WHEN 'engine' THEN engine WHEN 'provider' THEN provider WHEN 'direction' THEN direction
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
    chosen.part, chosen.run_id, drawn.rate,
    max(drawn.is_drawn) AS is_drawn, CASE WHEN drawn.rate IS NULL THEN kept END AS loose,
    sum(CASE WHEN kept < 1 THEN 0 ELSE starts END) AS exact_starts,
    sum(CASE WHEN kept < 1 THEN 0 ELSE ends END) AS exact_ends,
    sum(CASE WHEN kept < 1 THEN starts ELSE 0 END) AS starts,
    sum(CASE WHEN kept < 1 THEN ends ELSE 0 END) AS ends
  FROM chosen
  JOIN drawn ON drawn.run_id = chosen.run_id
  GROUP BY chosen.part, chosen.run_id, drawn.rate, CASE WHEN drawn.rate IS NULL THEN kept END
)
SELECT
  'calls' AS unit, part, rate, loose, 0 AS runs, 0 AS drawn,
  sum(exact_starts) AS exact_starts, sum(exact_ends) AS exact_ends,
  sum(CASE WHEN is_drawn = 1 OR rate IS NULL THEN starts ELSE 0 END) AS starts,
  sum(CASE WHEN is_drawn = 1 OR rate IS NULL THEN starts * starts ELSE 0 END) AS starts_squared,
  sum(CASE WHEN is_drawn = 1 OR rate IS NULL THEN ends ELSE 0 END) AS ends,
  sum(CASE WHEN is_drawn = 1 OR rate IS NULL THEN ends * ends ELSE 0 END) AS ends_squared
FROM by_run
GROUP BY part, rate, loose
UNION ALL
SELECT
  'frame' AS unit, CAST(NULL AS VARCHAR) AS part, rate, CAST(NULL AS DOUBLE) AS loose,
  count(*) AS runs, sum(is_drawn) AS drawn, 0 AS exact_starts, 0 AS exact_ends,
  0 AS starts, 0 AS starts_squared, 0 AS ends, 0 AS ends_squared
FROM drawn
WHERE rate < 1
GROUP BY rate
