"""What only ours has: its start piece by piece, `record` in a tight loop, and its commands."""

import subprocess
import sys
from pathlib import Path

from figures import Row
from runs import Bench

__all__ = ["measure"]

_SCRIPTS = ("start", "record", "commands")
_HERE = Path(__file__).parent.parent


def measure(bench: Bench) -> Row:  # noqa: ARG001 - a row like the others
    """Run the scripts, which can also be run alone."""
    said = [
        subprocess.run(
            [sys.executable, str(_HERE / f"{name}.py")],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout.rstrip()
        for name in _SCRIPTS
    ]
    return Row(
        "getpatter alone", "`benchmarks/start.py`, `record.py`, `commands.py`.", [], plots=said
    )
