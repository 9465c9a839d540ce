"""A batch that was judged, and what is answered to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from getpatter.collector.keys import Key

__all__ = ["BatchAnswer", "Loss", "ReceivedBatch", "RefusalKind", "RefusedEvent"]

#: Status, schema version, event, pointer, rule, sdk_version.
RefusalKind = tuple[int, "int | None", "str | None", "str | None", str, "str | None"]
#: Event and reason, of the client's lists.
Loss = tuple[str, str]


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """Why an event of a batch is not taken: index, JSON pointer, keyword of the schema."""

    index: int
    pointer: str
    rule: str


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """What is answered to a batch; a repeated key gets the first answer."""

    accepted: int
    refused: tuple[RefusedEvent, ...] = ()
    is_repeated: bool = False


@dataclass(slots=True)
class ReceivedBatch:
    """A request that is in order. `events` are valid; those that are not stand in `refused`."""

    key: Key
    received: int
    age: int
    rate: float | None
    events: list[tuple[int, dict[str, Any]]]  # with the index in the request
    refused: list[RefusedEvent] = field(default_factory=list)
    refusals: list[RefusalKind] = field(default_factory=list)
    losses: dict[Loss, int] = field(default_factory=dict)
    size: int = 0  # events, refused ones included
