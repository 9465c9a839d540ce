-- Failed calls and blocked starts by install: never sampled, so installs affected are exact.
SELECT
  day, run_id, install_id, grp, sdk_version, os, carrier, engine, provider, direction, error_layer,
  error_code, missing, count(*) AS n
FROM fresh
WHERE event = 'config_incomplete'
  OR outcome IN ('error', 'failed')
  OR error_code IS NOT NULL
GROUP BY ALL
