"""What arrives of 1,000 events when the collector fails, how often, and how long `close` takes."""

import time
from concurrent.futures import ThreadPoolExecutor

from clients import OURS, Environment
from collector import Report
from figures import Figure, Row, Value
from runs import Bench, Outcome

__all__ = ["measure"]

_MODES = {
    "fine": "fine",
    "alternate": "every second request fails",
    "coin": "a request fails with probability 1/2",
    "unavailable": "503 for 3 s",
}
_RATE = 500
# Who is given time at the end may use it to try again.
_PATIENT_CLOSE = 15
_START_SECONDS = 15.0
# Peers mostly wait: a few at a time. Ours runs alone, its close has a bar of a second.
_AT_ONCE = 4
_AFTER_SECONDS = 12.0
_SETTLED_SECONDS = 1.0
# Who has a next start to hope for.
_KEEPING = (OURS, "glean")


def _once(bench: Bench, environment: Environment, mode: str) -> tuple[Value, Value]:
    """Return the share that was delivered, and the seconds that `close` took."""
    count = bench.scale.fault_events
    cap = bench.scale.close_seconds
    with bench.port(mode) as port, bench.folder() as folder:
        outcome = bench.run(
            "run_delivery",
            environment,
            port,
            folder,
            f"events={count}",
            "kind=call",
            f"rate={_RATE}",
            "compress=no",
            f"close={_close_seconds(mode)}",
            seconds=count / _RATE + cap + _START_SECONDS,
        )
        early = bench.sink.report(port)
        late = _later(bench, environment, port, folder, early)
    remarks = []
    if late.distinct != early.distinct:
        remarks.append(f"{early.distinct / count:.2f} at the end of the process")
    if late.wire_twice:
        remarks.append(f"{late.wire_twice} copies, {late.twice} without a key that tells")
    return Value(late.distinct / count, "; ".join(remarks)), _close(outcome, cap)


def _close_seconds(mode: str) -> int:
    return _PATIENT_CLOSE if mode == "coin" else 1


def _close(outcome: Outcome, cap: float) -> Value:
    if outcome.is_late:
        return Value(cap, is_least=True)
    return Value(outcome.number("close"))


def _later(bench: Bench, environment: Environment, port: int, folder: str, early: Report) -> Report:
    """Return what is there in the end: ours and glean keep on disk what they could not deliver."""
    if early.distinct >= bench.scale.fault_events:
        return early
    bench.sink.change(port, "fine")
    until = time.monotonic() + _AFTER_SECONDS
    if environment.client.name not in _KEEPING:
        until = time.monotonic() + _SETTLED_SECONDS
    else:
        bench.run("run_exit", environment, port, folder, "event=no", seconds=20.0)
    while (late := bench.sink.report(port)).distinct < bench.scale.fault_events:
        if time.monotonic() > until:
            break
        time.sleep(0.2)
    return late


def measure(bench: Bench) -> Row:
    """Measure each client with each fault."""
    environments = bench.having(events=True)
    peers = [one for one in environments if one.client.name != OURS]
    figures = []
    for mode, text in _MODES.items():
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = list(pool.map(lambda one, mode=mode: _once(bench, one, mode), peers))
        values = {one.client.name: both for one, both in zip(peers, found, strict=True)}
        ours = bench.ours()
        if ours is not None:
            values[OURS] = _once(bench, ours, mode)
        share = {name: both[0] for name, both in values.items()}
        close = {name: both[1] for name, both in values.items()}
        figures.append(Figure(f"delivered, {text}", "share", "1.00", share, 2, True))  # noqa: FBT003
        figures.append(Figure(f"close, {text}", "s", f"≤ {_close_seconds(mode)}", close, digits=2))
    return Row(
        f"{bench.scale.fault_events} events at {_RATE}/s",
        "The share of the events that a collector took, each `Idempotency-Key` once; ours and "
        "glean are given a next start. `copies` came again on the wire: without such a key only "
        "the events' own ids can tell. `close` of a client that knows a time limit is given 1 s, "
        f"and {_PATIENT_CLOSE} s where a coin decides; "
        f"whoever is not done after {bench.scale.close_seconds:.0f} s is cut off.",
        figures,
    )
