"""An opt-out while a program runs: the next send does not happen, and the queue is emptied."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Run
from in_process import client as make_client
from in_process import environment

from getpatter.telemetry import TelemetryClient
from getpatter.telemetry.testing import Answer, Receiver


@pytest.fixture
def client(tmp_path: Path, receiver: Receiver) -> Iterator[TelemetryClient]:
    with closing(make_client(tmp_path, receiver.endpoint)) as made:
        yield made


def opt_out(directory: Path) -> None:
    (directory / "state" / "telemetry-disabled").touch()


def send(client: TelemetryClient, count: int) -> None:
    for number in range(count):
        client.record("agent_configured", builtin_tool_count=number)


def test_the_next_send_does_not_happen_and_the_queue_is_emptied(
    client: TelemetryClient, receiver: Receiver, tmp_path: Path
) -> None:
    send(client, 1)
    assert client.flush(5)
    opt_out(tmp_path)
    send(client, 200)
    assert client.flush(5)
    send(client, 3)
    assert client.flush(5)
    assert len(receiver.requests) == 1
    assert client.stats() == {
        "delivered": 1,
        "waiting": 0,
        "spooled": 0,
        "lost": {"agent_configured": {"opted_out": 203}},
    }


def test_a_retry_does_not_happen_either(
    client: TelemetryClient, receiver: Receiver, tmp_path: Path
) -> None:
    def opt_out_and_fail(_: object) -> Answer:
        opt_out(tmp_path)
        return Answer(503, headers={"Retry-After": "0"})

    receiver.answer(opt_out_and_fail)
    send(client, 1)
    assert client.flush(10)
    assert len(receiver.requests) == 1
    assert client.stats()["lost"] == {"agent_configured": {"opted_out": 1}}


def test_what_waits_behind_a_request_under_way_does_not_follow_it(
    client: TelemetryClient, receiver: Receiver, tmp_path: Path
) -> None:
    arrived, let_go = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        arrived.set()
        assert let_go.wait(10)

    receiver.answer(hold)
    send(client, 1)
    client.flush_pending()
    assert arrived.wait(10)
    send(client, 500)
    opt_out(tmp_path)
    let_go.set()
    assert client.flush(10)
    assert len(receiver.requests) == 1
    assert client.stats() == {
        "delivered": 1,
        "waiting": 0,
        "spooled": 0,
        "lost": {"agent_configured": {"opted_out": 500}},
    }


def test_a_marker_in_a_legacy_place_and_a_variable_count_as_well(
    tmp_path: Path, receiver: Receiver
) -> None:
    for change in ("legacy", "variable"):
        directory = tmp_path / change
        directory.mkdir()
        variables = environment(directory, receiver.endpoint)
        with closing(TelemetryClient(sdk_version="1", environ=variables)) as client:
            assert client.enabled
            if change == "legacy":
                (directory / ".getpatter").mkdir()
                (directory / ".getpatter" / "telemetry-disabled").touch()
            else:
                variables["DO_NOT_TRACK"] = "1"
            send(client, 2)
            assert client.flush(5)
            assert client.stats()["lost"] == {"agent_configured": {"opted_out": 2}}
    assert receiver.requests == []


@pytest.mark.parametrize("place", ["state", ".getpatter"])
def test_an_opt_out_is_found_where_the_run_began(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """The program has changed its directory and its HOME since."""
    monkeypatch.chdir(tmp_path)
    variables = environment(tmp_path, receiver.endpoint, PATTER_TELEMETRY_STATE_DIR="state")
    with closing(TelemetryClient(sdk_version="1", environ=variables)) as client:
        assert client.enabled
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        variables["HOME"] = str(tmp_path / "elsewhere")
        send(client, 1)
        assert client.flush(5)
        (tmp_path / place).mkdir(exist_ok=True)
        (tmp_path / place / "telemetry-disabled").touch()
        send(client, 2)
        assert client.flush(5)
        assert client.stats()["lost"] == {"agent_configured": {"opted_out": 2}}
    assert len(receiver.events) == 1
    assert (tmp_path / "state" / "install-id").is_file()
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("change", ["chdir", "nothing"])
def test_the_rate_of_the_dotenv_holds_wherever_the_program_goes(
    tmp_path: Path,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("PATTER_TELEMETRY_SAMPLE=0%\n")
    with closing(make_client(tmp_path, receiver.endpoint)) as client:
        if change == "chdir":
            (tmp_path / "elsewhere").mkdir()
            monkeypatch.chdir(tmp_path / "elsewhere")
        client.record("call_started", direction="inbound")
        send(client, 1)
        assert client.flush(5)
    assert [event["event"] for event in receiver.events] == ["agent_configured"]


def test_an_opt_out_before_the_first_send_leaves_no_identity_behind(
    run: Run, receiver: Receiver, home: Path
) -> None:
    code = """
from getpatter.telemetry import TelemetryClient, install_id
client = TelemetryClient(sdk_version="1")
assert client.enabled
install_id.set_opt_out(True)
client.record("cli_command", cli_command="demo")
assert client.flush(5)
print(client.stats()["lost"])
"""
    done = run(code)
    assert done.stdout == "{'cli_command': {'opted_out': 1}}\n", done.stderr
    assert done.stderr == ""
    assert receiver.requests == []
    assert {path.name for path in home.rglob("*") if path.is_file()} == {"telemetry-disabled"}
