-- What people configure and run: never sampled, so shares of installs are exact.
SELECT
  day, run_id, install_id, grp, sdk_version, os, event, builtin_tool_count,
  custom_tool_count_bucket, integration, integration_kind, mcp_server_count_bucket,
  noise_reduction, turn_detection, preambles_used, per_tool_timeouts_set,
  llm_fallback_configured, engine, provider, carrier, stt_provider, tts_provider, llm_provider,
  stt_model, tts_model, llm_model, cli_command, count(*) AS n
FROM fresh
WHERE event IN ('agent_configured', 'feature_used', 'cli_command')
GROUP BY ALL
