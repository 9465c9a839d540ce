"""mixpanel: the buffered consumer, which sends 50 events at a time on the caller's thread."""

from mixpanel import BufferedConsumer, Mixpanel, MixpanelException

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Client = tuple[Mixpanel, BufferedConsumer]


def make(port: int, folder: str, *, compress: bool) -> Client:
    """Make the client; it cannot compress."""
    consumer = BufferedConsumer(events_url=f"http://127.0.0.1:{port}/track")
    return Mixpanel("token", consumer=consumer), consumer


def recorder(client: Client) -> "Callable[[str, Mapping[str, object]], None]":
    """Return what tracks one event of one anonymous install."""
    mixpanel = client[0]

    def record(name: str, dimensions: "Mapping[str, object]") -> None:
        try:
            mixpanel.track("4c3f0d8f1e6b4a7d", name, dict(dimensions))
        except MixpanelException:
            return  # a program would go on without the batch

    return record


def flush(client: Client, seconds: float) -> None:
    """Send what is buffered, however long it takes."""
    try:
        client[1].flush()
    except MixpanelException:
        return


def close(client: Client, seconds: float) -> None:
    """Send what is buffered; there is nothing to close."""
    flush(client, seconds)


def end(client: Client) -> None:
    """Flush, as its documentation asks before a program exits."""
    flush(client, 0)
