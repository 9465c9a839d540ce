"""How long a short script that recorded one event takes to end, and what becomes of the event.

Measured from the script's last own line to the end of its process. Then the collector is well
again, and what has not arrived may come from a process that the client left behind, or from the
next start of the same program.
"""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from clients import OURS, Environment
from figures import Figure, Row, Value, median
from runs import Bench

__all__ = ["measure"]

_MODES = {
    "fine": "up",
    "slow": "slow (2 s)",
    "never": "never answers",
    "closed": "port closed",
}
_OUR_WAYS = {"detach": "≤ 15", "wait": "≤ 500"}
# A sender that was left behind works for at most ten seconds; others have none.
_LEFT_BEHIND_SECONDS = 12.0
# The slow sink takes an event two seconds after it came.
_SETTLED_SECONDS = 2.5
# Those that hang do little meanwhile, so a few may hang at the same time.
_AT_ONCE = 4
# Until a script comes to its last line, on a busy machine.
_START_SECONDS = 3.0
# Who took longer hangs: another run of it would tell nothing.
_QUICK_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class _Ended:
    """One run: its exit in seconds, whether it was cut short, and what became of the event, empty
    if nobody looked.
    """

    seconds: float | None
    is_late: bool
    fate: str


def _await(condition: Callable[[], bool], seconds: float) -> bool:
    """Ask until the answer is yes, for at most `seconds`."""
    until = time.monotonic() + seconds
    while not (answer := condition()) and time.monotonic() < until:
        time.sleep(0.1)
    return answer


def _fate(
    bench: Bench, environment: Environment, port: int, folder: str, environ: dict[str, str]
) -> str:
    """Say what becomes of the event, now that its program has ended."""

    def is_there() -> bool:
        report = bench.sink.report(port)
        return bool(report.uids) if environment.client.has_events else report.events > 0

    if is_there():
        return "arrived"
    seen = bool(bench.sink.report(port).seen)
    bench.sink.change(port, "fine")
    leaves_one = environ.get("PATTER_TELEMETRY_EXIT") == "detach"
    if _await(is_there, _LEFT_BEHIND_SECONDS if leaves_one else _SETTLED_SECONDS):
        return "arrived"
    if not environment.client.has_events:
        return "lost"  # a next start's own could not be told from it
    bench.run("run_exit", environment, port, folder, "event=no", seconds=20.0, environ=environ)
    if _await(is_there, 1.0):
        return "next start"
    return "unanswered" if seen else "lost"


def _once(
    bench: Bench, environment: Environment, mode: str, way: str, *, is_looked_after: bool = True
) -> _Ended:
    environ = {"PATTER_TELEMETRY_EXIT": way} if way else {}
    cap = bench.scale.exit_seconds
    with bench.port(mode) as port, bench.folder() as folder:
        outcome = bench.run(
            "run_exit",
            environment,
            port,
            folder,
            "event=yes",
            seconds=cap + _START_SECONDS,
            environ=environ,
        )
        fate = _fate(bench, environment, port, folder, environ) if is_looked_after else ""
    ending = outcome.number("ending")
    if outcome.is_late:
        return _Ended(cap, is_late=True, fate=fate)
    return _Ended(None if ending is None else outcome.ended - ending, is_late=False, fate=fate)


def _value(first: _Ended, later: list[_Ended]) -> Value:
    fates = Counter(run.fate for run in (first, *later) if run.fate)
    remark = ", ".join(
        fate if len(fates) == 1 else f"{fate} {times}/{fates.total()}"
        for fate, times in fates.most_common()
    )
    runs = later or [first]  # the first ran beside others
    seconds = median(run.seconds for run in runs)
    is_late = any(run.is_late for run in runs)
    return Value(None if seconds is None else seconds * 1e3, remark, is_least=is_late)


def _all(bench: Bench, contenders: list[tuple[Environment, str]], mode: str) -> list[Value]:
    """Measure each contender: one run of those that hang, several of the others.

    What becomes of a peer's event is looked at once, of ours each time.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        firsts = list(pool.map(lambda one: _once(bench, one[0], mode, one[1]), contenders))
    later: list[list[_Ended]] = [[] for _ in firsts]
    is_quick = [
        first.seconds is not None and first.seconds < _QUICK_SECONDS and not first.is_late
        for first in firsts
    ]
    for _ in range(bench.scale.exits):
        for number, (environment, way) in enumerate(contenders):
            if is_quick[number]:
                is_ours = environment.client.name == OURS
                run = _once(bench, environment, mode, way, is_looked_after=is_ours)
                later[number].append(run)
    return [_value(*both) for both in zip(firsts, later, strict=True)]


def measure(bench: Bench) -> Row:
    """Measure each client with each collector; ours in both of its ways."""
    contenders: list[tuple[Environment, str]] = []
    for environment in bench.having(nothing=False):
        ways = tuple(_OUR_WAYS) if environment.client.name == OURS else ("",)
        contenders += [(environment, way) for way in ways]
    values: dict[tuple[str, str], dict[str, Value]] = {}
    for mode in _MODES:
        for (environment, way), value in zip(
            contenders, _all(bench, contenders, mode), strict=True
        ):
            # The peers stand beside ours in the way that is to beat them.
            values.setdefault((way or "detach", mode), {})[environment.client.name] = value
    figures = [
        Figure(f"{way}, {text}", "ms", bar, values.get((way, mode), {}), digits=0)
        for way, bar in _OUR_WAYS.items()
        for mode, text in _MODES.items()
    ]
    return Row(
        "exit",
        f"A script that records one event and ends; median of {bench.scale.exits} runs, one of "
        f"those that hang, which are cut off after {bench.scale.exit_seconds:.0f} s. In brackets "
        "what became of the event once the collector is well: `unanswered` reached a collector "
        "that never said so, `next start` came with the next start of the program. The peers' "
        "figures stand in the first four columns.",
        figures,
    )
