"""Background threads, queues and process hooks for all of call diagnostics."""
