-- Installs by what was missing, and what they did from their first such block on.
WITH chosen AS (
  SELECT
    install_id, grp, day, first_seen, first_block, last_start, blocked_carrier_credentials,
    blocked_llm_key, blocked_engine_config, blocked_other
  FROM runs
  WHERE ($release IS NULL OR sdk_version = $release)
    AND ($os IS NULL OR os = $os)
), blocked AS (
  SELECT install_id, grp, day, first_block, 'carrier_credentials' AS missing
  FROM chosen WHERE blocked_carrier_credentials > 0
  UNION ALL
  SELECT install_id, grp, day, first_block, 'llm_key' AS missing
  FROM chosen WHERE blocked_llm_key > 0
  UNION ALL
  SELECT install_id, grp, day, first_block, 'engine_config' AS missing
  FROM chosen WHERE blocked_engine_config > 0
  UNION ALL
  SELECT install_id, grp, day, first_block, 'other' AS missing
  FROM chosen WHERE blocked_other > 0
), first_blocks AS (
  SELECT install_id, grp, missing, CAST(min(first_block) AS BIGINT) AS blocked_at
  FROM blocked
  GROUP BY install_id, grp, missing
  HAVING ($since IS NULL OR min(day) >= CAST($since AS DATE))
    AND ($until IS NULL OR min(day) <= CAST($until AS DATE))
), later AS (
  SELECT
    first_blocks.missing, first_blocks.grp, first_blocks.install_id,
    min(CASE WHEN runs_of.last_start >= blocked_at
      THEN CAST(runs_of.last_start AS BIGINT) - blocked_at END) AS waited,
    max(CASE WHEN runs_of.first_seen > blocked_at OR runs_of.last_start >= blocked_at
      THEN 1 ELSE 0 END) AS is_back,
    count(*) AS runs
  FROM first_blocks
  JOIN chosen AS runs_of ON runs_of.install_id = first_blocks.install_id
  GROUP BY first_blocks.missing, first_blocks.grp, first_blocks.install_id
)
SELECT
  missing, grp, count(*) AS installs, sum(runs) AS runs,
  sum(CASE WHEN waited < 3600 THEN 1 ELSE 0 END) AS within_hour,
  sum(CASE WHEN waited >= 3600 AND waited < 86400 THEN 1 ELSE 0 END) AS within_day,
  sum(CASE WHEN waited >= 86400 AND waited < 604800 THEN 1 ELSE 0 END) AS within_week,
  sum(CASE WHEN waited >= 604800 THEN 1 ELSE 0 END) AS later,
  sum(CASE WHEN waited IS NULL AND is_back = 1 THEN 1 ELSE 0 END) AS never_started,
  sum(CASE WHEN is_back = 0 THEN 1 ELSE 0 END) AS never_came_back
FROM later
GROUP BY missing, grp
