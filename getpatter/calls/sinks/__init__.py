"""Where events can go: a callback, a file, a webhook, OpenTelemetry; each loaded by who uses it."""
