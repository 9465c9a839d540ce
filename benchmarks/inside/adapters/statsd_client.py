"""statsd: one datagram a counter, nothing kept, nothing known of its fate. The floor."""

from statsd import StatsClient

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def make(port: int, folder: str, *, compress: bool) -> StatsClient:
    """Make the client."""
    return StatsClient("127.0.0.1", port)


def recorder(client: StatsClient) -> "Callable[[str, Mapping[str, object]], None]":
    """Return what counts one event; its dimensions cannot be said."""

    def record(name: str, dimensions: "Mapping[str, object]") -> None:
        client.incr(name)

    return record


def flush(client: StatsClient, seconds: float) -> None:
    """Nothing waits."""


def close(client: StatsClient, seconds: float) -> None:
    """Close the socket."""
    client.close()


def end(client: StatsClient) -> None:
    """Nothing to do."""
