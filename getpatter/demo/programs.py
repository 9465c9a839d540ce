"""The programs of the demo, each as a user's would be; `python -m getpatter.demo.programs NAME`.

Every one is run in a process of its own, with an environment made from scratch.
"""

import sys
from typing import TYPE_CHECKING

from getpatter import Patter

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DIAGNOSTICS", "PROGRAMS"]

#: Where `voice_call` keeps its diagnostics, in the directory that it runs in.
DIAGNOSTICS = "calls.jsonl"


def missing_credentials() -> None:
    """Ask for a carrier without its credentials: the library raises, as it would anyway."""
    Patter(carrier="twilio", phone_number="+15550001234")


def _phone() -> Patter:
    return Patter(carrier="none", engine="pipeline")


def _voice_call(phone: Patter, *, fail_stt_at_turn: int | None = None) -> None:
    from getpatter.demo.voice import run_call

    agent = phone.agent(
        stt="pocketsphinx/en-us", llm="rules/demo", tts="espeak-ng/en-us", tools=[print]
    )
    run_call(
        lambda: phone.call(direction="inbound", agent=agent), fail_stt_at_turn=fail_stt_at_turn
    )


def voice_call() -> None:
    """Have a real call of three turns that the caller ends, and keep its diagnostics."""
    from getpatter.calls import JsonLinesSink

    phone = _phone()
    phone.diagnostics.attach(JsonLinesSink(DIAGNOSTICS))
    _voice_call(phone)


def failing_recogniser() -> None:
    """Have the same call, with a recogniser that fails in the second turn."""
    _voice_call(_phone(), fail_stt_at_turn=2)


def busy_number() -> None:
    """Call a number that is busy."""
    with _phone().call(direction="outbound") as call:
        call.busy()


def short_call() -> None:
    """Have a call of one real turn."""
    from getpatter.demo.voice import SENTENCES, run_call

    phone = _phone()
    run_call(lambda: phone.call(direction="inbound"), sentences=SENTENCES[-1:])


PROGRAMS: "dict[str, Callable[[], None]]" = {
    program.__name__: program
    for program in (missing_credentials, voice_call, failing_recogniser, busy_number, short_call)
}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]]()
