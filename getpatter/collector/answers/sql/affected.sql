-- Failed calls and blocked starts by what was wrong: events, runs and installs.
SELECT
  CASE WHEN missing IS NULL THEN 'call' ELSE 'start' END AS failed, missing, error_layer, error_code,
  carrier, provider, sdk_version AS release, sum(n) AS events, count(DISTINCT run_id) AS runs,
  count(DISTINCT install_id) AS installs
FROM faults_parts
WHERE ($since IS NULL OR day >= CAST($since AS DATE))
  AND ($until IS NULL OR day <= CAST($until AS DATE))
  AND ($release IS NULL OR sdk_version = $release)
  AND ($os IS NULL OR os = $os)
  AND ($carrier IS NULL OR carrier = $carrier)
  AND ($engine IS NULL OR engine = $engine)
  AND ($provider IS NULL OR provider = $provider)
  AND ($direction IS NULL OR direction = $direction)
GROUP BY missing, error_layer, error_code, carrier, provider, sdk_version
