-- Installs that were seen from their first run on and never sampled, by their age at their first call.
WITH by_install AS (
  SELECT
    install_id, grp, min(day) AS first_day, count(*) AS runs, min(first_call) AS first_call,
    sum(call_starts + call_ends) AS calls, sum(first_runs) AS first_runs,
    min(CASE WHEN rate_low >= 1 AND NOT legacy THEN 1 ELSE 0 END) AS is_whole
  FROM runs
  WHERE ($os IS NULL OR os = $os)
    AND ($carrier IS NULL OR carrier = $carrier)
  GROUP BY install_id, grp
)
SELECT
  grp, count(*) AS installs, sum(runs) AS runs,
  sum(CASE WHEN first_call = 0 THEN 1 ELSE 0 END) AS within_hour,
  sum(CASE WHEN first_call = 1 THEN 1 ELSE 0 END) AS within_day,
  sum(CASE WHEN first_call = 2 THEN 1 ELSE 0 END) AS within_week,
  sum(CASE WHEN first_call = 3 THEN 1 ELSE 0 END) AS later,
  sum(CASE WHEN first_call IS NULL AND calls > 0 THEN 1 ELSE 0 END) AS unknown,
  sum(CASE WHEN calls = 0 THEN 1 ELSE 0 END) AS never
FROM by_install
WHERE is_whole = 1
  AND first_runs > 0
  AND ($since IS NULL OR first_day >= CAST($since AS DATE))
  AND ($until IS NULL OR first_day <= CAST($until AS DATE))
GROUP BY grp
