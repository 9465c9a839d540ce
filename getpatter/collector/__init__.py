"""The collector: receives events, keeps them, and answers questions about them.

An optional extra: `pip install 'getpatter[collector]'`. Of telemetry it imports the schemas only.
"""
