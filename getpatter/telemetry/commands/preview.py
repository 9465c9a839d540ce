"""`preview`: the body that a start, an agent and a call would send; sends and changes nothing.

The body alone stands on stdout, so that it can be piped into `check` or compared; the headers and
the words about it stand on stderr.
"""

import json
import sys

from getpatter.telemetry import status
from getpatter.telemetry._terminal import say
from getpatter.telemetry.commands.example import Example

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["collect", "render", "run"]


def collect(sdk_version: str) -> "dict[str, object]":
    """Return the body, its events, and remarks about them."""
    example = Example(sdk_version)
    facts = status.collect()
    return {
        "enabled": facts["enabled"],
        "decided_by": facts["decided_by"],
        "debug": facts["debug"],
        "endpoint": facts["endpoint"],
        "sample_rate": example.rate,
        "notice_shown": facts["notice_shown"],
        "withheld": facts["withheld"],
        "new_install": example.is_new_install,
        "headers": example.headers(),
        "body": example.body,
        "events": example.events,
    }


def render(found: "dict[str, object]") -> str:
    """Return the remarks about the body, and the headers."""
    headers = found["headers"]
    assert isinstance(headers, dict)  # noqa: S101 - for the type checker
    lines = [
        "What a start, an agent and a call would send from here. Nothing was sent or changed.",
        _whether(found),
        "Real values of this machine: the common fields, the deploy shape, the age of the install.",
        "Examples of what your program decides: carrier, stack, agent, how the call went.",
        "Random in each preview: run_id, call_uid"
        + (", and install_id until the first start has made it." if found["new_install"] else "."),
    ]
    rate = found["sample_rate"]
    if isinstance(rate, float) and rate < 1:
        lines.append(
            f"Sample rate {rate:g}: "
            + (
                "a run that keeps its calls is shown; the other runs send errors only."
                if rate > 0
                else "calls are left out, but for errors."
            )
        )
    lines += ["Headers:", *(f"  {name}: {value}" for name, value in headers.items())]
    lines.append("  and Host, Accept-Encoding: identity, Content-Length")
    return "\n".join(lines)


def _whether(found: "dict[str, object]") -> str:
    decided = found["decided_by"]
    assert isinstance(decided, dict)  # noqa: S101 - for the type checker
    if not found["enabled"]:
        return (
            f"Telemetry is off ({decided['rule']}: {decided['why']}), so none of this leaves. "
            "It is what would leave if it were on."
        )
    if found["debug"]:
        return "PATTER_TELEMETRY_DEBUG is set, so a program prints it and sends nothing."
    if found["endpoint"] is None:
        return "PATTER_TELEMETRY_ENDPOINT cannot be used, so nothing leaves."
    first = ""
    if not found["notice_shown"]:
        first = ", once the notice was shown"
    elif found["withheld"]:
        first = "; what status lists as withheld goes there once its notice was shown"
    return f"It would go to {found['endpoint']}{first}."


def run(options: "Namespace") -> int:
    """Show the preview."""
    found = collect(options.sdk_version)
    if options.json:
        say(json.dumps(found, indent=2))
        return 0
    say(render(found), stream=sys.stderr)
    say(str(found["body"]))
    return 0
