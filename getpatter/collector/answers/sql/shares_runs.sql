-- Installs by a field's value and group. Without a value: all that stated one.
WITH chosen AS (
  SELECT
    install_id, grp,
    CASE $field
      WHEN 'sdk' THEN sdk WHEN 'sdk_version' THEN sdk_version WHEN 'os' THEN os
      WHEN 'arch' THEN arch WHEN 'runtime' THEN runtime
      WHEN 'runtime_version' THEN runtime_version WHEN 'ci' THEN CAST(ci AS VARCHAR)
      WHEN 'carrier' THEN carrier WHEN 'tunnel' THEN tunnel
      WHEN 'invoked_by_agent' THEN invoked_by_agent
      WHEN 'container' THEN CAST(container AS VARCHAR) WHEN 'serverless' THEN serverless
      WHEN 'cloud' THEN cloud WHEN 'package_manager' THEN package_manager
      WHEN 'days_since_install_bucket' THEN days_since_install_bucket
      WHEN 'previous_sdk_version' THEN previous_sdk_version
    END AS value
  FROM runs
  WHERE ($since IS NULL OR day >= CAST($since AS DATE))
    AND ($until IS NULL OR day <= CAST($until AS DATE))
    AND ($release IS NULL OR sdk_version = $release)
    AND ($os IS NULL OR os = $os)
    AND ($carrier IS NULL OR carrier = $carrier)
), by_install AS (
  SELECT value, grp, install_id, count(*) AS runs
  FROM chosen
  WHERE value IS NOT NULL
  GROUP BY value, grp, install_id
), any_value AS (
  SELECT grp, install_id, sum(runs) AS runs FROM by_install GROUP BY grp, install_id
)
SELECT value, grp, count(*) AS installs, sum(runs) AS runs, sum(runs) AS events
FROM by_install
GROUP BY value, grp
UNION ALL
SELECT
  CAST(NULL AS VARCHAR) AS value, grp, count(*) AS installs, sum(runs) AS runs,
  sum(runs) AS events
FROM any_value
GROUP BY grp
