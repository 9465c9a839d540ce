-- How many are at or below a value, by probability of being kept and group. $fields, $parts and
-- $bounds are lists of the same length; part '' is no part.
WITH wanted AS (
  SELECT unnest($fields) AS field, unnest($parts) AS part, unnest($bounds) AS bound
), chosen AS (
  SELECT
    field, kept, grp, value, n,
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
  chosen.field, wanted.part, wanted.bound, kept, grp,
  sum(CASE WHEN value <= bound THEN n ELSE 0 END) AS below, sum(n) AS n
FROM chosen
JOIN wanted ON wanted.field = chosen.field AND wanted.part = coalesce(chosen.part, '')
GROUP BY chosen.field, wanted.part, wanted.bound, kept, grp
