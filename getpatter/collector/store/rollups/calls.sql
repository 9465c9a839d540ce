-- Ended calls by cell, probability of being kept, and group of installs. Not those of runs at rate 0:
-- only their failed calls are sent, and would make a share of nothing else.
SELECT
  day, sdk_version, os, carrier, engine, provider, direction, outcome, error_code, error_layer,
  disconnect_reason, turn_count_bucket, kept, grp, count(*) AS n
FROM fresh
WHERE event = 'call_completed' AND (rate IS NULL OR rate > 0)
GROUP BY ALL
