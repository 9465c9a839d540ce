"""The fixtures of this tier."""

from collections.abc import Iterator

import pytest
from collector_process import Collector, Start, starting


@pytest.fixture
def start() -> Iterator[Start]:
    with starting() as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """One collector for the tests of a file that do not end or fill it."""
    with starting() as made:
        yield made(tmp_path_factory.mktemp("shared") / "data")
