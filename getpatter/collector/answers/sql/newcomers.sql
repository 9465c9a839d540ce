-- Installs that were new in a release, and how many of them were blocked at their first run. New: it
-- said so at its first start, or never started. Whether it has a carrier is known once it started.
WITH by_run AS (
  SELECT
    install_id, grp, run_id, day, sdk_version, carrier, starts, first_runs,
    CASE WHEN blocked_carrier_credentials + blocked_llm_key + blocked_engine_config
      + blocked_other > 0 THEN 1 ELSE 0 END AS blocked,
    row_number() OVER (PARTITION BY install_id ORDER BY first_seen, run_id) AS place
  FROM runs
  WHERE (starts > 0 OR blocked_carrier_credentials + blocked_llm_key + blocked_engine_config
    + blocked_other > 0)
    AND ($os IS NULL OR os = $os)
), by_install AS (
  SELECT
    install_id, grp, count(*) AS runs, sum(starts) AS starts, sum(first_runs) AS first_runs,
    max(carrier) AS carrier, max(CASE WHEN place = 1 THEN sdk_version END) AS sdk_version,
    max(CASE WHEN place = 1 THEN day END) AS day, max(CASE WHEN place = 1 THEN blocked END) AS blocked
  FROM by_run
  GROUP BY install_id, grp
)
SELECT grp, count(*) AS installs, sum(runs) AS runs, sum(blocked) AS blocked
FROM by_install
WHERE (first_runs > 0 OR starts = 0)
  AND sdk_version = $release
  AND ($carrier IS NULL OR carrier = $carrier)
  AND ($since IS NULL OR day >= CAST($since AS DATE))
  AND ($until IS NULL OR day <= CAST($until AS DATE))
GROUP BY grp
