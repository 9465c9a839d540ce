"""Participants: one for each (call, participant), from the first sign of it to its reaping.

Decides and never acts: every input answers what to emit, and the service emits it. `now` is
handed in. Owned by the service's consumer; nothing here is shared with another thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from getpatter.calls.event_types import PARTICIPANT_STATS
from getpatter.calls.stats.coalesce import Window, in_order, streams
from getpatter.calls.stats.owners import Guards, owner_of
from getpatter.calls.stats.track import Interval, Meter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from getpatter.calls.stamp import Stamp
    from getpatter.calls.stats.coalesce import Key

__all__ = ["REAP_SECONDS", "Input", "Output", "Participant"]

#: A closed one stays for samples that come late: three minutes, as media servers allow.
REAP_SECONDS = 180.0
# Tracks and data channels of one participant. More than any client has: ids that are new with
# every sample must not fill the memory.
_TRACKS = 256


@dataclass(frozen=True, slots=True)
class Output:
    """Something to emit: an event of the vocabulary, `participant_stats`, or a stats record."""

    kind: str
    call: str
    participant: str
    data: Mapping[str, object]
    #: When it was recorded; None: it is what follows from others now.
    stamp: Stamp | None = None


class Input(NamedTuple):
    """An event of the vocabulary, as the host gave it, and when."""

    kind: str
    call: str
    participant: str
    fields: Mapping[str, object]
    notify: bool
    now: float
    stamp: Stamp | None = None

    @property
    def owner(self) -> str:
        """Who says so."""
        return owner_of(self.fields)

    def output(self) -> Output:
        """Return it as it is emitted: with its subjects, without what is absent."""
        data = {name: value for name, value in self.fields.items() if value is not None}
        if self.participant:
            data = {"participant": self.participant, **data}
        if self.call:
            data = {"call": self.call, **data}
        if not self.notify:
            data["notify"] = False
        return Output(self.kind, self.call, self.participant, data, self.stamp)


class Participant:
    """One participant of one call: its guards, its tracks, and what is not emitted yet."""

    __slots__ = (
        "_intervals",
        "_meters",
        "_windows",
        "call",
        "closed_at",
        "closing",
        "connection_state",
        "fabric_state",
        "flush_at",
        "guards",
        "is_active",
        "is_connected",
        "is_joined",
        "participant",
        "record_at",
        "recorded_at",
    )

    def __init__(
        self, call: str, participant: str, now: float, before: Participant | None = None
    ) -> None:
        self.call = call
        self.participant = participant
        self.guards = Guards()
        # What was reported of it: the same again is not emitted again.
        self.is_joined = False
        self.is_active = False
        # Whether it ever was active; one that comes back was, and its counters go on.
        self.is_connected: bool = before is not None and before.is_connected
        self.closed_at: float | None = None
        #: What the host says; else it is concluded.
        self.connection_state: str | None = None
        self.fabric_state: str | None = None
        #: When it is flushed next, and when its next record is due; None for never.
        self.flush_at = now
        self.record_at: float | None = None
        #: What owners reported of the end before the last one did.
        self.closing: dict[str, object] = {}
        self.recorded_at = now
        self._meters: dict[Key, Meter] = {} if before is None else before._meters  # noqa: SLF001 - another one of these
        self._intervals: dict[Key, Interval] = {}
        self._windows: dict[Key, Window] = {}

    def sample(self, at: float, values: Mapping[str, object]) -> str | None:
        """Take a sample; answer the rule that it breaks, None if it was taken."""
        key: Key = (values["direction"], values.get("media_type") == "data", values["track"])  # type: ignore[assignment] # text: it was not refused
        meter = self._meters.get(key)
        if meter is None:
            if len(self._meters) >= _TRACKS:
                return "too_many_tracks"
            meter = self._meters[key] = Meter()
        delta = meter.take(at, values)
        if delta is None:
            return "older_than_the_last"
        interval = self._intervals.get(key)
        if interval is None:
            interval = self._intervals[key] = Interval()
        interval.add(delta)
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = Window()
        window.add(delta)
        return None

    def flush(self) -> Output | None:
        """Swap out what came since the last flush and sum it up; None if nothing came."""
        if not self._windows:
            return None
        windows, self._windows = self._windows, {}
        data = {"call": self.call, "participant": self.participant, "streams": streams(windows)}
        return Output(PARTICIPANT_STATS, self.call, self.participant, data)

    def record(self, now: float, conference_url: str | None) -> Output:
        """Return the stats record of the time since the last one, and begin the next."""
        intervals, self._intervals = self._intervals, {}
        connection, fabric = self._states(has_samples=bool(intervals))
        tracks = [
            {
                "track": key[2],
                "direction": key[0],
                **self._meters[key].labels,
                **intervals[key].values(self._meters[key]),
            }
            for key in in_order(intervals)
        ]
        data: dict[str, object] = {
            "call": self.call,
            "participant": self.participant,
            "interval_ms": max(0, round((now - self.recorded_at) * 1_000)),
            "connection_state": connection,
            "fabric_state": fabric,
        }
        if conference_url is not None:
            data["conference_url"] = conference_url
        self.recorded_at = now
        return Output("stats", self.call, self.participant, {**data, "tracks": tracks})

    def _states(self, *, has_samples: bool) -> tuple[str, str]:
        """Return what the host set; else what the samples show of the connection and its media."""
        is_open = self.closed_at is None
        connection = self.connection_state or ("online" if is_open else "offline")
        if self.fabric_state is not None:
            return connection, self.fabric_state
        if not self.is_connected:
            return connection, "initialising"
        # Media that once was measured, and now is not, does not flow.
        is_established = has_samples or not self._meters
        return connection, "established" if is_established else "disrupted"

    def is_over(self, now: float) -> bool:
        """Return whether it is closed for so long that no sample is expected any more."""
        return self.closed_at is not None and now >= self.closed_at + REAP_SECONDS

    def due(self) -> float:
        """Return when there is something to do for it next."""
        if self.closed_at is not None:
            return min(self.flush_at, self.closed_at + REAP_SECONDS)
        return self.flush_at if self.record_at is None else min(self.flush_at, self.record_at)
