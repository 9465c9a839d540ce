"""Where nobody can say whether there is an opt-out, telemetry is off and counts what it loses."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from conftest import Run, tree
from descriptors import none_left
from in_process import environment

from getpatter.telemetry import TelemetryClient, consent

ENDPOINT = "http://127.0.0.1:9/v1/ingest"


@contextmanager
def no_descriptor(_: Path) -> Iterator[None]:
    with none_left():
        yield


@contextmanager
def a_long_file(directory: Path) -> Iterator[None]:
    (directory / ".env").write_text("#" * 70_000)
    yield


@contextmanager
def a_circle_of_links(directory: Path) -> Iterator[None]:
    (directory / ".env").symlink_to(".env")
    yield


@contextmanager
def a_place_behind_a_circle(directory: Path) -> Iterator[None]:
    (directory / ".getpatter").symlink_to(".getpatter")
    yield


UNCLEAR = [no_descriptor, a_long_file, a_circle_of_links, a_place_behind_a_circle]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(directory: Path, **variables: str) -> TelemetryClient:
    return TelemetryClient(sdk_version="1", environ=environment(directory, ENDPOINT, **variables))


@pytest.mark.parametrize("unclear", UNCLEAR)
def test_what_is_recorded_is_counted_and_goes_nowhere(
    work: Path, unclear: Callable[[Path], AbstractContextManager[None]]
) -> None:
    (work / ".env").write_text("")
    before = tree(work / "state")
    consent.Consent(environment(work, ENDPOINT)).settings()  # what it loads is there
    (work / ".env").unlink()
    if unclear is no_descriptor:
        (work / ".env").write_text("OTHER=1\n")
    with unclear(work):
        client = made(work)
    assert not client.enabled
    for name in ("call_started", "call_started", "a name of the program's own"):
        client.record(name)
    assert client.flush(0)
    assert client.close(0)
    assert client.stats() == {
        "delivered": 0,
        "waiting": 0,
        "spooled": 0,
        "lost": {"call_started": {"opted_out": 2}, "unknown": {"opted_out": 1}},
    }
    assert tree(work / "state") == before


def test_who_has_said_no_is_not_counted(work: Path) -> None:
    (work / ".env").write_text("#" * 70_000)
    (work / "state").mkdir(mode=0o700)
    (work / "state" / "telemetry-disabled").touch()
    said = [made(work, DO_NOT_TRACK="1")]
    (work / ".env").write_text("DO_NOT_TRACK=1")
    said.append(made(work))
    (work / ".env").unlink()
    said.append(made(work))
    for client in said:
        client.record("call_started")
        assert client.stats()["lost"] == {}


def test_a_program_that_begins_without_a_descriptor_knows_what_it_lost(run: Run) -> None:
    code = """
import resource
from getpatter.telemetry import TelemetryClient
most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (0, most[1]))
client = TelemetryClient(sdk_version="1")
resource.setrlimit(resource.RLIMIT_NOFILE, most)
client.record("call_started")
print(client.enabled, client.stats()["lost"])
"""
    assert run(code).stdout == "False {'call_started': {'opted_out': 1}}\n"
