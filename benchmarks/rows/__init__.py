"""The rows of the benchmark: one subject a file, each with `measure(bench)`."""
