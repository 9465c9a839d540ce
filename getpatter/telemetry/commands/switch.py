"""`enable` and `disable`: take the stored opt-out back, or store it and erase the identity."""

import json

from getpatter.telemetry import env, install_id, opt_out, state, status
from getpatter.telemetry._terminal import say
from getpatter.telemetry.commands.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

__all__ = ["INSTEAD", "render", "run"]

_VERBS = {"disable": "stored", "enable": "removed"}
#: What to do where the opt-out cannot be stored.
INSTEAD = "Set DO_NOT_TRACK=1 or PATTER_TELEMETRY=0 instead: it has the same effect."
#: How to have erased what has left.
ERASE = (
    "To erase what was sent before: `getpatter telemetry forget --remote`. "
    "The install ID is kept apart for that request, for 30 days."
)
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
_AND_NOW = {"disable": INSTEAD, "enable": "It stays in force."}


def render(action: str, found: "dict[str, object]") -> str:
    """Return what was done, and the status that results."""
    said = status.render(found)
    done = _DONE[action, bool(found["was_opted_out"])]
    if found.get("erasable"):
        said += f"\n\n{ERASE}"
    if action == "enable" and not found["enabled"]:
        decided = found["decided_by"]
        assert isinstance(decided, dict)  # noqa: S101 - tells the type checker what it is
        done = done.rstrip(".") + (
            f", but telemetry is still off, because of {decided['rule']}: {decided['why']}."
        )
    return f"{done}\n\n{said}"


def run(options: "Namespace") -> int:
    """Change the stored opt-out and show the status."""
    action: str = options.action
    was_opted_out = state.opt_out_place(env.process_environment()) is not None
    try:
        install_id.set_opt_out(action == "disable")
    except OSError as error:
        message = (
            f"the opt-out could not be {_VERBS[action]} ({error.strerror}). {_AND_NOW[action]}"
        )
        raise Failure(message) from None
    found = status.collect()
    found["was_opted_out"] = was_opted_out
    if action == "disable":
        found["erasable"] = bool(opt_out.retained_ids(env.process_environment()))
    say(json.dumps(found, indent=2) if options.json else render(action, found))
    return 0
