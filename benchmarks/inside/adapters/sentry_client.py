"""sentry-sdk: structured logs, with the default integrations, one of which drains at exit."""

import sentry_sdk
from sentry_sdk import logger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def make(port: int, folder: str, *, compress: bool) -> None:
    """Initialize the SDK, which is one for the process; it always compresses."""
    sentry_sdk.init(dsn=f"http://key@127.0.0.1:{port}/1", enable_logs=True)


def recorder(client: None) -> "Callable[[str, Mapping[str, object]], None]":
    """Return what logs one event with its dimensions as attributes."""

    def record(name: str, dimensions: "Mapping[str, object]") -> None:
        logger.info(name, attributes=dict(dimensions))

    return record


def flush(client: None, seconds: float) -> None:
    """Wait for delivery."""
    sentry_sdk.flush(timeout=seconds)


def close(client: None, seconds: float) -> None:
    """Wait for delivery and end."""
    sentry_sdk.get_client().close(timeout=seconds)


def end(client: None) -> None:
    """Nothing: its exit integration waits."""
