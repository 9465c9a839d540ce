-- Installs that began a run in the week, each once: by the release, system and runtime of its last
-- run, and by the worst that it met in the week. Without throw-away installs: those that until then
-- had one run only, in a container or on a serverless platform.
WITH lasting AS (
  SELECT install_id
  FROM runs
  WHERE day <= CAST($until AS DATE)
  GROUP BY install_id
  HAVING count(*) > 1
    OR min(CASE WHEN container OR serverless <> 'none' THEN 1 ELSE 0 END) = 0
), begun AS (
  SELECT
    install_id, sdk_version, os, arch, runtime, runtime_version, starts,
    blocked_carrier_credentials, blocked_llm_key, blocked_engine_config, blocked_other,
    row_number() OVER (PARTITION BY install_id ORDER BY first_seen DESC, run_id) AS place
  FROM runs
  WHERE day >= CAST($since AS DATE) AND day <= CAST($until AS DATE)
    AND install_id IN (SELECT install_id FROM lasting)
), met AS (
  SELECT
    install_id, sum(starts) AS starts, sum(blocked_carrier_credentials) AS carrier_credentials,
    sum(blocked_llm_key) AS llm_key, sum(blocked_engine_config) AS engine_config,
    sum(blocked_other) AS other
  FROM begun
  GROUP BY install_id
), layers AS (
  SELECT install_id, coalesce(error_layer, 'other') AS layer, sum(n) AS n
  FROM faults_parts
  WHERE missing IS NULL AND day >= CAST($since AS DATE) AND day <= CAST($until AS DATE)
  GROUP BY install_id, coalesce(error_layer, 'other')
), failed AS (
  SELECT
    install_id, layer,
    row_number() OVER (PARTITION BY install_id ORDER BY n DESC, layer) AS place
  FROM layers
), outcomes AS (
  SELECT
    met.install_id,
    CASE
      WHEN failed.layer IS NOT NULL THEN concat('failed: ', failed.layer)
      WHEN met.starts > 0 THEN 'started'
      WHEN met.carrier_credentials > 0 THEN 'blocked: carrier_credentials'
      WHEN met.llm_key > 0 THEN 'blocked: llm_key'
      WHEN met.engine_config > 0 THEN 'blocked: engine_config'
      WHEN met.other > 0 THEN 'blocked: other'
      ELSE 'no start'
    END AS outcome
  FROM met
  LEFT JOIN failed ON failed.install_id = met.install_id AND failed.place = 1
)
SELECT
  coalesce(begun.sdk_version, '0') AS sdk_version, outcomes.outcome,
  concat(begun.os, ' ', begun.arch) AS system,
  concat(begun.runtime, ' ', begun.runtime_version) AS runtime, count(*) AS installs
FROM begun
JOIN outcomes ON outcomes.install_id = begun.install_id
WHERE begun.place = 1
GROUP BY
  coalesce(begun.sdk_version, '0'), outcomes.outcome, concat(begun.os, ' ', begun.arch),
  concat(begun.runtime, ' ', begun.runtime_version)
