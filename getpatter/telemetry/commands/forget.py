"""`forget`: opt out and erase what this machine keeps; with `--remote` also what was sent from it.

The only command that sends anything: after a question, one request to erase each install ID that
was sent to the collector. It comes first: once nothing is kept here, nobody could ask any more. An
ID that was sent to another collector, too, is retained for a request to that one.
"""

import json
import sys

from getpatter.telemetry import consent, env, install_id, opt_out, sent
from getpatter.telemetry._terminal import one_line, say
from getpatter.telemetry.client import DEFAULT_ENDPOINT
from getpatter.telemetry.commands.failure import Failure
from getpatter.telemetry.commands.switch import ERASE, KEPT, failed
from getpatter.telemetry.delivery import transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

__all__ = ["collect", "render", "run"]

# The collector cannot erase, by the contract.
_CANNOT = frozenset({404, 405})


class _Asked:
    """What a collector was asked to erase, and its receipts (None for an answer without one)."""

    def __init__(self, url: str, ids: "list[str]", *, is_certain: bool) -> None:
        self.collector = transport.origin(url)
        self.endpoint = transport.shown(url)
        self.ids = ids
        self.is_certain = is_certain
        self.can_erase = True
        self.receipts: list[str | None] = []

    @property
    def settled(self) -> "set[str]":
        """The endpoints that these IDs are retained for no longer."""
        if not self.can_erase:
            return set()
        # Where an earlier version sent, unless a variable said otherwise.
        is_default = self.endpoint == DEFAULT_ENDPOINT
        return {self.endpoint, sent.ANYWHERE} if is_default else {self.endpoint}


def collect(
    environ: "Mapping[str, str]", sdk_version: str, *, remote: bool, ask: bool
) -> "dict[str, object]":
    """Erase, and return what came of it. Raises Failure where nothing or not all was erased."""
    asked = _ask_collector(environ, sdk_version, ask=ask) if remote else None
    try:
        install_id.set_opt_out(True)
        if asked is not None:
            opt_out.settle(environ, asked.ids, asked.settled)
    except OSError as error:
        message = f"{_said(asked)}{failed('disable', error)}"
        raise Failure(message) from None
    left = dict.fromkeys(one for known in opt_out.retained(environ).values() for one in known)
    if asked is not None:
        left.pop(asked.endpoint, None)
    found: dict[str, object] = {"opted_out": True, "erased": True, "remote": None}
    if asked is not None:
        found["remote"] = {
            "collector": asked.collector,
            "asked": len(asked.ids),
            "known_to_be_sent": asked.is_certain,
            "can_erase": asked.can_erase,
            "receipts": asked.receipts,
        }
    return found | {"erasable_at": list(left)}


def _ask_collector(environ: "Mapping[str, str]", sdk_version: str, *, ask: bool) -> _Asked:
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
    asked = _to_ask(environ, url)
    if asked.ids and ask:
        _question(asked.collector)
    for known in asked.ids:
        status, receipt = transport.erase(url, known, sdk_version)
        if status in _CANNOT:
            asked.can_erase = False
            break
        if status is None or not 200 <= status < 300:
            answer = "did not answer" if status is None else f"answered {status}"
            message = (
                f"{_said(asked)}{asked.collector} {answer}. Nothing was erased here, so that you "
                "can try again"
            )
            raise Failure(message)
        asked.receipts.append(receipt)
    return asked


def _to_ask(environ: "Mapping[str, str]", url: str) -> _Asked:
    """Return what a collector is to be asked for: what was sent to it, or may have been."""
    try:
        known = opt_out.ids_sent(environ)
    except OSError as error:
        why = error.strerror or error
        message = f"the install ID cannot be read now ({why}). Nothing was sent or erased"
        raise Failure(message) from None
    endpoint = transport.shown(url)
    certain = [one for one, where in known.items() if endpoint in where]
    ids = [one for one, where in known.items() if one in certain or sent.ANYWHERE in where]
    if known and not ids:
        others = ", ".join(dict.fromkeys(one for where in known.values() for one in where))
        message = (
            f"nothing was sent from here to {one_line(endpoint)}, so it was not asked, and nothing "
            f"was erased. Events were sent to {one_line(others)}: set PATTER_TELEMETRY_ENDPOINT to "
            "that, or run it without --remote to erase what is kept here"
        )
        raise Failure(message)
    return _Asked(url, ids, is_certain=bool(certain))


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


def _said(asked: "_Asked | None") -> str:
    """Return what the collector has confirmed, where not everything went well."""
    receipts = [] if asked is None else [one for one in asked.receipts if one is not None]
    return "".join(f"The collector's receipt: {receipt}. " for receipt in receipts)


def render(found: "dict[str, object]") -> str:
    """Return what came of it."""
    asked, left = found["remote"], found["erasable_at"]
    assert isinstance(left, list)  # noqa: S101 - for the type checker
    lines = _of_collector(asked) if isinstance(asked, dict) else []
    lines.append("Opted out. The install ID, its date and version and the log are erased here.")
    if left and asked is None:
        lines.append(ERASE)
    elif left:
        lines += [_elsewhere(one) for one in left]
        lines.append(KEPT)
    return "\n".join(lines)


def _of_collector(asked: "dict[str, object]") -> list[str]:
    collector, receipts = asked["collector"], asked["receipts"]
    assert isinstance(receipts, list)  # noqa: S101 - as above
    if not asked["asked"]:
        return ["Nothing was sent from here, so there was nothing to ask the collector."]
    if not asked["can_erase"]:
        return [f"{collector} cannot erase: what was sent stays there."]
    what = "what this install sent there"
    if not asked["known_to_be_sent"]:
        what = "what was sent there under this install ID, if anything was: no log tells it"
    shown = [f"Receipt: {receipt}" for receipt in receipts if receipt is not None]
    return [f"{collector} says that it has erased {what}.", *shown]


def _elsewhere(endpoint: str) -> str:
    if endpoint == sent.ANYWHERE:
        return (
            "An earlier version kept no log of where it sent. If PATTER_TELEMETRY_ENDPOINT named "
            "another collector, set it to that and run `getpatter telemetry forget --remote`."
        )
    return (
        f"What was sent to {one_line(endpoint)} is still there. Set PATTER_TELEMETRY_ENDPOINT to "
        "that and run `getpatter telemetry forget --remote` to erase it."
    )


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
