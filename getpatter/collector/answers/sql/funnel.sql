-- Runs by how far they came, by rate and group; then installs with such a run.
-- A null rate: legacy or mixed, so nobody knows whether the run was drawn.
WITH chosen AS (
  SELECT
    install_id, grp, draw, starts, call_starts, completed, error, no_answer, busy, failed,
    blocked_carrier_credentials, blocked_llm_key, blocked_engine_config, blocked_other,
    CASE WHEN legacy OR rate_low <> rate_high THEN NULL ELSE rate_low END AS rate,
    CASE $by
      WHEN 'release' THEN sdk_version WHEN 'os' THEN os WHEN 'carrier' THEN carrier
      WHEN 'package_manager' THEN package_manager WHEN 'agent' THEN invoked_by_agent
      WHEN 'container' THEN CAST(container AS VARCHAR)
    END AS part
  FROM runs
  WHERE ($since IS NULL OR day >= CAST($since AS DATE))
    AND ($until IS NULL OR day <= CAST($until AS DATE))
    AND ($release IS NULL OR sdk_version = $release)
    AND ($os IS NULL OR os = $os)
    AND ($carrier IS NULL OR carrier = $carrier)
), flags AS (
  SELECT
    part, rate, grp, install_id,
    CASE WHEN blocked_carrier_credentials + blocked_llm_key + blocked_engine_config
      + blocked_other > 0 THEN 1 ELSE 0 END AS blocked,
    CASE WHEN blocked_carrier_credentials > 0 THEN 1 ELSE 0 END AS carrier_credentials,
    CASE WHEN blocked_llm_key > 0 THEN 1 ELSE 0 END AS llm_key,
    CASE WHEN blocked_engine_config > 0 THEN 1 ELSE 0 END AS engine_config,
    CASE WHEN blocked_other > 0 THEN 1 ELSE 0 END AS other,
    CASE WHEN starts > 0 THEN 1 ELSE 0 END AS started,
    CASE WHEN starts > 0 AND (rate >= 1 OR CAST(draw AS DOUBLE) / 4294967295 < rate)
      THEN 1 ELSE 0 END AS drawn,
    CASE WHEN call_starts > 0 THEN 1 ELSE 0 END AS has_begun,
    CASE WHEN no_answer + busy + failed > 0 THEN 1 ELSE 0 END AS has_missed,
    CASE WHEN completed > 0 THEN 1 ELSE 0 END AS has_completed,
    CASE WHEN error > 0 THEN 1 ELSE 0 END AS has_failed,
    CASE WHEN call_starts > completed + error THEN 1 ELSE 0 END AS has_open
  FROM chosen
  WHERE starts > 0
    OR blocked_carrier_credentials + blocked_llm_key + blocked_engine_config + blocked_other > 0
), by_install AS (
  SELECT
    part, install_id, max(blocked) AS blocked, max(carrier_credentials) AS carrier_credentials,
    max(llm_key) AS llm_key, max(engine_config) AS engine_config, max(other) AS other,
    max(started) AS started, max(drawn) AS drawn, max(drawn * has_begun) AS began,
    max(drawn * has_missed) AS missed, max(drawn * has_begun * has_completed) AS completed,
    max(drawn * has_begun * has_failed) AS failed, max(drawn * has_begun * has_open) AS never_ended
  FROM flags
  GROUP BY part, install_id
)
SELECT
  'runs' AS unit, part, rate, grp, count(*) AS everything, sum(blocked) AS blocked,
  sum(carrier_credentials) AS carrier_credentials, sum(llm_key) AS llm_key,
  sum(engine_config) AS engine_config, sum(other) AS other, sum(started) AS started,
  sum(drawn) AS drawn, sum(drawn * has_begun) AS began, sum(drawn * has_missed) AS missed,
  sum(drawn * has_begun * has_completed) AS completed,
  sum(drawn * has_begun * has_failed) AS failed,
  sum(drawn * has_begun * has_open) AS never_ended
FROM flags
GROUP BY part, rate, grp
UNION ALL
SELECT
  'installs' AS unit, part, CAST(NULL AS DOUBLE) AS rate, CAST(NULL AS INTEGER) AS grp,
  count(*) AS everything, sum(blocked) AS blocked,
  sum(carrier_credentials) AS carrier_credentials, sum(llm_key) AS llm_key,
  sum(engine_config) AS engine_config, sum(other) AS other, sum(started) AS started,
  sum(drawn) AS drawn, sum(began) AS began, sum(missed) AS missed, sum(completed) AS completed,
  sum(failed) AS failed, sum(never_ended) AS never_ended
FROM by_install
GROUP BY part
