-- Runs by rate, with what is odd about them; installs (of one short-lived run, most runs, most
-- calls, calls); what clients lost; what was refused.
WITH chosen AS (
  SELECT
    draw, starts, call_starts, call_ends, sampled, sdk_version, legacy, install_id, grp,
    first_runs, container, serverless,
    CASE WHEN NOT legacy AND rate_low <> rate_high THEN 1 ELSE 0 END AS is_mixed,
    CASE WHEN legacy OR rate_low <> rate_high THEN NULL ELSE rate_low END AS rate
  FROM runs
  WHERE ($since IS NULL OR day >= CAST($since AS DATE))
    AND ($until IS NULL OR day <= CAST($until AS DATE))
    AND ($release IS NULL OR sdk_version = $release)
    AND ($os IS NULL OR os = $os)
    AND ($carrier IS NULL OR carrier = $carrier)
), flags AS (
  SELECT
    install_id, grp, rate, is_mixed, call_starts + call_ends AS calls,
    CASE WHEN legacy THEN 1 ELSE 0 END AS is_legacy,
    CASE WHEN rate >= 1 OR CAST(draw AS DOUBLE) / 4294967295 < rate THEN 1 ELSE 0 END AS is_drawn,
    CASE WHEN rate < 1 AND sampled > 0 AND CAST(draw AS DOUBLE) / 4294967295 >= rate
      THEN 1 ELSE 0 END AS is_forged,
    CASE WHEN starts = 0 AND call_starts + call_ends > 0 THEN 1 ELSE 0 END AS has_no_start,
    CASE WHEN sdk_version = '0' THEN 1 ELSE 0 END AS is_unknown,
    CASE WHEN container OR serverless <> 'none' THEN 1 ELSE 0 END AS is_short_lived
  FROM chosen
), by_install AS (
  SELECT
    install_id, grp, count(*) AS runs, sum(calls) AS calls,
    min(is_short_lived) AS is_short_lived
  FROM flags
  GROUP BY install_id, grp
)
SELECT
  'runs' AS fact, CAST(NULL AS VARCHAR) AS detail, CAST(NULL AS VARCHAR) AS rule, rate, grp,
  count(*) AS n, sum(is_drawn) AS drawn, sum(is_forged) AS forged, sum(is_legacy) AS legacy,
  sum(is_mixed) AS mixed, sum(has_no_start) AS no_start, sum(is_unknown) AS unknown
FROM flags
GROUP BY rate, grp
UNION ALL
SELECT
  'installs' AS fact, NULL, NULL, NULL, grp, count(*),
  sum(CASE WHEN runs = 1 AND is_short_lived = 1 THEN 1 ELSE 0 END), max(runs), max(calls), sum(calls), 0, 0
FROM by_install
GROUP BY grp
UNION ALL
SELECT 'lost' AS fact, event, reason, NULL, NULL, sum(n), 0, 0, 0, 0, 0, 0
FROM losses
WHERE ($since IS NULL OR day >= CAST($since AS DATE))
  AND ($until IS NULL OR day <= CAST($until AS DATE))
  AND ($release IS NULL OR sdk_version = $release)
GROUP BY event, reason
UNION ALL
SELECT 'refused' AS fact, pointer, rule, NULL, NULL, sum(n), 0, 0, 0, 0, 0, 0
FROM refusals
WHERE ($since IS NULL OR day >= CAST($since AS DATE))
  AND ($until IS NULL OR day <= CAST($until AS DATE))
  AND ($release IS NULL OR sdk_version = $release)
GROUP BY pointer, rule
