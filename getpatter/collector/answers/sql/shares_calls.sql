-- Ended calls by a field's value, probability of being kept and group; then the runs and installs.
WITH chosen AS (
  SELECT
    kept, grp, n,
    CASE $field
      WHEN 'outcome' THEN outcome WHEN 'error_code' THEN error_code
      WHEN 'error_layer' THEN error_layer WHEN 'disconnect_reason' THEN disconnect_reason
      WHEN 'turn_count_bucket' THEN turn_count_bucket
      WHEN 'engine' THEN engine WHEN 'direction' THEN direction
    END AS value,
    CASE $by
      WHEN 'release' THEN sdk_version WHEN 'os' THEN os WHEN 'carrier' THEN carrier
      WHEN 'engine' THEN engine WHEN 'provider' THEN provider WHEN 'direction' THEN direction
    END AS part
  FROM calls_parts
  WHERE ($since IS NULL OR day >= CAST($since AS DATE))
    AND ($until IS NULL OR day <= CAST($until AS DATE))
    AND ($release IS NULL OR sdk_version = $release)
    AND ($os IS NULL OR os = $os)
    AND ($carrier IS NULL OR carrier = $carrier)
    AND ($engine IS NULL OR engine = $engine)
    AND ($provider IS NULL OR provider = $provider)
    AND ($direction IS NULL OR direction = $direction)
)
SELECT part, value, kept, grp, sum(n) AS n
FROM chosen
WHERE value IS NOT NULL
GROUP BY part, value, kept, grp
