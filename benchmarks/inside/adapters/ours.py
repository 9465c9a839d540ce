"""getpatter.telemetry. Where its state is kept and how it exits, the environment says."""

from getpatter.telemetry import TelemetryClient

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def make(port: int, folder: str, *, compress: bool) -> TelemetryClient:
    """Make the client; it compresses by itself once the collector has said that it may."""
    return TelemetryClient(sdk_version="1.0", endpoint=f"http://127.0.0.1:{port}/v1/ingest")


def recorder(client: TelemetryClient) -> "Callable[[str, Mapping[str, object]], None]":
    """Return what records one event."""
    keep = client.record

    def record(name: str, dimensions: "Mapping[str, object]") -> None:
        keep(name, **dimensions)

    return record


def flush(client: TelemetryClient, seconds: float) -> None:
    """Wait for delivery."""
    client.flush(seconds)


def close(client: TelemetryClient, seconds: float) -> None:
    """Wait for delivery and end."""
    client.close(seconds)


def end(client: TelemetryClient) -> None:
    """Nothing: it sees to the end by itself."""
