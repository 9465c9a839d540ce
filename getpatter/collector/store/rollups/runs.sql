-- One row a run: what it is, whether it was drawn, and how far it came. `first_call` is the install age
-- at its first call, as a number in the order of the buckets.
SELECT
  run_id, max(install_id) AS install_id, max(grp) AS grp, max(draw) AS draw,
  min(day) AS day, max(day) AS last_day, bool_or(legacy) AS legacy,
  min(rate) AS rate_low, max(rate) AS rate_high,
  max(sdk) AS sdk, max(sdk_version) AS sdk_version, max(os) AS os, max(arch) AS arch,
  max(runtime) AS runtime, max(runtime_version) AS runtime_version, bool_or(ci) AS ci,
  max(CASE WHEN event = 'sdk_initialized' THEN carrier END) AS carrier,
  max(tunnel) AS tunnel, max(invoked_by_agent) AS invoked_by_agent,
  bool_or(container) AS container, max(serverless) AS serverless, max(cloud) AS cloud,
  max(package_manager) AS package_manager,
  max(days_since_install_bucket) AS days_since_install_bucket,
  max(previous_sdk_version) AS previous_sdk_version,
  min(received - age) AS first_seen,
  min(CASE WHEN event = 'config_incomplete' THEN received - age END) AS first_block,
  max(CASE WHEN event = 'sdk_initialized' THEN received - age END) AS last_start,
  min(CASE time_to_first_call_bucket
    WHEN 'lt_1h' THEN 0 WHEN '1h_1d' THEN 1 WHEN '1d_7d' THEN 2 WHEN 'gt_7d' THEN 3
  END) AS first_call,
  count(*) FILTER (WHERE event = 'first_run') AS first_runs,
  count(*) FILTER (WHERE event = 'sdk_initialized') AS starts,
  count(*) FILTER (WHERE missing = 'carrier_credentials') AS blocked_carrier_credentials,
  count(*) FILTER (WHERE missing = 'llm_key') AS blocked_llm_key,
  count(*) FILTER (WHERE missing = 'engine_config') AS blocked_engine_config,
  count(*) FILTER (
    WHERE event = 'config_incomplete'
      AND (missing IS NULL OR missing NOT IN ('carrier_credentials', 'llm_key', 'engine_config'))
  ) AS blocked_other,
  count(*) FILTER (WHERE event = 'call_started') AS call_starts,
  count(*) FILTER (WHERE event = 'call_completed') AS call_ends,
  count(*) FILTER (WHERE kept < 1) AS sampled,
  count(*) FILTER (WHERE outcome = 'completed') AS completed,
  count(*) FILTER (WHERE outcome = 'no_answer') AS no_answer,
  count(*) FILTER (WHERE outcome = 'busy') AS busy,
  count(*) FILTER (WHERE outcome = 'error') AS error,
  count(*) FILTER (WHERE outcome = 'failed') AS failed,
  count(*) FILTER (WHERE error_layer = 'stt') AS layer_stt,
  count(*) FILTER (WHERE error_layer = 'llm') AS layer_llm,
  count(*) FILTER (WHERE error_layer = 'tts') AS layer_tts,
  count(*) FILTER (WHERE error_layer = 'carrier') AS layer_carrier,
  count(*) FILTER (WHERE error_layer = 'config') AS layer_config,
  count(*) FILTER (WHERE error_layer = 'internal') AS layer_internal,
  count(*) FILTER (WHERE error_layer = 'other') AS layer_other
FROM fresh
GROUP BY run_id
