-- Installs by the week of their first run: how many ran again 7 and 28 days later, or after that.
WITH by_install AS (
  SELECT install_id, grp, min(day) AS first_day, max(last_day) AS last_day, count(*) AS runs
  FROM runs
  WHERE ($os IS NULL OR os = $os)
    AND ($carrier IS NULL OR carrier = $carrier)
  GROUP BY install_id, grp
)
SELECT
  CAST(date_trunc('week', first_day) AS DATE) AS week, grp, count(*) AS installs,
  sum(runs) AS runs,
  sum(CASE WHEN last_day - first_day >= 7 THEN 1 ELSE 0 END) AS after_week,
  sum(CASE WHEN last_day - first_day >= 28 THEN 1 ELSE 0 END) AS after_month
FROM by_install
WHERE ($since IS NULL OR first_day >= CAST($since AS DATE))
  AND ($until IS NULL OR first_day <= CAST($until AS DATE))
GROUP BY CAST(date_trunc('week', first_day) AS DATE), grp
