"""Clients in the test's own process: with an environment of their own, since a test run is off."""

import time
from collections.abc import Callable
from pathlib import Path

from getpatter.telemetry import TelemetryClient


def environment(directory: Path, endpoint: str, **variables: str) -> dict[str, str]:
    """A user's environment with its state below `directory`."""
    place = directory / "state"
    place.mkdir(mode=0o700, exist_ok=True)
    return {
        "HOME": str(directory),
        "PATTER_TELEMETRY_STATE_DIR": str(place),
        "PATTER_TELEMETRY_ENDPOINT": endpoint,
        **variables,
    }


def client(directory: Path, endpoint: str, **variables: str) -> TelemetryClient:
    """A client that is on; its state is below `directory`."""
    made = TelemetryClient(
        sdk_version="1.2.3", environ=environment(directory, endpoint, **variables)
    )
    assert made.enabled
    return made


def count(stats: dict[str, object]) -> int:
    """How many events `stats` accounts for: a bad dimension costs no event."""
    lost = stats["lost"]
    assert isinstance(lost, dict)
    gone: int = sum(
        times
        for reasons in lost.values()
        for reason, times in reasons.items()
        if reason != "bad_dimension"
    )
    kept = [stats[name] for name in ("delivered", "waiting", "spooled")]
    return gone + sum(number for number in kept if isinstance(number, int))


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Look again and again until it holds; fail if it does not in so many seconds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)
