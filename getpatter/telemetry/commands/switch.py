"""`enable` and `disable`: take the stored opt-out back, or store it and erase the identity."""

import json
import os

from getpatter.telemetry import env, install_id, opt_out, status
from getpatter.telemetry._terminal import one_line, say
from getpatter.telemetry.commands.failure import Failure
from getpatter.telemetry.places import Places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["failed", "render", "run"]

_VERBS = {"disable": "stored", "enable": "removed"}
#: What to do where the opt-out cannot be stored.
INSTEAD = "Set DO_NOT_TRACK=1 or PATTER_TELEMETRY=0 instead: it has the same effect."
#: What is kept to have erased what was sent, and how to have it.
KEPT = "The install ID is kept apart for that request, for 30 days."
ERASE = f"To erase what was sent before: `getpatter telemetry forget --remote`. {KEPT}"
# What was done, by whether an opt-out was stored before.
_DONE = {
    ("disable", False): (
        "Opted out, for every program of this user: the install ID and the log are erased, and "
        "nothing is sent from now on."
    ),
    ("disable", True): "Opted out already, for every program of this user.",
    ("enable", True): "The stored opt-out is removed.",
    ("enable", False): "No opt-out was stored.",
}


def render(action: str, found: "dict[str, object]") -> str:
    """Return what was done, and the status that results."""
    said = status.render(found)
    done = _DONE[action, bool(found["was_opted_out"])]
    if found.get("erasable"):
        said += f"\n\n{ERASE}"
    if action == "enable" and not found["enabled"]:
        decided = found["decided_by"]
        assert isinstance(decided, dict)  # noqa: S101 - for the type checker
        done = done.rstrip(".") + (
            f", but telemetry is still off, because of {decided['rule']}: {decided['why']}."
        )
    return f"{done}\n\n{said}"


def failed(action: str, error: OSError) -> str:
    """Return what could not be done, and what holds all the same."""
    is_off = Places.of(env.process_environment()).opt_out() is not None
    if action == "disable" and is_off:
        what = "something" if error.filename is None else one_line(os.fsdecode(error.filename))
        return (
            "the opt-out is stored, so nothing is sent from now on, but not everything could be "
            f"erased ({what}: {error.strerror})."
        )
    left = INSTEAD if action == "disable" else "It stays in force."
    return f"the opt-out could not be {_VERBS[action]} ({error.strerror}). {left}"


def run(options: "Namespace") -> int:
    """Change the stored opt-out and show the status."""
    action: str = options.action
    was_opted_out = Places.of(env.process_environment()).opt_out() is not None
    try:
        install_id.set_opt_out(action == "disable")
    except OSError as error:
        raise Failure(failed(action, error)) from None
    found = status.collect()
    found["was_opted_out"] = was_opted_out
    if action == "disable":
        found["erasable"] = bool(opt_out.retained(env.process_environment()))
    say(json.dumps(found, indent=2) if options.json else render(action, found))
    return 0
