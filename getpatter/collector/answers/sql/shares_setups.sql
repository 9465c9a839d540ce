-- Installs by a configured value and group. Without a value: all that stated one.
WITH chosen AS (
  SELECT
    run_id, install_id, grp, n,
    CASE $field
      WHEN 'builtin_tool_count' THEN CAST(builtin_tool_count AS VARCHAR)
      WHEN 'custom_tool_count_bucket' THEN custom_tool_count_bucket
      WHEN 'integration' THEN integration WHEN 'integration_kind' THEN integration_kind
      WHEN 'mcp_server_count_bucket' THEN mcp_server_count_bucket
      WHEN 'noise_reduction' THEN noise_reduction WHEN 'turn_detection' THEN turn_detection
      WHEN 'preambles_used' THEN CAST(preambles_used AS VARCHAR)
      WHEN 'per_tool_timeouts_set' THEN CAST(per_tool_timeouts_set AS VARCHAR)
      WHEN 'llm_fallback_configured' THEN CAST(llm_fallback_configured AS VARCHAR)
      WHEN 'provider' THEN provider WHEN 'stt_provider' THEN stt_provider
      WHEN 'tts_provider' THEN tts_provider WHEN 'llm_provider' THEN llm_provider
      WHEN 'stt_model' THEN stt_model WHEN 'tts_model' THEN tts_model
      WHEN 'llm_model' THEN llm_model WHEN 'cli_command' THEN cli_command
      WHEN 'stack' THEN CASE WHEN event = 'feature_used' THEN
        coalesce(stt_provider, '-') || ' ' || coalesce(llm_provider, '-') || ' '
        || coalesce(tts_provider, '-') END
    END AS value
  FROM setups_parts
  WHERE ($since IS NULL OR day >= CAST($since AS DATE))
    AND ($until IS NULL OR day <= CAST($until AS DATE))
    AND ($release IS NULL OR sdk_version = $release)
    AND ($os IS NULL OR os = $os)
    AND ($carrier IS NULL OR carrier = $carrier)
    AND ($engine IS NULL OR engine = $engine)
    AND ($provider IS NULL OR provider = $provider)
)
SELECT
  value, grp, count(DISTINCT install_id) AS installs, count(DISTINCT run_id) AS runs,
  sum(n) AS events
FROM chosen
WHERE value IS NOT NULL
GROUP BY value, grp
UNION ALL
SELECT
  CAST(NULL AS VARCHAR) AS value, grp, count(DISTINCT install_id) AS installs,
  count(DISTINCT run_id) AS runs, sum(n) AS events
FROM chosen
WHERE value IS NOT NULL
GROUP BY grp
