"""Batch: events that travel together, and the answer to them. Values, without any effect."""

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    Event = Mapping[str, object]
    Report = dict[tuple[str, str], int]

__all__ = ["Batch", "Response", "encode", "part_key"]


class Batch:
    """Events under one key, the same on every try, and the loss report that goes with them.

    `closed_at` is when it was closed, in seconds of the monotonic clock. `rate` and `version` are
    those of the run that closed it. `tries` counts the requests that did not settle it, `faults`
    those of them that a bug of ours kept from being made; `headers` are those of the last request.
    """

    __slots__ = (
        *("body", "closed_at", "events", "faults", "headers", "key", "rate", "report"),
        *("tries", "version"),
    )

    def __init__(
        self,
        events: "Sequence[Event]",
        key: str,
        closed_at: float,
        report: "Report",
        *,
        rate: float = 1.0,
        version: str = "0",
    ) -> None:
        self.events = events
        self.key = key
        self.closed_at = closed_at
        self.report = report
        self.rate = rate
        self.version = version
        self.body: bytes | None = None
        self.headers: dict[str, str] = {}
        self.tries = 0
        self.faults = 0

    def encoded(self) -> bytes:
        """Return the body that carries it."""
        if self.body is None:
            self.body = encode(self.events)
        return self.body

    def halves(self) -> "list[Batch]":
        """Return its two halves; the report travels with the first."""
        middle = len(self.events) // 2
        return [
            self._part(self.events[:middle], 0, self.report),
            self._part(self.events[middle:], 1, {}),
        ]

    def without(self, indices: "Collection[int]") -> "Batch":
        """Return it without the events of these indices, as one part."""
        kept = [event for index, event in enumerate(self.events) if index not in indices]
        return self._part(kept, 0, self.report)

    def _part(self, events: "Sequence[Event]", number: int, report: "Report") -> "Batch":
        return Batch(
            events,
            part_key(self.key, number),
            self.closed_at,
            report,
            rate=self.rate,
            version=self.version,
        )


class Response:
    """What came back: the status (None: no answer), and what the collector sent with it.

    `max_events` is how many events it takes in one batch, if it says so.
    """

    __slots__ = ("max_events", "reason", "recommended", "refused", "retry_after", "status")

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
        #: Why no request was made: `opted_out`, or `internal_error` for a bug of ours; "" if one
        #: was.
        self.reason = ""

    @classmethod
    def none(cls, reason: str) -> "Response":
        """Return the answer to a request that was not made, for this reason."""
        answer = cls(None)
        answer.reason = reason
        return answer


def part_key(key: str, part: int) -> str:
    """Return the key of part `part` (from 0) of the batch `key`: 32 hex of SHA-256."""
    import hashlib  # takes longer to load than all of this, and few batches have parts

    return hashlib.sha256(f"{key}:{part}".encode()).hexdigest()[:32]


def encode(events: "Iterable[Mapping[str, object]]") -> bytes:
    """Return the body that carries `events`: the one serialiser of the wire and what shows it."""
    return json.dumps(list(events), separators=(",", ":"), allow_nan=False).encode("ascii")
