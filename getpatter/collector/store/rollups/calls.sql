-- Ended calls by cell, probability of being kept, and group of installs.
SELECT
  day, sdk_version, os, carrier, engine, provider, direction, outcome, error_code, error_layer,
  disconnect_reason, turn_count_bucket, time_to_first_call_bucket, kept, grp, count(*) AS n
FROM fresh
WHERE event = 'call_completed'
GROUP BY ALL
