"""`forget`: opt out and erase what this machine keeps; with `--remote` also what was sent from it.

The only command that sends anything: one request to erase each install id known here, after a
question. It comes first: once the id is erased here, nobody could ask any more.
"""

import json
import sys

from getpatter.telemetry import consent, env, install_id, opt_out
from getpatter.telemetry._terminal import say
from getpatter.telemetry.client import DEFAULT_ENDPOINT
from getpatter.telemetry.commands.failure import Failure
from getpatter.telemetry.commands.switch import failed
from getpatter.telemetry.delivery import transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

__all__ = ["collect", "render", "run"]

# The collector cannot erase, by the contract.
_CANNOT = frozenset({404, 405})


def collect(
    environ: "Mapping[str, str]", sdk_version: str, *, remote: bool, ask: bool
) -> "dict[str, object]":
    """Erase, and return what came of it. Raises Failure where nothing or not all was erased."""
    asked = _ask_collector(environ, sdk_version, ask=ask) if remote else None
    try:
        install_id.set_opt_out(True)
        if asked is not None and asked["can_erase"]:
            opt_out.drop_retained_ids(environ)  # there is nothing left to ask for
    except OSError as error:
        said = "".join(f"The collector's receipt: {receipt}. " for receipt in _receipts(asked))
        message = f"{said}{failed('disable', error)}"
        raise Failure(message) from None
    return {"opted_out": True, "erased": True, "remote": asked}


def _ask_collector(
    environ: "Mapping[str, str]", sdk_version: str, *, ask: bool
) -> "dict[str, object]":
    settings = env.Settings.load(environ)
    refused = consent.decide(consent.judge(settings, None, None))
    if refused.off:
        message = (
            f"telemetry is off by {refused.name} ({refused.why}), so nothing is sent, this request "
            f"included. Nothing was erased. {_instead(refused.name, settings)}"
        )
        raise Failure(message)
    if settings.debug:
        message = "PATTER_TELEMETRY_DEBUG is set, so nothing was sent, and nothing was erased"
        raise Failure(message)
    url = transport.usable_endpoint(settings.endpoint or DEFAULT_ENDPOINT)
    if url is None:
        message = "PATTER_TELEMETRY_ENDPOINT cannot be used: nothing was sent or erased"
        raise Failure(message)
    collector = transport.origin(url)
    ids = tuple(dict.fromkeys((*opt_out.known_ids(environ), *opt_out.retained_ids(environ))))
    if ids and ask:
        _question(collector)
    receipts: list[str | None] = []
    for known in ids:
        status, receipt = transport.erase(url, known, sdk_version)
        if status in _CANNOT:
            return {"collector": collector, "can_erase": False, "receipts": receipts}
        if status is None or not 200 <= status < 300:
            answer = "did not answer" if status is None else f"answered {status}"
            message = f"{collector} {answer}. Nothing was erased here, so that you can try again"
            raise Failure(message)
        receipts.append(receipt)
    return {"collector": collector, "can_erase": True, "receipts": receipts}


def _instead(rule: str, settings: env.Settings) -> str:
    """Say how to have it sent, where taking a variable away is all that it takes."""
    if settings.environ.get(rule) is None:
        return "Run it without --remote to erase what is kept here."
    return f"Unset {rule} for this command, or run it without --remote."


def _question(collector: str) -> None:
    """Ask on the terminal; raise Failure if there is none or the answer is no."""
    if sys.stdin is None or not sys.stdin.isatty():
        message = "there is no terminal to ask on: add --yes to erase without asking"
        raise Failure(message, 2)
    say(
        f"Ask {collector} to erase everything that this install sent, and erase what is kept here?"
        " It cannot be undone. [y/N] ",
        end="",
        stream=sys.stderr,
    )
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        message = "nothing was sent or erased"
        raise Failure(message)


def _receipts(asked: "dict[str, object] | None") -> "list[object]":
    receipts = asked["receipts"] if asked else []
    assert isinstance(receipts, list)  # noqa: S101 - for the type checker
    return [receipt for receipt in receipts if receipt is not None]


def render(found: "dict[str, object]") -> str:
    """Return what came of it."""
    asked = found["remote"]
    lines = []
    if isinstance(asked, dict):
        collector = asked["collector"]
        if not asked["can_erase"]:
            lines.append(f"{collector} cannot erase: what was sent stays there.")
        elif not asked["receipts"]:
            lines.append("No install id is kept here, so there was nothing to ask the collector.")
        else:
            lines.append(f"{collector} has erased what this install sent.")
            lines += [f"Receipt: {receipt}" for receipt in _receipts(asked)]
    lines.append("Opted out. The install id, its date and version and the log are erased here.")
    return "\n".join(lines)


def run(options: "Namespace") -> int:
    """Forget this install."""
    found = collect(
        env.process_environment(),
        options.sdk_version,
        remote=options.remote,
        ask=not options.yes,
    )
    say(json.dumps(found, indent=2) if options.json else render(found))
    return 0
