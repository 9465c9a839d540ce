"""`Receiver`: a collector on the loopback interface.

It judges with `jsonschema` and the embedded schema files, never with the client's own check, so
that the two stay independent. Nothing here leaves the machine, writes a file or logs. All that a
receiver has taken is its own and guarded by its one condition.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from getpatter.telemetry._clock import seconds
from getpatter.telemetry.judge import Judge, Violation
from getpatter.telemetry.testing.exchange import (
    Answer,
    Request,
    RequestError,
    encode,
    read_events,
)
from getpatter.telemetry.testing.server import Server

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Receiver", "Refusal"]

_HEX_ID = re.compile("[0-9a-f]{32}")
_MAX_EVENTS = 64
# What a collector may say that it takes, by the contract.
_MAX_EVENTS_SAID = 512
# The earlier schema versions of released clients.
_EARLIER = frozenset({5, 7})
_INSTALL = re.compile(".*/v1/installs/([^/]*)")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Where and why an event was refused: index in the batch, JSON pointer, keyword of the schema.

    Nothing of the event's content is kept.
    """

    index: int
    pointer: str
    rule: str


# What may be scripted: a status, an answer, a function of the request, None for the usual answer.
Scripted = int | Answer | Callable[[Request], int | Answer | None] | None


class Receiver:
    """A collector for tests: takes batches over HTTP, judges them, keeps what it accepts.

    It listens on a free port of 127.0.0.1 from construction to `close`, or to the end of a
    ``with`` block. It refuses what the deployed collector refuses: anything but a JSON array of 1
    to 64 events of at most 1 MiB. A key that was seen before gets the same answer and counts
    nothing again. A request without a key and without any header of ours is of a released client:
    its `is_legacy` is true, the body stands for the key, and events of earlier schema versions are
    judged by those. A request is recorded before it is answered, so it is here when its client has
    the answer.

    >>> import requests
    >>> with Receiver() as receiver:
    ...     answer = requests.post(
    ...         receiver.endpoint,
    ...         json=[{"event": "hello"}],
    ...         headers={"Idempotency-Key": "0123456789abcdef" * 2},
    ...         timeout=5,
    ...     )
    >>> answer.json()
    {'accepted': 0, 'refused': [{'index': 0, 'pointer': '/event', 'rule': 'enum'}]}
    >>> receiver.refused
    [Refusal(index=0, pointer='/event', rule='enum')]
    >>> receiver.events
    []

    With ``erasure=False`` it answers a request to erase with 404, as a collector that cannot.
    ``recommended`` is put into every answer to a batch. With ``max_events`` every answer says that
    a request may have so many events, and then it may.
    """

    def __init__(
        self,
        *,
        erasure: bool = True,
        recommended: Mapping[str, object] | None = None,
        max_events: int | None = None,
    ) -> None:
        if max_events is not None and not 1 <= max_events <= _MAX_EVENTS_SAID:
            message = f"max_events must be a number from 1 to {_MAX_EVENTS_SAID}"
            raise ValueError(message)
        self.recommended = recommended
        self._erasure = erasure
        self._most = _MAX_EVENTS if max_events is None else max_events
        self._judge = Judge()
        self._earlier: dict[int, Judge] = {}
        self._condition = threading.Condition()  # guards everything down to the script
        self._events: list[dict[str, Any]] = []
        self._refused: list[Refusal] = []
        self._requests: list[Request] = []
        self._losses: dict[tuple[str, str], int] = {}
        self._answers: dict[str, bytes] = {}  # idempotency key -> body
        self._erasures = 0
        self._script: deque[Scripted] = deque()
        self._server = Server(self._respond, max_events)
        # The loop looks at the end only between polls: 20 ms is how long close() may take.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="patter-receiver", daemon=True
        )
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """The URL to send batches to."""
        return f"http://127.0.0.1:{self._server.server_port}/v1/ingest"

    @property
    def events(self) -> list[dict[str, Any]]:
        """The accepted events, in order of arrival, without erased ones."""
        with self._condition:
            return list(self._events)

    @property
    def refused(self) -> list[Refusal]:
        """Where and why events were refused."""
        with self._condition:
            return list(self._refused)

    @property
    def requests(self) -> list[Request]:
        """All requests, whatever they were answered."""
        with self._condition:
            return list(self._requests)

    @property
    def losses(self) -> dict[tuple[str, str], int]:
        """Losses that clients reported: (event, reason) -> how many."""
        with self._condition:
            return dict(self._losses)

    def answer(self, *answers: Scripted) -> None:
        """Script the answers to the next requests, whatever these are; then all is as usual.

        A scripted 2xx takes the batch if it is in order, else the usual refusal is answered.
        """
        with self._condition:
            self._script.extend(answers)

    def wait_for(self, count: int, timeout: float = 5.0) -> list[dict[str, Any]]:
        """Return the accepted events once there are ``count``; AssertionError after timeout."""
        with self._condition:
            if not self._condition.wait_for(lambda: len(self._events) >= count, seconds(timeout)):
                names = [event["event"] for event in self._events]
                message = (
                    f"{count} events expected within {timeout} s, {len(names)} arrived: {names}; "
                    f"{len(self._refused)} refused in {len(self._requests)} requests"
                )
                raise AssertionError(message)
            return list(self._events)

    def close(self) -> None:
        """Stop listening and end all connections. May be called again."""
        self._server.end()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _respond(self, request: Request, problem: RequestError | None) -> Answer:
        with self._condition:
            scripted = self._script.popleft() if self._script else None
        if callable(scripted):  # without the lock: it may wait, and may ask this receiver
            scripted = scripted(request)
        if isinstance(scripted, int):
            scripted = Answer(scripted)
        with self._condition:
            answer = self._decide(request, problem, scripted)
            self._requests.append(replace(request, status=answer.status))
            self._condition.notify_all()
        return answer

    def _decide(
        self, request: Request, problem: RequestError | None, scripted: Answer | None
    ) -> Answer:
        if scripted and not 200 <= scripted.status < 300:
            return scripted
        try:
            if problem:
                raise problem
            body = self._take(request)
        except RequestError as error:
            refusal = Answer(error.status, body=encode({"error": str(error)}))
            if scripted:
                return replace(refusal, delay=scripted.delay, close=scripted.close)
            return refusal
        if scripted:
            return replace(scripted, body=body if scripted.body is None else scripted.body)
        return Answer(200, body=body)

    def _take(self, request: Request) -> bytes:
        path = request.path.partition("?")[0]
        install = _INSTALL.fullmatch(path)
        if install and self._erasure:
            return self._erase(request.method, install[1])
        if not path.endswith("/v1/ingest"):
            raise RequestError(404, "no such resource")
        if request.method != "POST":
            raise RequestError(405, "only POST")
        if request.headers.get_content_type() != "application/json":
            raise RequestError(415, "not application/json")
        if request.is_legacy:
            key = f"body {hashlib.sha256(request.body).hexdigest()}"
        else:
            key = request.idempotency_key or ""
            if not _HEX_ID.fullmatch(key):
                raise RequestError(400, "Idempotency-Key is not 32 hexadecimal digits")
        _ = request.batch_age, request.sample_rate  # read for what is wrong with them
        losses, events = request.client_report, read_events(request.headers, request.body)
        if len(events) > self._most:
            raise RequestError(413, f"more than {self._most} events")
        if key not in self._answers:
            judges = [self._judge_of(event, request) for event in events]
            verdicts = [
                next(judge.violations(event), None)
                for judge, event in zip(judges, events, strict=True)
            ]
            self._answers[key] = self._store(events, verdicts, losses)
        return self._answers[key]

    def _judge_of(self, event: object, request: Request) -> Judge:
        """Return who judges an event: only a released client may send earlier versions."""
        version = event.get("schema_version") if isinstance(event, dict) else None
        if not request.is_legacy or type(version) is not int or version not in _EARLIER:
            return self._judge
        if version not in self._earlier:
            self._earlier[version] = Judge(version)
        return self._earlier[version]

    def _store(
        self,
        events: list[Any],
        verdicts: list[Violation | None],
        losses: dict[tuple[str, str], int],
    ) -> bytes:
        accepted = [event for event, verdict in zip(events, verdicts, strict=True) if not verdict]
        refused = [Refusal(i, *verdict[:2]) for i, verdict in enumerate(verdicts) if verdict]
        self._events += accepted
        self._refused += refused
        for loss, count in losses.items():
            self._losses[loss] = self._losses.get(loss, 0) + count
        answer: dict[str, object] = {
            "accepted": len(accepted),
            "refused": [{"index": r.index, "pointer": r.pointer, "rule": r.rule} for r in refused],
        }
        if self.recommended is not None:
            answer["recommended"] = dict(self.recommended)
        return encode(answer)

    def _erase(self, method: str, install_id: str) -> bytes:
        if method != "DELETE":
            raise RequestError(405, "only DELETE")
        if not _HEX_ID.fullmatch(install_id):
            raise RequestError(400, "an install ID is 32 hexadecimal digits")
        self._events = [e for e in self._events if e.get("install_id") != install_id]
        self._erasures += 1
        return encode({"receipt": f"erasure-{self._erasures}"})
