-- Runs and installs by day and release. A run belongs to the day it began.
SELECT
  CAST(day AS VARCHAR) AS day, sdk_version AS release, count(*) AS runs,
  count(DISTINCT install_id) AS installs
FROM runs
WHERE ($since IS NULL OR day >= CAST($since AS DATE))
  AND ($until IS NULL OR day <= CAST($until AS DATE))
  AND ($release IS NULL OR sdk_version = $release)
  AND ($os IS NULL OR os = $os)
  AND ($carrier IS NULL OR carrier = $carrier)
GROUP BY day, sdk_version
