"""Events of known installs and runs, put into a store as a collector does."""

import os
from hashlib import sha256
from typing import Any

from collector_process import event, hex_id

from getpatter.collector import answers, clock
from getpatter.collector.batch import ReceivedBatch
from getpatter.collector.keys import Key
from getpatter.collector.limits import HOUR
from getpatter.collector.store import Store

Event = dict[str, Any]


def run_id(rate: float, *, drawn: bool) -> str:
    """The id of a run that is drawn at this rate, or is not."""
    while True:
        made = hex_id()
        ratio = int(sha256(made.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
        if (rate >= 1 or ratio < rate) == drawn:
            return made


def install_id(group: int) -> str:
    """The id of an install of this group."""
    while True:
        made = hex_id()
        if sha256(made.encode()).digest()[0] % 64 == group:
            return made


def call(**fields: Any) -> list[Event]:
    """The events of a call: that it began, and how it ended."""
    uid = hex_id()
    stamp = {k: v for k, v in fields.items() if k in {"sample_rate", "carrier", "engine"}}
    started = {"event": "call_started", "call_uid": uid, **stamp}
    ended = {"event": "call_completed", "call_uid": uid, "outcome": "completed", **fields}
    return [started, ended]


def failed_call(**fields: Any) -> list[Event]:
    """A call that began and failed: its end is never sampled and has no rate."""
    rate = {"sample_rate": fields.pop("sample_rate")} if "sample_rate" in fields else {}
    uid = hex_id()
    return [
        {"event": "call_started", "call_uid": uid, **rate},
        {
            "event": "call_completed",
            "call_uid": uid,
            "outcome": "error",
            "error_code": "timeout",
            "error_layer": "llm",
            **fields,
        },
    ]


def batch_of(
    events: list[Event],
    *,
    install: str | None = None,
    run: str | None = None,
    rate: float | None = 1.0,
    age: int = 0,
    days_ago: int = 0,
    key: str | None = None,
    losses: dict[tuple[str, str], int] | None = None,
    **common: Any,
) -> ReceivedBatch:
    """Return one batch of a run. Without a rate it is a legacy client's."""
    base = {"install_id": install or hex_id(), "run_id": run or run_id(rate or 1, drawn=True)}
    digits = key or os.urandom(16).hex()
    now = clock.now() - days_ago * 86_400
    made = [event() | base | common | one for one in events]
    return ReceivedBatch(
        key=Key(int(digits[:16], 16), int(digits[16:], 16), (now - age) // HOUR, rate is None),
        received=now,
        age=age,
        rate=rate,
        events=list(enumerate(made)),
        losses=losses or {},
        size=len(made),
    )


def put(store: Store, events: list[Event], **about: Any) -> None:
    """Append one batch of a run, as `batch_of` makes it."""
    store.append([batch_of(events, **about)])


START: Event = {"event": "sdk_initialized"}


def rows(store: Store, question: str, **filters: str) -> list[dict[str, Any]]:
    """The rows of an answer, of all that was put."""
    store.fold()
    found: list[dict[str, Any]] = answers.answer(question, filters, store.query, clock.now())[
        "rows"
    ]
    return found


def row(store: Store, question: str, /, filters: dict[str, str] | None = None, **cell: str) -> Any:
    """The one row of an answer whose cell has these values."""
    found = [
        one
        for one in rows(store, question, **(filters or {}))
        if all(one["cell"].get(name) == value for name, value in cell.items())
    ]
    assert len(found) == 1, (
        cell,
        [one["cell"] for one in rows(store, question, **(filters or {}))],
    )
    return found[0]
