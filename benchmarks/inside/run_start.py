"""Import, construct, first record, in milliseconds; argument 4 is `bare` or `host`.

Reads its arguments without `measuring`: that would load what a bare interpreter has not.
"""

import sys

if sys.argv[4] == "host":
    import asyncio  # noqa: F401
    import dataclasses  # noqa: F401
    import json  # noqa: F401
    import logging  # noqa: F401
    import pathlib  # noqa: F401
import os
import time

begun = time.perf_counter()
adapter = __import__(f"adapters.{sys.argv[1]}", fromlist=["make"])
client = adapter.make(int(sys.argv[2]), sys.argv[3], compress=False)
adapter.recorder(client)(
    "sdk_initialized", {"carrier": "twilio", "tunnel": "none", "container": False}
)
taken = time.perf_counter() - begun
sys.stdout.write(f'{{"ms": {taken * 1e3}}}\n')
sys.stdout.flush()
os._exit(0)  # how it ends is another row
