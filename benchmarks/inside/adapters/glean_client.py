"""glean-sdk: events in a ping of their own, which it submits at 500 events and we at `flush`.

Its metrics are declared in files; they are in `glean/` beside this one.
"""

import os
import time
from pathlib import Path
from types import SimpleNamespace

from glean import Configuration, Glean, load_metrics, load_pings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_DECLARED = Path(__file__).parent / "glean"
_PENDING = "pending_pings"
# A ping is written on a thread of the SDK's; one without events is never written.
_WRITTEN_SECONDS = 0.3


def make(port: int, folder: str, *, compress: bool) -> SimpleNamespace:
    """Initialize the SDK, which is one for the process; it always compresses."""
    pings = load_pings(_DECLARED / "pings.yaml")
    metrics = load_metrics(_DECLARED / "metrics.yaml")
    data = Path(folder) / "glean"
    Glean.initialize(
        application_id="benchmark",
        application_version="1.0",
        upload_enabled=True,
        configuration=Configuration(server_endpoint=f"http://127.0.0.1:{port}"),
        data_dir=data,
    )
    return SimpleNamespace(pings=pings, metrics=metrics.telemetry, data=data)


def recorder(client: SimpleNamespace) -> "Callable[[str, Mapping[str, object]], None]":
    """Return what records one event with its dimensions as extra values, all of them text."""
    kinds = {}
    for name in ("sdk_initialized", "feature_used", "call_started", "call_completed"):
        camel = "".join(part.capitalize() for part in name.split("_"))
        extra = getattr(client.metrics, f"{camel}Extra")
        kinds[name] = (getattr(client.metrics, name), extra)

    def record(name: str, dimensions: "Mapping[str, object]") -> None:
        event, extra = kinds[name]
        event.record(extra(**{key: str(value) for key, value in dimensions.items()}))

    return record


def flush(client: SimpleNamespace, seconds: float) -> None:
    """Submit the ping and wait until no file waits: another process uploads them."""
    client.pings.telemetry.submit()
    begun = time.monotonic()
    folder = client.data / _PENDING
    while (waited := time.monotonic() - begun) < seconds:
        waiting = os.listdir(folder) if folder.is_dir() else []
        if not waiting and waited > _WRITTEN_SECONDS:
            return
        time.sleep(0.01)


def close(client: SimpleNamespace, seconds: float) -> None:
    """Submit and shut down."""
    flush(client, seconds)
    Glean.shutdown()


def end(client: SimpleNamespace) -> None:
    """Submit the ping; the rest its own exit hook does."""
    client.pings.telemetry.submit()
