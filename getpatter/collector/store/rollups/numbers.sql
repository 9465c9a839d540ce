-- Numbers of ended calls: weighted histograms of whole milliseconds, seconds, and hundredths of a
-- cent. Not of runs at rate 0, as in calls.sql.
SELECT
  day, sdk_version, os, carrier, engine, provider, direction, kept, grp, latency_ms,
  stt_latency_ms, llm_ttft_ms, tts_first_byte_ms, eou_latency_ms, duration_seconds,
  CAST(round(cost_usd * 10000) AS INTEGER) AS cost, count(*) AS n
FROM fresh
WHERE event = 'call_completed'
  AND (rate IS NULL OR rate > 0)
  AND coalesce(
    latency_ms, stt_latency_ms, llm_ttft_ms, tts_first_byte_ms, eou_latency_ms,
    duration_seconds, cost_usd
  ) IS NOT NULL
GROUP BY ALL
