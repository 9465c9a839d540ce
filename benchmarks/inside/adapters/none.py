"""No client: what the measurements themselves cost."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def make(port: int, folder: str, *, compress: bool) -> None:
    """Make nothing."""


def recorder(client: None) -> "Callable[[str, Mapping[str, object]], None]":
    """Return a function that forgets."""

    def record(name: str, dimensions: "Mapping[str, object]") -> None:
        pass

    return record


def flush(client: None, seconds: float) -> None:
    """Nothing waits."""


def close(client: None, seconds: float) -> None:
    """Nothing is open."""


def end(client: None) -> None:
    """Nothing to do."""
