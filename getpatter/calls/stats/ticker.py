"""The ticker: what the service's thread does with jobs, samples and the time.

Asks the registry what to emit, and emits it: events to the publisher of the call, records to the
callbacks. Counts what became of everything. Owned by the thread, but for the counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from getpatter.calls.stats.registry import OutOfPlace, Registry
from getpatter.telemetry._counter import AtomicCounter

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from getpatter.calls.callbacks.subscriptions import Callbacks
    from getpatter.calls.stamp import Stamp
    from getpatter.calls.stats.jobs import Sample
    from getpatter.calls.stats.participant import Input, Output

    class Publisher(Protocol):
        """Where the events of a call go; answers whether it was taken. Never waits or raises."""

        def emit(self, event_type: str, data: object, /) -> bool: ...

    class Numbering(Publisher, Protocol):
        """One that numbers events when they are recorded, and so has to know of lost ones."""

        def stamp(self, kind: str, participant: str, owner: str, /) -> Stamp: ...
        def lose(self, reason: str, /) -> None: ...


__all__ = ["Tally", "Ticker"]


class Tally:
    """How often what became of what. Safe from any thread; takes no lock, as `EventLosses`."""

    def __init__(self) -> None:
        self._counters: dict[tuple[str, str], AtomicCounter] = {}

    def count(self, what: str, became: str, times: int = 1) -> None:
        """Count."""
        # One step: two that arrive together get the same counter.
        counter = self._counters.setdefault((what, became), AtomicCounter())
        for _ in range(times):
            counter.add()

    def totals(self) -> dict[str, dict[str, int]]:
        """Return how often, by what it was and what became of it."""
        counts: dict[str, dict[str, int]] = {}
        for (what, became), counter in self._counters.copy().items():
            counts.setdefault(what, {})[became] = counter.value()
        return counts


class Ticker:
    """Does the work of the service's thread. No method raises."""

    def __init__(
        self,
        publisher: Callable[[str], Publisher | None],
        callbacks: Callbacks,
        on_forgotten: Callable[[str], object] | None,
        clock: Callable[[], float],
    ) -> None:
        self._publisher = publisher
        self._callbacks = callbacks
        self._on_forgotten = on_forgotten
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Begin with nothing: in the constructor, and in a `fork` child, whose parent emits the
        rest.
        """
        self.registry = Registry()
        self.tally = Tally()

    def do(self, what: str, call: object, job: Callable[[], object]) -> None:
        """Do a job, and count it as `done`, or by the reason that it was refused for."""
        if self._guard(what, call, job):
            self.tally.count(what, "done")

    def take_samples(self, batch: list[Sample]) -> None:
        """Take the samples of one job."""
        done = 0
        for call, participant, at, values in batch:
            try:
                self.registry.sample(call, participant, at, values)
                done += 1
            except OutOfPlace as refused:
                self._refuse("sample", call, str(refused))
            except Exception:  # the thread's catch-all: an error of ours must not end it
                self._refuse("sample", call, "internal_error")
        self.tally.count("sample", "done", done)

    def event(self, said: Input) -> None:
        """Take an event; raises `OutOfPlace`."""
        self._emit(self.registry.event(said))

    def next_due(self) -> float | None:
        """Return when there is something to emit next."""
        return self.registry.next_due()

    def tick(self) -> None:
        """Emit what is due."""
        self._guard("tick", None, lambda: self._emit(self.registry.due(self._clock())))

    def flush(self) -> None:
        """Emit what is due, and what all samples so far amount to."""
        self.tick()
        self._guard("flush", None, lambda: self._emit(self.registry.flush()))

    def broken(self) -> None:
        """Count an error of ours, or one that was raised in the thread from outside."""
        self.tally.count("job", "internal_error")

    def _guard(self, what: str, call: object, job: Callable[[], object]) -> bool:
        try:
            job()
        except OutOfPlace as refused:
            self._refuse(what, call, str(refused))
        except Exception:  # the thread's catch-all, as above
            self._refuse(what, call, "internal_error")
        else:
            return True
        return False

    def _refuse(self, what: str, call: object, reason: str) -> None:
        self.tally.count(what, reason)
        try:
            message = f"call {call!r:.80}: {what} refused: {reason}"
            named = call if isinstance(call, str) else None
            self._callbacks.error(reason, "internal", message, call=named)
        except Exception:  # of the id itself: even then the thread goes on
            self.tally.count("error", "internal_error")

    def _emit(self, outputs: list[Output]) -> None:
        for output in outputs:
            try:
                self._emit_one(output)
            except Exception:  # of a publisher: the others are emitted all the same
                self.tally.count("told", "internal_error")

    def _emit_one(self, output: Output) -> None:
        if output.kind == "stats":
            if self._callbacks.wants("stats", output.call):
                self._callbacks.dispatch("stats", output.data, call=output.call)
        elif output.kind == "forgotten":
            self._callbacks.forget(output.call)
            if self._on_forgotten is not None:
                self._on_forgotten(output.call)
        else:
            publisher = self._publisher(output.call)
            stamp = {} if output.stamp is None else {"stamp": output.stamp}
            was_taken = publisher is not None and publisher.emit(output.kind, output.data, **stamp)
            self.tally.count("told", "taken" if was_taken else "not_published")
