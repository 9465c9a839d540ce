"""amplitude-analytics: a client with its defaults; it shuts down at exit by itself."""

from concurrent.futures import wait

from amplitude import Amplitude, BaseEvent, Config

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def make(port: int, folder: str, *, compress: bool) -> Amplitude:
    """Make the client; it cannot compress."""
    return Amplitude("key", Config(server_url=f"http://127.0.0.1:{port}/2/httpapi"))


def recorder(client: Amplitude) -> "Callable[[str, Mapping[str, object]], None]":
    """Return what tracks one event of one anonymous install."""

    def record(name: str, dimensions: "Mapping[str, object]") -> None:
        client.track(
            BaseEvent(name, device_id="4c3f0d8f1e6b4a7d", event_properties=dict(dimensions))
        )

    return record


def flush(client: Amplitude, seconds: float) -> None:
    """Wait for delivery: it hands out a future for each destination that has something to send."""
    wait([pending for pending in client.flush() if pending is not None], timeout=seconds)


def close(client: Amplitude, seconds: float) -> None:
    """Wait for delivery and shut down."""
    flush(client, seconds)
    client.shutdown()


def end(client: Amplitude) -> None:
    """Nothing: it registers its own exit hook."""
