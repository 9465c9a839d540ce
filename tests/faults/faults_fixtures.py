"""The fixtures of this tier."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from host import Host
from relay import Relay, relaying
from stage import Stage

from getpatter.telemetry.testing import Receiver


@pytest.fixture
def relay(receiver: Receiver) -> Iterator[Relay]:
    """What stands between the programs and the receiver, and can misbehave."""
    with relaying(receiver) as made:
        yield made


@pytest.fixture
def stage(tmp_path: Path, receiver: Receiver, relay: Relay) -> Iterator[Stage]:
    """A machine on which nothing ran yet; its programs report to the relay."""
    made = Stage(Path(sys.executable), tmp_path, receiver)
    made.environ["PATTER_TELEMETRY_ENDPOINT"] = relay.endpoint
    yield made
    made.close()


@pytest.fixture
def host(stage: Stage) -> Host:
    """A host on that machine."""
    return Host(stage)
