-- The calls of two releases, over the installs that were seen on both.
WITH both_releases AS (
  SELECT install_id FROM callers_parts
  WHERE sdk_version IN ($release, $against) AND ends > 0
  AND ($since IS NULL OR day >= CAST($since AS DATE))
  AND ($until IS NULL OR day <= CAST($until AS DATE))
  AND ($os IS NULL OR os = $os)
  AND ($carrier IS NULL OR carrier = $carrier)
  AND ($engine IS NULL OR engine = $engine)
  AND ($provider IS NULL OR provider = $provider)
  AND ($direction IS NULL OR direction = $direction)
  GROUP BY install_id
  HAVING count(DISTINCT sdk_version) = 2
)
SELECT
  sdk_version AS part, kept, grp, sum(ends) AS ends, sum(faults) AS faults,
  sum(latency_ms) AS latency_ms, sum(slow_latency_ms) AS slow_latency_ms,
  (SELECT count(*) FROM both_releases) AS installs, count(DISTINCT run_id) AS runs
FROM callers_parts
WHERE sdk_version IN ($release, $against)
  AND install_id IN (SELECT install_id FROM both_releases)
  AND ($since IS NULL OR day >= CAST($since AS DATE))
  AND ($until IS NULL OR day <= CAST($until AS DATE))
  AND ($os IS NULL OR os = $os)
  AND ($carrier IS NULL OR carrier = $carrier)
  AND ($engine IS NULL OR engine = $engine)
  AND ($provider IS NULL OR provider = $provider)
  AND ($direction IS NULL OR direction = $direction)
GROUP BY sdk_version, kept, grp
