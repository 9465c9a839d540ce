"""rudder-sdk-python: a client with its defaults; it joins its thread at exit by itself."""

from rudderstack.analytics.client import Client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def make(port: int, folder: str, *, compress: bool) -> Client:
    """Make the client; it always compresses."""
    return Client("key", host=f"http://127.0.0.1:{port}")


def recorder(client: Client) -> "Callable[[str, Mapping[str, object]], None]":
    """Return what tracks one event of one anonymous install."""

    def record(name: str, dimensions: "Mapping[str, object]") -> None:
        client.track(anonymous_id="4c3f0d8f1e6b4a7d", event=name, properties=dict(dimensions))

    return record


def flush(client: Client, seconds: float) -> None:
    """Wait for delivery, however long it takes."""
    client.flush()


def close(client: Client, seconds: float) -> None:
    """Shut down, however long it takes."""
    client.shutdown()


def end(client: Client) -> None:
    """Nothing: it registers its own exit hook."""
