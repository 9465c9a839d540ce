"""Delivery: what happens to a batch next. Pure: time, answers and chance come in as arguments.

Knows no clock, no socket, no disk and no thread. `next` says what to do: send a batch, store some,
or wait; what came of it is told with `answered` and `stored`. One request is in flight at a time.
Every event that is given up is named with its reason.
"""

import math
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Event = Mapping[str, object]
    Report = dict[tuple[str, str], int]

__all__ = [
    "BATCH_EVENTS",
    "STORE_SECONDS",
    "Answer",
    "Batch",
    "Delivery",
    "Drop",
    "Send",
    "Store",
    "Wait",
    "is_final",
    "part_key",
    "retry_after",
]

# The collector refuses more.
BATCH_EVENTS = 64

#: An event that is not delivered so long after it was recorded is stored, in seconds: what a
#: process that is killed can lose.
STORE_SECONDS = 1.0
# A collector that is away for a moment is asked again soon; one that is down is left alone.
_FIRST_DELAY = 1.0
_LONGEST_DELAY = 60.0
# What cannot be stored is tried six times, over some seconds; then newer events matter more.
_TRIES = 6
# However long a collector asks to wait: an hour, by the contract.
_LONGEST_RETRY_AFTER = 3_600.0
# The breaker after an answer that no repetition will change: a minute, doubling to an hour.
_BREAKER_FIRST = 60.0
_BREAKER_LONGEST = 3_600.0

# The one form of a date that HTTP still lets anybody send (RFC 9110, 5.6.7); `strptime` would
# read it in the language of the host.
_HTTP_DATE = (
    "[A-Z][a-z]{2}, (?P<day>[0-9]{2}) (?P<month>[A-Z][a-z]{2}) (?P<year>[0-9]{4}) "
    "(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2}) GMT"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_TRANSIENT = frozenset({408, 429})
_CLOSED = frozenset({401, 403, 404, 410})
_REFUSED = frozenset({400, 422})


class Batch:
    """Events that travel together: at most 64, one key on every try, and one loss report.

    `closed_at` and `store_at` are seconds of the monotonic clock: when the batch was closed, and
    when it must be stored if it has not been delivered. `rate` and `version` are those of the run
    that closed it. `place` is where it is stored; None while it is in memory only. `is_done`: it
    has been answered, and is not to be sent again. `body` is what carried it, once it was sent.
    """

    __slots__ = (
        *("body", "closed_at", "events", "is_done", "key", "place", "rate"),
        *("report", "store_at", "tries", "version"),
    )

    def __init__(
        self,
        events: "Sequence[Event]",
        key: str,
        closed_at: float,
        report: "Report",
        *,
        store_at: float | None = None,
        rate: float = 1.0,
        version: str = "0",
    ) -> None:
        self.events = events
        self.key = key
        self.closed_at = closed_at
        self.report = report
        self.store_at = closed_at + STORE_SECONDS if store_at is None else store_at
        self.rate = rate
        self.version = version
        self.place: str | None = None
        self.body: bytes | None = None
        self.is_done = False
        self.tries = 0

    def part(self, events: "Sequence[Event]", number: int, report: "Report") -> "Batch":
        """Return part `number` (from 0) of this batch, under the key of that part."""
        return Batch(
            events,
            part_key(self.key, number),
            self.closed_at,
            report,
            store_at=self.store_at,
            rate=self.rate,
            version=self.version,
        )


class Answer:
    """What came back: the status (None: nothing did), and what the collector said with it."""

    __slots__ = ("max_events", "recommended", "refused", "retry_after", "status")

    def __init__(
        self,
        status: int | None,
        refused: "Sequence[int]" = (),
        retry_after: float | None = None,
        recommended: "Mapping[str, object] | None" = None,
        max_events: int | None = None,
    ) -> None:
        self.status = status
        self.refused = refused
        self.retry_after = retry_after
        self.recommended = recommended
        self.max_events = max_events


class Drop:
    """Events that are given up, and why. `report` is what their batch would have told."""

    __slots__ = ("events", "reason", "report")

    def __init__(self, events: "Sequence[Event]", reason: str, report: "Report") -> None:
        self.events = events
        self.reason = reason
        self.report = report


class Send:
    """Send this batch now, and tell what came back with `answered`."""

    __slots__ = ("batch",)

    def __init__(self, batch: Batch) -> None:
        self.batch = batch


class Store:
    """Store these batches now, and tell for each whether it is with `stored`."""

    __slots__ = ("batches",)

    def __init__(self, batches: "Sequence[Batch]") -> None:
        self.batches = batches


class Wait:
    """There is nothing to do for so many seconds; None: until something is added or answered."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds


def is_final(status: int | None) -> bool:
    """Return whether the collector has said so for good: no repetition will change it soon."""
    return status is not None and (status in _CLOSED or 300 <= status < 400)


def part_key(key: str, part: int) -> str:
    """Return the key of part `part` (from 0) of the batch `key`: 32 hex of SHA-256."""
    import hashlib  # takes longer to load than all of this, and few batches have parts

    return hashlib.sha256(f"{key}:{part}".encode()).hexdigest()[:32]


def retry_after(value: str | None, date: str | None = None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, at most an hour; None if unclear.

    It may also name a time of day. `date`, the answer's own `Date`, says how far away that is:
    the collector's clock against itself, so that ours may be wrong.
    """
    text = (value or "").strip()
    # isdecimal alone takes other scripts' digits.
    if text.isascii() and text.isdecimal():
        return min(float(text), _LONGEST_RETRY_AFTER)
    until, since = _http_date(text), _http_date((date or "").strip())
    if until is None or since is None:
        return None
    return min(max(0.0, until - since), _LONGEST_RETRY_AFTER)


def _http_date(text: str) -> float | None:
    """Return the seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`, None for anything else."""
    found = re.fullmatch(_HTTP_DATE, text)
    if found is None or found["month"] not in _MONTHS:
        return None
    month = _MONTHS.index(found["month"]) + 1
    day, year, hour, minute, second = map(
        int, found.group("day", "year", "hour", "minute", "second")
    )
    from datetime import datetime, timezone  # few collectors name a day

    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc).timestamp()
    except ValueError:
        return None


class Delivery:
    """The state of one collector: what is under way, and from when on it may be asked again."""

    __slots__ = ("_breaker", "_failures", "_in_flight", "_not_before", "_pending", "delivered")

    def __init__(self) -> None:
        self._in_flight: Batch | None = None
        self._pending: list[Batch] = []
        self._not_before = 0.0
        self._failures = 0
        self._breaker = _BREAKER_FIRST
        self.delivered = 0

    @property
    def is_empty(self) -> bool:
        """Whether no batch is under way."""
        return self._in_flight is None and not self._pending

    @property
    def is_in_flight(self) -> bool:
        """Whether a request is."""
        return self._in_flight is not None

    @property
    def has_next(self) -> bool:
        """Whether a batch waits behind the one in flight, or to be tried again."""
        return bool(self._pending)

    @property
    def cannot_store(self) -> bool:
        """Whether a batch waits in memory because it could not be stored."""
        return any(batch.place is None and batch.store_at == math.inf for batch in self._pending)

    def batches(self) -> list[Batch]:
        """Return what is under way, the one in flight first."""
        return [*([] if self._in_flight is None else [self._in_flight]), *self._pending]

    def waiting(self) -> int:
        """Return how many events are under way and in memory only."""
        return sum(len(batch.events) for batch in self.batches() if batch.place is None)

    def add(self, batch: Batch) -> None:
        """Take over a closed batch."""
        self._pending.append(batch)

    def wait(self, now: float) -> float:
        """Return how many seconds the collector is to be left alone; 0 if it may be asked."""
        return max(0.0, self._not_before - now)

    def store_again(self) -> None:
        """Ask once more to store what could not be stored."""
        for batch in self._pending:
            if batch.place is None and batch.store_at == math.inf:
                batch.store_at = batch.closed_at

    def next(self, now: float, *, may_send: bool = True) -> Send | Store | Wait:
        """Return what to do now; never to send unless one `may_send`."""
        batches = self.batches()
        # One batch waits in memory behind the one in flight; what comes after it, on disk.
        queued = self._pending[1:]
        due = [
            batch
            for batch in batches
            if batch.place is None
            and (batch.store_at <= now or (batch in queued and batch.store_at < math.inf))
        ]
        if due:
            return Store(due)
        times = [batch.store_at for batch in batches if batch.place is None]
        if may_send and self._in_flight is None and self._pending:
            if now >= self._not_before:
                self._in_flight = self._pending.pop(0)
                return Send(self._in_flight)
            times.append(self._not_before)
        first = min(times, default=math.inf)
        return Wait(None if first == math.inf else first - now)

    def stored(self, batch: Batch, place: str | None) -> None:
        """Take in that `batch` is stored at `place`; None: it cannot be, so it stays in memory.

        What is stored and not in flight is under way no longer: whoever stored it has it.
        """
        if place is None:
            batch.store_at = math.inf
            return
        batch.place = place
        if batch is not self._in_flight:
            self._pending.remove(batch)

    def answered(  # noqa: PLR0911 - one for each kind of answer
        self, answer: Answer, now: float, chance: float
    ) -> list[Drop]:
        """Take in the answer for the batch in flight; return what is given up because of it.

        `chance` in [0, 1) spreads the retries of many clients (full jitter).
        """
        batch, self._in_flight = self._in_flight, None
        if batch is None:
            return []
        batch.is_done = True
        status = answer.status
        if status is not None and 200 <= status < 300:
            return self._accepted(batch, answer)
        if status is None or status in _TRANSIENT or status >= 500:
            self._failures += 1
            bound = min(_FIRST_DELAY * 2 ** min(self._failures - 1, 16), _LONGEST_DELAY)
            self._not_before = now + max(chance * bound, answer.retry_after or 0.0)
            return self._again(batch, "network_error")
        if status == 413:
            return self._halve(batch)
        if status in _REFUSED:
            return self._reduce(batch, answer)
        if is_final(status):
            self._not_before = now + self._breaker
            self._breaker = min(2 * self._breaker, _BREAKER_LONGEST)
            return self._again(batch, "rejected")
        return [Drop(batch.events, "rejected", batch.report)]

    def abandon(self, reason: str, *, in_flight: bool = True) -> list[Drop]:
        """Give up all that is under way; what is stored is left to whoever stored it.

        Without `in_flight`, what was sent is still to be answered.
        """
        batches = self.batches() if in_flight else self._pending
        dropped = [
            Drop(batch.events, reason, batch.report) for batch in batches if batch.place is None
        ]
        if in_flight:
            self._in_flight = None
        self._pending.clear()
        return dropped

    def _accepted(self, batch: Batch, answer: Answer) -> list[Drop]:
        self._breaker = _BREAKER_FIRST
        self._failures = 0
        refused = [batch.events[index] for index in self._named(batch, answer)]
        self.delivered += len(batch.events) - len(refused)
        # The report was taken with the rest, so it is not to be said again.
        return [Drop(refused, "rejected", {})] if refused else []

    def _again(self, batch: Batch, reason: str) -> list[Drop]:
        """Keep the batch for another try: the store has it, or memory for so many tries."""
        batch.tries += 1
        if batch.tries >= _TRIES and batch.store_at == math.inf:
            return [Drop(batch.events, reason, batch.report)]
        batch.is_done = False
        if batch.place is not None:
            return []
        if batch.store_at < math.inf:
            batch.store_at = batch.closed_at  # it will take a while: nothing is won by waiting
        self._pending.insert(0, batch)
        return []

    def _halve(self, batch: Batch) -> list[Drop]:
        events = batch.events
        if len(events) == 1:
            return [Drop(events, "too_large", batch.report)]
        middle = len(events) // 2
        self._pending[:0] = [
            batch.part(events[:middle], 0, batch.report),
            batch.part(events[middle:], 1, {}),
        ]
        return []

    def _reduce(self, batch: Batch, answer: Answer) -> list[Drop]:
        named = self._named(batch, answer)
        kept = [event for index, event in enumerate(batch.events) if index not in named]
        if not named or not kept:
            return [Drop(batch.events, "rejected", batch.report)]
        self._pending.insert(0, batch.part(kept, 0, batch.report))
        return [Drop([batch.events[index] for index in named], "rejected", {})]

    @staticmethod
    def _named(batch: Batch, answer: Answer) -> list[int]:
        return sorted({index for index in answer.refused if 0 <= index < len(batch.events)})
