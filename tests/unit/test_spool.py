"""Batches on disk: whole, private, bounded, one process's at a time, and never fatal."""

import json
import os
import stat
import time
from pathlib import Path

import pytest
from conftest import Run

from getpatter.telemetry.delivery import Batch
from getpatter.telemetry.losses import Losses
from getpatter.telemetry.spool import EVENTS, LIMIT, SECONDS, Spool, waiting

ENDPOINT = "http://127.0.0.1:9/v1/ingest"
NOW = 1_000.0
REPORT = {("call_started", "queue_full"): 3}


@pytest.fixture
def losses() -> Losses:
    return Losses()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    return directory


def batch(number: int = 0, events: int = 2, closed_at: float = NOW, **fields: object) -> Batch:
    return Batch(
        [{"event": "call_started", "n": n, **fields} for n in range(events)],
        f"{number:032x}",
        closed_at,
        dict(REPORT),
        rate=0.5,
        version="1.2.3",
    )


def files(state: Path) -> list[Path]:
    return sorted((state / "spool").glob("*.json"))


def age(path: Path, seconds: float) -> Path:
    """Make a batch look as if it had been closed so long ago."""
    closed = int(path.name[:16]) - int(seconds * 1e6)
    return path.rename(path.with_name(f"{closed:016d}{path.name[16:]}"))


# what is there


def test_a_batch_comes_back_as_it_was(state: Path, losses: Losses) -> None:
    spool = Spool(str(state), ENDPOINT, losses)
    stored = batch()
    stored.tries = 3
    place = spool.add(stored, NOW + 5)
    assert place is not None
    assert spool.places() == [place]
    found = spool.load(place, NOW + 7)
    assert found is not None
    loaded, endpoint = found
    assert endpoint == ENDPOINT
    assert (loaded.events, loaded.key, loaded.report) == (stored.events, stored.key, REPORT)
    assert (loaded.rate, loaded.version, loaded.tries) == (0.5, "1.2.3", 3)
    assert loaded.place == place
    assert NOW + 7 - loaded.closed_at == pytest.approx(5, abs=2)
    spool.remove(place)
    assert spool.places() == []
    assert spool.load(place, NOW) is None


def test_files_and_directory_are_this_user_s_alone(state: Path, losses: Losses) -> None:
    Spool(str(state), ENDPOINT, losses).add(batch(), NOW)
    assert stat.S_IMODE((state / "spool").stat().st_mode) == 0o700
    (path,) = files(state)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_oldest_come_first(state: Path, losses: Losses) -> None:
    spool = Spool(str(state), ENDPOINT, losses)
    places = [spool.add(batch(n, closed_at=NOW - n), NOW) for n in range(3)]
    assert spool.places() == places[::-1]


def test_a_batch_that_has_a_place_is_stored_there_anew(state: Path, losses: Losses) -> None:
    spool = Spool(str(state), ENDPOINT, losses)
    first = batch()
    first.place = spool.add(first, NOW)
    first.events = [*first.events, {"event": "call_started", "n": 9}]
    assert spool.add(first, NOW + 3) == first.place
    assert len(files(state)) == 1
    assert waiting(str(state)) == 3


# bounds


def test_more_events_than_the_bound_lose_the_oldest_and_are_counted(
    state: Path, losses: Losses
) -> None:
    spool = Spool(str(state), ENDPOINT, losses)
    for number in range(20):
        spool.add(batch(number, events=64, closed_at=NOW + number), NOW + 20)
    assert waiting(str(state)) == EVENTS // 64 * 64
    found = spool.load(spool.places()[0], NOW)
    assert found is not None
    assert int(found[0].key, 16) == 20 - EVENTS // 64
    assert losses.totals() == {("call_started", "spool_full"): (20 - EVENTS // 64) * 64}


def test_more_bytes_than_the_bound_lose_the_oldest(state: Path, losses: Losses) -> None:
    spool = Spool(str(state), ENDPOINT, losses)
    for number in range(6):
        assert spool.add(batch(number, 1, NOW + number, text="x" * 300_000), NOW + 6)
    assert sum(path.stat().st_size for path in files(state)) <= LIMIT
    assert losses.totals() == {("call_started", "spool_full"): 3}


def test_a_batch_beyond_all_bounds_is_not_stored(state: Path, losses: Losses) -> None:
    spool = Spool(str(state), ENDPOINT, losses)
    assert spool.add(batch(text="x" * LIMIT), NOW) is None
    assert not (state / "spool").exists()


def test_what_is_a_week_old_expires_when_it_is_to_be_sent(state: Path, losses: Losses) -> None:
    spool = Spool(str(state), ENDPOINT, losses)
    spool.add(batch(), NOW)
    old = age(files(state)[0], SECONDS + 1)
    assert spool.load(old.name, NOW) is None
    assert files(state) == []
    assert losses.totals() == {("call_started", "expired"): 2}


def test_what_is_a_week_old_expires_when_something_comes(state: Path, losses: Losses) -> None:
    spool = Spool(str(state), ENDPOINT, losses)
    spool.add(batch(), NOW)
    age(files(state)[0], SECONDS + 1)
    place = spool.add(batch(1), NOW)
    assert [path.name for path in files(state)] == [place]
    assert losses.totals() == {("call_started", "expired"): 2}


def test_a_clock_that_was_set_back_makes_nothing_younger_than_new(
    state: Path, losses: Losses
) -> None:
    spool = Spool(str(state), ENDPOINT, losses)
    spool.add(batch(), NOW)
    future = age(files(state)[0], -86_400)
    found = spool.load(future.name, NOW)
    assert found is not None
    assert found[0].closed_at == NOW


# what is not ours


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff",
        b"{",
        b"[]",
        b'{"format":1}',
        b'{"format":1,"count":1,"events":[]}',
        b"[" * 100_000,
    ],
)
def test_a_torn_file_is_set_aside_and_counted(state: Path, losses: Losses, content: bytes) -> None:
    spool = Spool(str(state), ENDPOINT, losses)
    place = spool.add(batch(), NOW)
    assert place is not None
    (state / "spool" / place).write_bytes(content)
    assert spool.load(place, NOW) is None
    assert spool.places() == []
    assert (state / "spool" / f"{place}.aside").read_bytes() == content
    assert losses.totals() == {("unknown", "internal_error"): 1}


def test_what_a_newer_version_wrote_is_left_to_it(state: Path, losses: Losses) -> None:
    spool = Spool(str(state), ENDPOINT, losses)
    place = spool.add(batch(), NOW)
    assert place is not None
    path = state / "spool" / place
    path.write_text(json.dumps({"format": 2, "count": 2, "what": "ever"}))
    assert spool.load(place, NOW) is None
    assert spool.places() == []
    assert path.exists()
    assert losses.totals() == {}


def test_foreign_files_are_not_touched(state: Path, losses: Losses) -> None:
    (state / "spool").mkdir(mode=0o700)
    foreign = state / "spool" / "notes.txt"
    foreign.write_text("mine")
    spool = Spool(str(state), ENDPOINT, losses)
    spool.add(batch(), NOW)
    assert len(spool.places()) == 1
    spool.release()
    assert foreign.read_text() == "mine"


def test_a_batch_is_for_its_endpoint_alone(state: Path, losses: Losses) -> None:
    place = Spool(str(state), ENDPOINT, losses).add(batch(), NOW)
    other = Spool(str(state), "http://127.0.0.1:8/", losses)
    assert place is not None
    assert other.load(place, NOW) is None
    found = Spool(str(state), None, losses).load(place, NOW)
    assert found is not None
    assert found[1] == ENDPOINT


# places that cannot be used


def test_a_spool_that_is_a_link_or_a_file_is_not_used(
    state: Path, tmp_path: Path, losses: Losses
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (state / "spool").symlink_to(elsewhere)
    assert Spool(str(state), ENDPOINT, losses).add(batch(), NOW) is None
    assert list(elsewhere.iterdir()) == []
    (state / "spool").unlink()
    (state / "spool").write_text("")
    assert Spool(str(state), ENDPOINT, losses).add(batch(), NOW) is None


def test_a_spool_that_is_removed_while_it_is_in_use_begins_anew(
    state: Path, losses: Losses
) -> None:
    spool = Spool(str(state), ENDPOINT, losses)
    spool.add(batch(), NOW)
    for path in (state / "spool").iterdir():
        path.unlink()
    (state / "spool").rmdir()
    place = spool.add(batch(1), NOW)
    assert [path.name for path in files(state)] == [place]


def test_a_state_directory_that_has_gone_stores_nothing(state: Path, losses: Losses) -> None:
    state.rmdir()
    assert Spool(str(state), ENDPOINT, losses).add(batch(), NOW) is None


# whose it is

OTHER = """
import os
from getpatter.telemetry.delivery import Batch
from getpatter.telemetry.losses import Losses
from getpatter.telemetry.spool import Spool
spool = Spool(os.environ["STATE"], os.environ["WHERE"], Losses())
batch = Batch([{"event": "call_started"}], os.urandom(16).hex(), 0.0, {})
"""


def test_a_living_process_s_batches_are_its_own(state: Path, losses: Losses, run: Run) -> None:
    spool = Spool(str(state), ENDPOINT, losses)
    place = spool.add(batch(), NOW)
    code = f"{OTHER}\nprint(spool.places())"
    assert run(code, STATE=str(state), WHERE=ENDPOINT).stdout == "[]\n"
    spool.release()
    assert run(code, STATE=str(state), WHERE=ENDPOINT).stdout == f"['{place}']\n"


def test_a_killed_process_s_batches_are_adopted_by_one(
    state: Path, losses: Losses, run: Run
) -> None:
    code = f"{OTHER}\nspool.add(batch, 0.0)\nos.kill(os.getpid(), 9)"
    run(code, STATE=str(state), WHERE=ENDPOINT)
    first, second = (Spool(str(state), ENDPOINT, losses) for _ in range(2))
    assert len(first.places()) == 1
    assert second.places() == []
    first.tidy()  # gives back what it did not send
    assert len(second.places()) == 1


def test_a_fork_does_not_keep_its_parent_s_batches(state: Path, run: Run) -> None:
    code = f"""{OTHER}
spool.add(batch, 0.0)
read, write = os.pipe()
if os.fork() == 0:
    os.close(write)
    spool.drop_inherited()
    print("ready", flush=True)
    os.read(read, 1)  # until the parent has gone
    found = Spool(os.environ["STATE"], os.environ["WHERE"], Losses()).places()
    print(len(found), flush=True)
    os._exit(0)
os._exit(0)
"""
    assert run(code, STATE=str(state), WHERE=ENDPOINT).stdout == "ready\n1\n"


def test_names_that_stand_for_nothing_are_removed(state: Path, losses: Losses) -> None:
    spool = Spool(str(state), ENDPOINT, losses)
    place = spool.add(batch(), NOW)
    assert place is not None
    spool.remove(place)
    (state / "spool" / f"{'0' * 16}.lock").touch(mode=0o600)
    old = state / "spool" / f"{place}.aside"
    old.touch()
    long_ago = time.time() - SECONDS - 60
    os.utime(old, (long_ago, long_ago))
    spool.release()
    assert list((state / "spool").iterdir()) == []


def test_waiting_counts_all(state: Path, losses: Losses) -> None:
    assert waiting(str(state)) == 0
    for number, events in enumerate((1, 64)):
        Spool(str(state), ENDPOINT, losses).add(batch(number, events), NOW)
    assert waiting(str(state)) == 65
