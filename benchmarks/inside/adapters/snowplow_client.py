"""snowplow-tracker: the default tracker, whose emitter sends ten events at a time."""

from snowplow_tracker import SelfDescribing, SelfDescribingJson, Snowplow, Tracker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def make(port: int, folder: str, *, compress: bool) -> Tracker:
    """Make the tracker; it cannot compress."""
    return Snowplow.create_tracker("benchmark", f"http://127.0.0.1:{port}")


def recorder(client: Tracker) -> "Callable[[str, Mapping[str, object]], None]":
    """Return what tracks one self-describing event, the kind its documentation recommends."""

    def record(name: str, dimensions: "Mapping[str, object]") -> None:
        schema = f"iglu:com.example/{name}/jsonschema/1-0-0"
        client.track(SelfDescribing(SelfDescribingJson(schema, dict(dimensions))))

    return record


def flush(client: Tracker, seconds: float) -> None:
    """Wait for delivery, however long it takes."""
    client.flush()


def close(client: Tracker, seconds: float) -> None:
    """Flush; there is nothing to close."""
    flush(client, seconds)


def end(client: Tracker) -> None:
    """Flush, as its documentation asks before a program exits."""
    client.flush()
