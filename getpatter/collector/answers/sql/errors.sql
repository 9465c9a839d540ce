-- Ended calls by what failed, if anything, probability of being kept and group.
SELECT
  CASE WHEN outcome IN ('error', 'failed') OR error_code IS NOT NULL THEN 1 ELSE 0 END AS is_failed,
  error_layer, error_code, kept, grp, sum(n) AS n
FROM calls_parts
WHERE ($since IS NULL OR day >= CAST($since AS DATE))
  AND ($until IS NULL OR day <= CAST($until AS DATE))
  AND ($release IS NULL OR sdk_version = $release)
  AND ($os IS NULL OR os = $os)
  AND ($carrier IS NULL OR carrier = $carrier)
  AND ($engine IS NULL OR engine = $engine)
  AND ($provider IS NULL OR provider = $provider)
  AND ($direction IS NULL OR direction = $direction)
GROUP BY
  CASE WHEN outcome IN ('error', 'failed') OR error_code IS NOT NULL THEN 1 ELSE 0 END,
  error_layer, error_code, kept, grp
