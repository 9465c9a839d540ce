"""`log`: what was sent from this machine, byte for byte, and what was dropped and why."""

import json

from getpatter.telemetry._terminal import say
from getpatter.telemetry.commands.failure import Failure
from getpatter.telemetry.delivery import ledger
from getpatter.telemetry.install_id import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["collect", "render", "run"]


def collect() -> "dict[str, object]":
    """Return the state directory, why there is none, and the entries, oldest first."""
    known = open_state(writable=False)
    entries: list[dict[str, object]] = []
    if known.directory is not None:
        try:
            entries = ledger.read(known.directory)
        except OSError as error:
            message = f"the log cannot be read ({error.strerror or error})"
            raise Failure(message) from None
    return {"directory": known.directory, "problem": known.problem, "entries": entries}


def render(found: "dict[str, object]") -> str:
    """Return the entries for a person: a line that says what happened, then the body."""
    entries = found["entries"]
    assert isinstance(entries, list)  # noqa: S101 - for the type checker
    if found["directory"] is None:
        return f"No log is kept, because {found['problem']}."
    if not entries:
        return "The log is empty: nothing has been sent yet, or the log was erased."
    return "\n\n".join(_entry(entry) for entry in entries)


def _entry(entry: "dict[str, object]") -> str:
    when = _utc(entry["at"])
    where = entry.get("endpoint") or "an endpoint that cannot be used"
    lines = []
    if "body" in entry:
        status = entry.get("status")
        answer = "no answer" if status is None else f"answer {status}"
        lines.append(f"{when}  {where}  {answer}  key {entry.get('key')}")
        headers = entry.get("headers")  # entries of earlier versions have none
        if isinstance(headers, dict):
            lines += [f"  {name}: {value}" for name, value in headers.items()]
        lines.append(str(entry["body"]))
    elif "removed" in entry:
        lines.append(
            f"{when}  {where}  requests until then, without their entries: {entry['removed']}"
        )
    else:
        lines.append(f"{when}  {where}  nothing sent")
    dropped = entry.get("dropped")
    if isinstance(dropped, dict):
        lines += [
            f"  dropped: {times} {event}, {reason}"
            for event, reasons in dropped.items()
            for reason, times in (reasons.items() if isinstance(reasons, dict) else ())
        ]
    return "\n".join(lines)


def _utc(at: object) -> str:
    from datetime import datetime, timezone

    try:
        moment = datetime.fromtimestamp(float(str(at)), tz=timezone.utc)
    except (ValueError, OverflowError, OSError):
        return "at an unknown time"
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")


def run(options: "Namespace") -> int:
    """Show the log."""
    found = collect()
    say(json.dumps(found, indent=2) if options.json else render(found))
    return 0
