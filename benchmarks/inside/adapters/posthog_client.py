"""posthog: an explicit client with its defaults; it drains at exit by itself."""

from posthog import Posthog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def make(port: int, folder: str, *, compress: bool) -> Posthog:
    """Make the client."""
    return Posthog("phc_benchmark", host=f"http://127.0.0.1:{port}", gzip=compress)


def recorder(client: Posthog) -> "Callable[[str, Mapping[str, object]], None]":
    """Return what captures one event of one anonymous install."""

    def record(name: str, dimensions: "Mapping[str, object]") -> None:
        client.capture(name, distinct_id="4c3f0d8f1e6b4a7d", properties=dict(dimensions))

    return record


def flush(client: Posthog, seconds: float) -> None:
    """Wait for delivery."""
    client.flush(timeout_seconds=seconds)


def close(client: Posthog, seconds: float) -> None:
    """Shut down, however long it takes."""
    client.shutdown()


def end(client: Posthog) -> None:
    """Nothing: it registers its own exit hook."""
