-- Installs, runs and starts.
WITH chosen AS (
  SELECT
    install_id, starts, first_runs,
    CASE $by
      WHEN 'release' THEN sdk_version WHEN 'os' THEN os WHEN 'carrier' THEN carrier
    END AS part
  FROM runs
  WHERE ($since IS NULL OR day >= CAST($since AS DATE))
    AND ($until IS NULL OR day <= CAST($until AS DATE))
    AND ($release IS NULL OR sdk_version = $release)
    AND ($os IS NULL OR os = $os)
    AND ($carrier IS NULL OR carrier = $carrier)
)
SELECT
  part, count(*) AS runs, count(DISTINCT install_id) AS installs, sum(starts) AS starts,
  sum(first_runs) AS first_runs
FROM chosen
GROUP BY part
