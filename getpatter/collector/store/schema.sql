-- The tables of a store, version 1. Raw events and roll-ups; no index, since one on random keys
-- becomes slower with each key. Schema `keys` has a table for each hour (keys.sql).

CREATE SCHEMA IF NOT EXISTS keys;

CREATE TABLE meta (name VARCHAR, value VARCHAR);

-- Raw events of the open weeks. Those of closed months are Parquet files; the view `events` shows both.
CREATE TABLE hot_events (
  commit_no BIGINT,        -- number of the group commit: later ones are larger
  received BIGINT,         -- seconds since the epoch, by the collector's clock
  day DATE,                -- received minus age
  age INTEGER,             -- of the batch, in seconds
  rate DOUBLE,             -- Patter-Sample-Rate of the batch; null: not said
  legacy BOOLEAN,          -- the batch had no Idempotency-Key
  grp UTINYINT,            -- group of the install, 0 to 63
  draw UINTEGER,           -- of the run: drawn if draw / 0xFFFFFFFF < rate
  event VARCHAR,
  schema_version UTINYINT,
  run_id UUID,
  install_id UUID,
  sdk VARCHAR,
  sdk_version VARCHAR,
  os VARCHAR,
  arch VARCHAR,
  runtime VARCHAR,
  runtime_version VARCHAR,
  ci BOOLEAN,
  builtin_tool_count INTEGER,
  custom_tool_count_bucket VARCHAR,
  integration VARCHAR,
  integration_kind VARCHAR,
  mcp_server_count_bucket VARCHAR,
  noise_reduction VARCHAR,
  turn_detection VARCHAR,
  preambles_used BOOLEAN,
  per_tool_timeouts_set BOOLEAN,
  llm_fallback_configured BOOLEAN,
  engine VARCHAR,
  provider VARCHAR,
  carrier VARCHAR,
  direction VARCHAR,
  outcome VARCHAR,
  error_code VARCHAR,
  latency_ms INTEGER,
  duration_seconds INTEGER,
  cost_usd DOUBLE,
  turn_count_bucket VARCHAR,
  cli_command VARCHAR,
  stt_provider VARCHAR,
  tts_provider VARCHAR,
  llm_provider VARCHAR,
  stt_model VARCHAR,
  tts_model VARCHAR,
  llm_model VARCHAR,
  tunnel VARCHAR,
  invoked_by_agent VARCHAR,
  container BOOLEAN,
  serverless VARCHAR,
  cloud VARCHAR,
  package_manager VARCHAR,
  days_since_install_bucket VARCHAR,
  previous_sdk_version VARCHAR,
  call_uid UUID,
  time_to_first_call_bucket VARCHAR,
  sample_rate DOUBLE,
  error_layer VARCHAR,
  disconnect_reason VARCHAR,
  stt_latency_ms INTEGER,
  llm_ttft_ms INTEGER,
  tts_first_byte_ms INTEGER,
  eou_latency_ms INTEGER,
  missing VARCHAR
);

-- What clients say they lost. They are evidence: bounds on figures, never corrections.
CREATE TABLE losses (day DATE, sdk_version VARCHAR, event VARCHAR, reason VARCHAR, n BIGINT);

-- What was refused, counted; nothing of its content. Null: not known, or not ours to keep.
CREATE TABLE refusals (
  day DATE, status USMALLINT, schema_version UTINYINT, event VARCHAR, pointer VARCHAR,
  rule VARCHAR, sdk_version VARCHAR, n BIGINT
);

-- Erasures: `digest` of the install ID refuses what arrives for it later. The id itself is not kept.
CREATE TABLE receipts (receipt VARCHAR, digest VARCHAR, asked BIGINT, erased BIGINT);

-- Parquet files of closed months: only what stands here is part of the store.
CREATE TABLE months (month DATE, file VARCHAR, n BIGINT);

-- Roll-ups: a fold appends parts, the view of the same name sums them up (rollups/*.sql).
CREATE TABLE runs_parts (
  run_id UUID, install_id UUID, grp UTINYINT, draw UINTEGER, day DATE, last_day DATE,
  legacy BOOLEAN, rate_low DOUBLE, rate_high DOUBLE,
  sdk VARCHAR, sdk_version VARCHAR, os VARCHAR, arch VARCHAR, runtime VARCHAR,
  runtime_version VARCHAR, ci BOOLEAN, carrier VARCHAR, tunnel VARCHAR, invoked_by_agent VARCHAR,
  container BOOLEAN, serverless VARCHAR, cloud VARCHAR, package_manager VARCHAR,
  days_since_install_bucket VARCHAR, previous_sdk_version VARCHAR,
  first_seen UINTEGER, first_block UINTEGER, last_start UINTEGER, first_call UTINYINT,
  first_runs BIGINT, starts BIGINT,
  blocked_carrier_credentials BIGINT, blocked_llm_key BIGINT, blocked_engine_config BIGINT, blocked_other BIGINT, call_starts BIGINT, call_ends BIGINT,
  sampled BIGINT, completed BIGINT, no_answer BIGINT, busy BIGINT, error BIGINT, failed BIGINT,
  layer_stt BIGINT, layer_llm BIGINT, layer_tts BIGINT, layer_carrier BIGINT, layer_config BIGINT,
  layer_internal BIGINT, layer_other BIGINT
);
-- Runs as the last merge left them, one row each: only newer parts have to be summed up.
CREATE TABLE runs_whole AS SELECT * FROM runs_parts;
CREATE TABLE calls_parts (
  day DATE, sdk_version VARCHAR, os VARCHAR, carrier VARCHAR, engine VARCHAR, provider VARCHAR,
  direction VARCHAR, outcome VARCHAR, error_code VARCHAR, error_layer VARCHAR,
  disconnect_reason VARCHAR, turn_count_bucket VARCHAR, kept DOUBLE, grp UTINYINT, n BIGINT
);
CREATE TABLE callers_parts (
  day DATE, run_id UUID, install_id UUID, grp UTINYINT, sdk_version VARCHAR, os VARCHAR,
  carrier VARCHAR, engine VARCHAR, provider VARCHAR, direction VARCHAR, kept DOUBLE, n BIGINT,
  starts BIGINT, ends BIGINT, faults BIGINT, latency_ms BIGINT, stt_latency_ms BIGINT,
  llm_ttft_ms BIGINT, tts_first_byte_ms BIGINT, eou_latency_ms BIGINT, slow_latency_ms BIGINT,
  slow_stt_latency_ms BIGINT, slow_llm_ttft_ms BIGINT, slow_tts_first_byte_ms BIGINT,
  slow_eou_latency_ms BIGINT, duration_seconds BIGINT, cost_usd BIGINT
);
CREATE TABLE numbers_parts (
  day DATE, sdk_version VARCHAR, os VARCHAR, carrier VARCHAR, engine VARCHAR, provider VARCHAR,
  direction VARCHAR, kept DOUBLE, grp UTINYINT, latency_ms INTEGER, stt_latency_ms INTEGER,
  llm_ttft_ms INTEGER, tts_first_byte_ms INTEGER, eou_latency_ms INTEGER,
  duration_seconds INTEGER, cost INTEGER, n BIGINT
);
CREATE TABLE setups_parts (
  day DATE, run_id UUID, install_id UUID, grp UTINYINT, sdk_version VARCHAR, os VARCHAR,
  event VARCHAR, builtin_tool_count INTEGER, custom_tool_count_bucket VARCHAR,
  integration VARCHAR, integration_kind VARCHAR, mcp_server_count_bucket VARCHAR,
  noise_reduction VARCHAR, turn_detection VARCHAR, preambles_used BOOLEAN,
  per_tool_timeouts_set BOOLEAN, llm_fallback_configured BOOLEAN, engine VARCHAR,
  provider VARCHAR, carrier VARCHAR, stt_provider VARCHAR, tts_provider VARCHAR,
  llm_provider VARCHAR, stt_model VARCHAR, tts_model VARCHAR, llm_model VARCHAR,
  cli_command VARCHAR, n BIGINT
);
CREATE TABLE faults_parts (
  day DATE, run_id UUID, install_id UUID, grp UTINYINT, sdk_version VARCHAR, os VARCHAR, carrier VARCHAR,
  engine VARCHAR, provider VARCHAR, direction VARCHAR, error_layer VARCHAR, error_code VARCHAR,
  missing VARCHAR, n BIGINT
);

-- Up to which commit the roll-ups reach.
CREATE TABLE folds (folded BIGINT);

INSERT INTO meta VALUES ('version', '1');
INSERT INTO folds VALUES (0);
