-- Begun and ended calls by run: how many failed, and how many stages were slower than a bound.
-- Not of runs at rate 0, as in calls.sql. The bounds of the stages add up to more than that of the
-- answer: stages overlap.
SELECT
  day, run_id, install_id, grp, sdk_version, os, carrier, engine, provider, direction, kept,
  count(*) AS n,
  count(*) FILTER (WHERE event = 'call_started') AS starts,
  count(*) FILTER (WHERE event = 'call_completed') AS ends,
  count(*) FILTER (
    WHERE event = 'call_completed' AND (outcome IN ('error', 'failed') OR error_code IS NOT NULL)
  ) AS faults,
  count(latency_ms) AS latency_ms,
  count(stt_latency_ms) AS stt_latency_ms,
  count(llm_ttft_ms) AS llm_ttft_ms,
  count(tts_first_byte_ms) AS tts_first_byte_ms,
  count(eou_latency_ms) AS eou_latency_ms,
  count(*) FILTER (WHERE latency_ms > 800) AS slow_latency_ms,
  count(*) FILTER (WHERE stt_latency_ms > 300) AS slow_stt_latency_ms,
  count(*) FILTER (WHERE llm_ttft_ms > 500) AS slow_llm_ttft_ms,
  count(*) FILTER (WHERE tts_first_byte_ms > 300) AS slow_tts_first_byte_ms,
  count(*) FILTER (WHERE eou_latency_ms > 500) AS slow_eou_latency_ms,
  count(duration_seconds) AS duration_seconds,
  count(cost_usd) AS cost_usd
FROM fresh
WHERE event IN ('call_started', 'call_completed') AND (rate IS NULL OR rate > 0)
GROUP BY ALL
