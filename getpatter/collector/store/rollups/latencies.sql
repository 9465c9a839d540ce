-- Ended calls by stage and whole milliseconds: a weighted histogram.
SELECT
  day, sdk_version, os, carrier, engine, provider, direction, stage, kept, grp, ms, count(*) AS n
FROM (
  SELECT *, 'answer' AS stage, latency_ms AS ms FROM fresh WHERE latency_ms IS NOT NULL
  UNION ALL
  SELECT *, 'stt' AS stage, stt_latency_ms AS ms FROM fresh WHERE stt_latency_ms IS NOT NULL
  UNION ALL
  SELECT *, 'llm' AS stage, llm_ttft_ms AS ms FROM fresh WHERE llm_ttft_ms IS NOT NULL
  UNION ALL
  SELECT *, 'tts' AS stage, tts_first_byte_ms AS ms FROM fresh WHERE tts_first_byte_ms IS NOT NULL
  UNION ALL
  SELECT *, 'eou' AS stage, eou_latency_ms AS ms FROM fresh WHERE eou_latency_ms IS NOT NULL
) AS stages
GROUP BY ALL
