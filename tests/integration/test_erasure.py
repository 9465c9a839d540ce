"""`forget --remote` asks a collector for what was sent to it, and for nothing else."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Command, Run, tree

from getpatter.telemetry.testing import Receiver

PROGRAM = """
from getpatter import Patter
phone = Patter(carrier="none")
print(phone.telemetry.flush(10))
"""


@pytest.fixture
def other() -> Iterator[Receiver]:
    """Another collector."""
    with Receiver() as running:
        yield running


def erased(receiver: Receiver) -> list[str]:
    """The install IDs that a collector was asked to erase."""
    asked = [request.path for request in receiver.requests if request.method == "DELETE"]
    return [path.rpartition("/")[2] for path in asked]


def holders(home: Path, known: str) -> set[str]:
    """The files that hold an install ID."""
    paths = [path for path in home.rglob("*") if path.is_file()]
    return {path.name for path in paths if known in path.read_text()}


def test_a_collector_that_nothing_was_sent_to_is_not_asked(
    command: Command, run: Run, receiver: Receiver, other: Receiver, home: Path
) -> None:
    assert run(PROGRAM).returncode == 0
    known = receiver.events[0]["install_id"]
    before = tree(home)
    said = command("forget", "--remote", "--yes", PATTER_TELEMETRY_ENDPOINT=other.endpoint)
    assert (said.returncode, said.stdout) == (1, "")
    assert f"nothing was sent from here to {other.endpoint}" in said.stderr
    assert f"Events were sent to {receiver.endpoint}" in said.stderr
    assert (other.requests, tree(home)) == ([], before)
    assert command("forget", "--remote", "--yes").returncode == 0
    assert erased(receiver) == [known]


def test_another_state_directory_uses_no_id_of_the_home_up(
    *, command: Command, run: Run, receiver: Receiver, other: Receiver, home: Path, tmp_path: Path
) -> None:
    """Each endpoint gets its own IDs, and what is left is asked for later, without the directory
    that was named.
    """
    elsewhere = {
        "PATTER_TELEMETRY_STATE_DIR": str(tmp_path / "named"),
        "PATTER_TELEMETRY_ENDPOINT": other.endpoint,
    }
    assert run(PROGRAM).returncode == 0
    assert run(PROGRAM, **elsewhere).returncode == 0
    at_home, named = receiver.events[0]["install_id"], other.events[0]["install_id"]
    said = command("forget", "--remote", "--yes", **elsewhere)
    assert said.returncode == 0
    assert (erased(receiver), erased(other)) == ([], [named])
    assert f"What was sent to {receiver.endpoint} is still there" in said.stdout
    assert holders(tmp_path / "named", named) == set()
    assert holders(home, at_home) == {"retained-id"}
    said = command("forget", "--remote", "--yes")
    assert (said.returncode, erased(receiver)) == (0, [at_home])
    assert "still there" not in said.stdout
    assert holders(home, at_home) == set()
    assert erased(other) == [named]


def test_an_id_that_two_collectors_know_is_kept_for_the_other(
    command: Command, run: Run, receiver: Receiver, other: Receiver, home: Path
) -> None:
    for endpoint in (receiver.endpoint, other.endpoint):
        assert run(PROGRAM, PATTER_TELEMETRY_ENDPOINT=endpoint).returncode == 0
    (known,) = {one["install_id"] for one in [*receiver.events, *other.events]}
    assert command("disable").returncode == 0
    found = json.loads(command("forget", "--remote", "--yes", "--json").stdout)
    assert found["erasable_at"] == [other.endpoint]
    assert holders(home, known) == {"retained-id"}
    again = command("forget", "--remote", "--yes")
    assert (again.returncode, erased(receiver)) == (1, [known]), "once is enough"
    last = command("forget", "--remote", "--yes", PATTER_TELEMETRY_ENDPOINT=other.endpoint)
    assert (last.returncode, erased(other)) == (0, [known])
    assert holders(home, known) == set()


def test_an_id_of_an_earlier_version_stays_for_the_right_collector(
    command: Command, receiver: Receiver, home: Path
) -> None:
    """It kept no log, so any collector may be the one."""
    earlier = home / ".getpatter"
    earlier.mkdir()
    (earlier / "install-id").write_text("e" * 32)
    for _ in range(2):
        said = command("forget", "--remote", "--yes")
        assert said.returncode == 0
        assert "if anything was: no log tells it" in said.stdout
        assert "An earlier version kept no log" in said.stdout
    assert erased(receiver) == ["e" * 32] * 2


def test_what_was_confirmed_is_said_though_a_later_request_failed(
    command: Command, run: Run, receiver: Receiver, home: Path
) -> None:
    assert run(PROGRAM).returncode == 0
    (home / ".getpatter").mkdir()
    (home / ".getpatter" / "install-id").write_text("e" * 32)
    before = tree(home)
    receiver.answer(lambda _: None, 500)
    said = command("forget", "--remote", "--yes")
    assert said.returncode == 1
    assert "The collector's receipt: erasure-1. " in said.stderr
    assert "answered 500. Nothing was erased here" in said.stderr
    assert tree(home) == before


# where nothing was sent


def test_nothing_is_offered_where_nothing_was_sent(
    command: Command, run: Run, receiver: Receiver, home: Path
) -> None:
    """Within the grace after the notice everything waits on disk."""
    assert run(PROGRAM, PATTER_TELEMETRY_GRACE="600", catch_up=False).returncode == 0
    state = home / ".local" / "state" / "getpatter"
    assert list((state / "spool").glob("*.json"))
    known = (state / "install-id").read_text()
    said = command("disable")
    assert "forget --remote" not in said.stdout
    assert holders(home, known) == set()
    assert "forget --remote" not in command("forget").stdout
    remote = command("forget", "--remote")
    assert remote.returncode == 0
    assert "Nothing was sent from here, so there was nothing to ask" in remote.stdout
    assert receiver.requests == []


def test_forget_says_what_it_keeps(
    command: Command, run: Run, receiver: Receiver, home: Path
) -> None:
    assert run(PROGRAM).returncode == 0
    known = receiver.events[0]["install_id"]
    said = command("forget").stdout
    assert "To erase what was sent before: `getpatter telemetry forget --remote`." in said
    assert "kept apart for that request, for 30 days" in said
    assert holders(home, known) == {"retained-id"}
    assert command("forget", "--remote", "--yes").returncode == 0
    assert holders(home, known) == set()


def test_an_opt_out_during_the_first_request_can_still_erase_it(
    command: Command, run: Run, receiver: Receiver, home: Path
) -> None:
    """When `disable` reads the log, the answer has not come."""

    def opt_out(_: object) -> None:
        assert command("disable").returncode == 0

    receiver.answer(opt_out)
    assert run(PROGRAM).returncode == 0
    known = receiver.events[0]["install_id"]
    assert holders(home, known) == {"retained-id"}
    assert command("forget", "--remote", "--yes").returncode == 0
    assert erased(receiver) == [known]
