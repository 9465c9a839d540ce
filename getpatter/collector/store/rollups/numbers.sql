-- Numbers of events, by field: a weighted histogram of whole milliseconds, seconds, tools and
-- hundredths of a cent. Not of calls of runs at rate 0, as in calls.sql.
SELECT
  day, sdk_version, os, carrier, engine, provider, direction, field, kept, grp, value,
  count(*) AS n
FROM (
  SELECT *, 'latency_ms' AS field, latency_ms AS value FROM fresh
  WHERE latency_ms IS NOT NULL
  UNION ALL
  SELECT *, 'stt_latency_ms' AS field, stt_latency_ms AS value FROM fresh
  WHERE stt_latency_ms IS NOT NULL
  UNION ALL
  SELECT *, 'llm_ttft_ms' AS field, llm_ttft_ms AS value FROM fresh
  WHERE llm_ttft_ms IS NOT NULL
  UNION ALL
  SELECT *, 'tts_first_byte_ms' AS field, tts_first_byte_ms AS value FROM fresh
  WHERE tts_first_byte_ms IS NOT NULL
  UNION ALL
  SELECT *, 'eou_latency_ms' AS field, eou_latency_ms AS value FROM fresh
  WHERE eou_latency_ms IS NOT NULL
  UNION ALL
  SELECT *, 'duration_seconds' AS field, duration_seconds AS value FROM fresh
  WHERE duration_seconds IS NOT NULL
  UNION ALL
  SELECT *, 'builtin_tool_count' AS field, builtin_tool_count AS value FROM fresh
  WHERE builtin_tool_count IS NOT NULL
  UNION ALL
  SELECT *, 'cost_usd' AS field, CAST(round(cost_usd * 10000) AS INTEGER) AS value FROM fresh
  WHERE cost_usd IS NOT NULL
) AS stated
WHERE event <> 'call_completed' OR rate IS NULL OR rate > 0
GROUP BY ALL
