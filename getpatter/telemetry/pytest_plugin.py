"""The pytest plugin of getpatter: telemetry is off in tests, and can be captured in one.

Loads nothing of ours until a test asks for `getpatter_telemetry`. That this module is loaded is
what keeps this process from the deployed collector, whatever a test does to its environment
(`transport.usable_endpoint`); child processes inherit the two variables that are set here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from getpatter.telemetry.testing import Capture

__all__ = ["getpatter_telemetry"]

_IS_SILENCED = pytest.StashKey[bool]()
# No URL, so that it sends nothing: for a child process that loses the opt-out.
_NO_ENDPOINT = "none-in-a-test-run"


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Turn telemetry off before any conftest is loaded, which may construct a client."""
    _silence(early_config)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Do it now if this plugin was loaded late, by a conftest."""
    _silence(config)


def _silence(config: pytest.Config) -> None:
    if config.stash.get(_IS_SILENCED, False):
        return
    config.stash[_IS_SILENCED] = True
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    patch.setenv("PATTER_TELEMETRY", "0")
    patch.setenv("PATTER_TELEMETRY_ENDPOINT", _NO_ENDPOINT)


@pytest.fixture
def getpatter_telemetry(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Capture]:
    """The telemetry of the clients made in this test, captured: `events`, `assert_events(…)`.

    Fails the test if anything that it recorded was invalid.
    """
    from getpatter.telemetry.testing import Capture, Receiver  # only the test that asks pays

    with Receiver() as receiver:
        capture = Capture(receiver, tmp_path_factory.mktemp("getpatter-telemetry"))
        capture.begin(monkeypatch)
        yield capture
        problems = capture.problems
        capture.end()
    if problems:
        pytest.fail("telemetry recorded in this test:\n" + "\n".join(problems), pytrace=False)
