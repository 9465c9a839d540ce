"""`status`: on or off, which rule decided, and what each other rule says."""

import json

from getpatter.telemetry import status
from getpatter.telemetry._terminal import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["run"]


def run(options: "Namespace") -> int:
    """Show the status."""
    found = status.collect()
    say(json.dumps(found, indent=2) if options.json else status.render(found))
    return 0
