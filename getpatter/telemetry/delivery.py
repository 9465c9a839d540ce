"""Delivery: what happens to a batch next. Pure: time, answers and chance come in as arguments.

Knows no clock, no socket and no thread. One batch is under way at a time; the rest waits in the
buffer, where the oldest gives way. Every event that is given up is named with its reason.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Event = Mapping[str, object]
    Report = dict[tuple[str, str], int]

__all__ = ["BATCH_EVENTS", "Answer", "Batch", "Delivery", "Drop", "part_key", "retry_after"]

# The collector refuses more.
BATCH_EVENTS = 64

# A collector that is away for a moment is asked again soon; one that is down is left alone.
_FIRST_DELAY = 1.0
_LONGEST_DELAY = 60.0
# Six tries cover about a minute on average, after which newer events matter more.
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
    """Events that travel together: at most 64, one key on every try, and one loss report."""

    __slots__ = ("closed_at", "events", "key", "report", "tries")

    def __init__(
        self, events: "Sequence[Event]", key: str, closed_at: float, report: "Report"
    ) -> None:
        self.events = events
        self.key = key
        self.closed_at = closed_at
        self.report = report
        self.tries = 0


class Answer:
    """What came back: the status (None: nothing did), and what the collector said with it."""

    __slots__ = ("refused", "retry_after", "status")

    def __init__(
        self,
        status: int | None,
        refused: "Sequence[int]" = (),
        retry_after: float | None = None,
    ) -> None:
        self.status = status
        self.refused = refused
        self.retry_after = retry_after


class Drop:
    """Events that are given up, and why. `report` is what their batch would have told."""

    __slots__ = ("events", "reason", "report")

    def __init__(self, events: "Sequence[Event]", reason: str, report: "Report") -> None:
        self.events = events
        self.reason = reason
        self.report = report


def part_key(key: str, part: int) -> str:
    """Return the key of part `part` (from 0) of the batch `key`: 32 hex of SHA-256."""
    import hashlib  # a batch is rarely split, and the host pays for what this module loads

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
    import re  # both: only a collector that names a date pays for reading it
    from datetime import datetime, timezone

    found = re.fullmatch(_HTTP_DATE, text)
    if found is None or found["month"] not in _MONTHS:
        return None
    month = _MONTHS.index(found["month"]) + 1
    day, year, hour, minute, second = map(
        int, found.group("day", "year", "hour", "minute", "second")
    )
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc).timestamp()
    except ValueError:
        return None


class Delivery:
    """The state of one collector: what is under way, and from when on it may be asked again."""

    __slots__ = ("_breaker", "_not_before", "_pending", "delivered")

    def __init__(self) -> None:
        self._pending: list[Batch] = []
        self._not_before = 0.0
        self._breaker = _BREAKER_FIRST
        self.delivered = 0

    @property
    def is_empty(self) -> bool:
        """Whether no batch is under way."""
        return not self._pending

    def waiting(self) -> int:
        """Return how many events are under way."""
        return sum(len(batch.events) for batch in self._pending)

    def add(self, batch: Batch) -> None:
        """Take over a closed batch."""
        self._pending.append(batch)

    def wait(self, now: float) -> float:
        """Return how many seconds the collector is to be left alone; 0 if it may be asked."""
        return max(0.0, self._not_before - now)

    def next(self, now: float) -> Batch | None:
        """Return the batch to send now; None if there is none or the collector rests."""
        return self._pending[0] if self._pending and now >= self._not_before else None

    def answered(self, answer: Answer, now: float, chance: float) -> list[Drop]:
        """Take in the answer to `next`'s batch; return what is given up because of it.

        `chance` in [0, 1) spreads the retries of many clients (full jitter).
        """
        batch = self._pending.pop(0)
        status = answer.status
        if status is not None and 200 <= status < 300:
            return self._accepted(batch, answer)
        if status is None or status in _TRANSIENT or status >= 500:
            return self._later(batch, answer, now, chance)
        if status == 413:
            return self._halve(batch)
        if status in _REFUSED:
            return self._reduce(batch, answer)
        if status in _CLOSED or 300 <= status < 400:
            self._not_before = now + self._breaker
            self._breaker = min(2 * self._breaker, _BREAKER_LONGEST)
        return [Drop(batch.events, "rejected", batch.report)]

    def abandon(self, reason: str) -> list[Drop]:
        """Give up all that is under way."""
        dropped = [Drop(batch.events, reason, batch.report) for batch in self._pending]
        self._pending.clear()
        return dropped

    def _accepted(self, batch: Batch, answer: Answer) -> list[Drop]:
        self._breaker = _BREAKER_FIRST
        refused = [batch.events[index] for index in self._named(batch, answer)]
        self.delivered += len(batch.events) - len(refused)
        # The report was taken with the rest, so it is not to be said again.
        return [Drop(refused, "rejected", {})] if refused else []

    def _later(self, batch: Batch, answer: Answer, now: float, chance: float) -> list[Drop]:
        batch.tries += 1
        pause = chance * min(_FIRST_DELAY * 2**batch.tries, _LONGEST_DELAY)
        self._not_before = now + max(pause, answer.retry_after or 0.0)
        if batch.tries >= _TRIES:
            return [Drop(batch.events, "network_error", batch.report)]
        self._pending.insert(0, batch)
        return []

    def _halve(self, batch: Batch) -> list[Drop]:
        events = batch.events
        if len(events) == 1:
            return [Drop(events, "too_large", batch.report)]
        middle = len(events) // 2
        self._pending[:0] = [
            Batch(events[:middle], part_key(batch.key, 0), batch.closed_at, batch.report),
            Batch(events[middle:], part_key(batch.key, 1), batch.closed_at, {}),
        ]
        return []

    def _reduce(self, batch: Batch, answer: Answer) -> list[Drop]:
        named = self._named(batch, answer)
        kept = [event for index, event in enumerate(batch.events) if index not in named]
        if not named or not kept:
            return [Drop(batch.events, "rejected", batch.report)]
        self._pending.insert(0, Batch(kept, part_key(batch.key, 0), batch.closed_at, batch.report))
        return [Drop([batch.events[index] for index in named], "rejected", {})]

    @staticmethod
    def _named(batch: Batch, answer: Answer) -> list[int]:
        return sorted({index for index in answer.refused if 0 <= index < len(batch.events)})
