"""A run: what it records goes through the client's own builder, gate and losses, into batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from getpatter.collector.limits import DAY
from getpatter.collector.simulate.legacy import stated
from getpatter.telemetry.delivery.limits import BATCH_EVENTS
from getpatter.telemetry.events import SCHEMA_VERSION, Builder
from getpatter.telemetry.gate import Gate
from getpatter.telemetry.losses import Losses

if TYPE_CHECKING:
    from getpatter.collector.simulate.delivery import SimulatedDelivery
    from getpatter.collector.simulate.population import Install
    from getpatter.collector.simulate.truth import Truth

__all__ = ["Client", "SimulatedRun"]

# A batch holds what was recorded within so many seconds. A client closes it far sooner; the figures
# are the same, and there are fewer batches to write.
_BATCH_SECONDS = 900


class Client:
    """The client of an install: the real builder, one for all runs since making it takes longest.

    Only the id of the run and the release change in what every event has.
    """

    def __init__(self, install: Install, truth: Truth, delivery: SimulatedDelivery) -> None:
        self.losses = Losses()
        self.install, self.truth, self.delivery = install, truth, delivery
        self._common = _common(install)
        self.builder = Builder(
            self._common, Gate("0" * 32, 1.0), self.losses, age=0.0, asked=install.born
        )

    def begin(self, run_id: str) -> None:
        """Begin a run."""
        self._common["run_id"] = run_id
        self._common["sdk_version"] = self.install.version


class SimulatedRun:
    """One process start of an install; a recorder, as the client's own functions expect one.

    `now` is when the next record is made, in seconds since the epoch. An event is built a second
    time without sampling where sampling has touched it: that one is the truth.
    """

    def __init__(self, client: Client, run_id: str, now: float) -> None:
        self.install = install = client.install
        self.now = now
        self.rate = rate = 1.0 if install.legacy in {5, 7} else float(str(install.traits["rate"]))
        self._run_id = run_id
        self._gate = Gate(run_id, rate)
        self._whole = Gate(run_id, 1.0)
        client.begin(run_id)
        self._losses = client.losses
        self._builder = client.builder
        self._truth = client.truth
        self._seen = client.truth.begin(install, rate)
        self._delivery = client.delivery
        self._batch: list[dict[str, Any]] = []
        self._opened = self._last = now

    def lower_rate(self, rate: float) -> None:
        """Keep fewer of the sampleable events from now on, as a host may ask for."""
        if rate < self.rate and self.install.legacy is None:
            self._close()
            self.rate = rate
            self._gate = Gate(self._run_id, rate)

    def record(self, name: str, /, **dimensions: object) -> None:
        """Build the event and let it leave, if it is not dropped."""
        builder = self._builder
        builder.gate = self._gate
        event = builder.build(name, dimensions, self.now)
        whole = event
        if event is None or "sample_rate" in event:
            builder.gate = self._whole
            whole = builder.build(name, dimensions, self.now)
        install = self.install
        if install.is_node:
            for made in (event, whole):
                if made is not None:
                    made["sdk"], made["runtime"] = install.traits["sdk"], install.traits["runtime"]
        if install.legacy is not None:
            whole = whole and stated(whole, install.legacy, 1.0)
            event = event and stated(event, install.legacy, self.rate)
        if whole is not None:
            self._truth.see(self._seen, whole, self.now)
        if event is not None:
            self._put(event)

    def _put(self, event: dict[str, Any]) -> None:
        if self._batch and (
            len(self._batch) == BATCH_EVENTS
            or self.now - self._opened > _BATCH_SECONDS
            or self.now // DAY != self._opened // DAY  # its day is that of the batch
        ):
            self._close()
        if not self._batch:
            self._opened = self.now
        self._last = self.now
        self._batch.append(event)

    def end(self) -> None:
        """Close the last batch; what was not reported by then never is."""
        self._close()
        self._losses.take_unreported()
        self._truth.end(self._seen)

    def _close(self) -> None:
        if self._batch:
            self._delivery.send(self, self._batch, self._last, self._losses)
            self._batch = []


def _common(install: Install) -> dict[str, object]:
    """Return the fields that every event of an install has, as the client's own `common_fields`.

    Those of another language are put in later: the builder holds Python's schema.
    """
    traits = install.traits
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": "0" * 32,
        "install_id": install.id,
        "sdk": "python",
        "sdk_version": install.version,
        "os": traits["os"],
        "arch": traits["arch"],
        "runtime": "cpython",
        "runtime_version": traits["runtime_version"],
        "ci": False,
    }
