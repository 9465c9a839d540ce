"""Batches on disk: whole, private, one process's at a time, and never fatal."""

import errno
import json
import os
import stat
import time
from pathlib import Path

import pytest
from conftest import Run
from descriptors import closed_behind_its_back, none_left

from getpatter.telemetry.delivery.batch import Batch
from getpatter.telemetry.delivery.claims import LOST, REMOVED
from getpatter.telemetry.delivery.limits import SPOOL_BYTES, SPOOL_SECONDS
from getpatter.telemetry.delivery.spool import Spool
from getpatter.telemetry.delivery.spool_files import (
    DAMAGED,
    FOREIGN,
    GONE,
    LATER,
    endpoints,
    waiting,
)

ENDPOINT = "http://127.0.0.1:9/v1/ingest"
NOW = 1_000.0
REPORT = {("call_started", "queue_full"): 3}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    return directory


def places_in(spool: Spool) -> list[str]:
    """The batches on disk, the oldest first."""
    return sorted(path.name for path in Path(spool.path).glob("*.json"))


def batch(number: int = 0, events: int = 2, closed_at: float = NOW, **fields: object) -> Batch:
    return Batch(
        [{"event": "call_started", "n": n, **fields} for n in range(events)],
        f"{number:032x}",
        closed_at,
        dict(REPORT),
        rate=0.5,
        version="1.2.3",
    )


def written(spool: Spool, stored: Batch, now: float = NOW) -> str:
    place = spool.write(stored, now)
    assert place is not None
    return place


def files(state: Path) -> list[Path]:
    return sorted((state / "spool").glob("*.json"))


# what is there


def test_a_batch_comes_back_as_it_was(state: Path) -> None:
    spool = Spool(str(state), ENDPOINT)
    stored = batch()
    stored.tries = 3
    place = written(spool, stored, NOW + 5)
    assert places_in(spool) == [place]
    loaded = spool.read(place, NOW + 7)
    assert isinstance(loaded, Batch)
    assert (loaded.events, loaded.key, loaded.report) == (stored.events, stored.key, REPORT)
    assert (loaded.rate, loaded.version, loaded.tries) == (0.5, "1.2.3", 3)
    assert NOW + 7 - loaded.closed_at == pytest.approx(5, abs=2)
    assert spool.remove(place)
    assert places_in(spool) == []
    assert spool.read(place, NOW) == GONE
    assert not spool.remove(place)


def test_files_are_private_whole_and_say_how_many_events_they_hold(state: Path) -> None:
    spool = Spool(str(state), ENDPOINT)
    written(spool, batch(events=64))
    (path,) = files(state)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    found = json.loads(path.read_bytes())
    assert (found["format"], found["count"], len(found["events"])) == (1, 64, 64)
    assert not list((state / "spool").glob(".getpatter-*"))


@pytest.mark.parametrize("events", [65, 512])
def test_more_events_than_earlier_versions_can_read_have_a_format_of_their_own(
    state: Path, events: int
) -> None:
    spool = Spool(str(state), ENDPOINT)
    place = written(spool, batch(events=events))
    assert json.loads(files(state)[0].read_bytes())["format"] == 2
    loaded = spool.read(place, NOW)
    assert isinstance(loaded, Batch)
    assert len(loaded.events) == waiting(str(state)) == events


def test_what_the_version_before_has_written_is_read(state: Path) -> None:
    (state / "spool").mkdir(mode=0o700)
    name = f"{int(time.time() * 1e6):016d}-{'a' * 32}-{'b' * 16}.json"
    (state / "spool" / name).write_text(
        '{"format":1,"count":1,"endpoint":"http://127.0.0.1:9/v1/ingest","rate":1.0,'
        '"version":"0.7.0","tries":2,"report":[["call_started","queue_full",3]],'
        '"events":[{"event":"call_started","n":0}]}'
    )
    spool = Spool(str(state), ENDPOINT)
    assert spool.adopt() == [name]
    loaded = spool.read(name, NOW)
    assert isinstance(loaded, Batch)
    assert (loaded.key, loaded.tries, loaded.report) == ("a" * 32, 2, REPORT)
    assert loaded.events == [{"event": "call_started", "n": 0}]


def test_the_oldest_come_first(state: Path) -> None:
    spool = Spool(str(state), ENDPOINT)
    places = [written(spool, batch(n, closed_at=NOW - n)) for n in range(3)]
    assert places_in(spool) == places[::-1]


def test_a_batch_is_stored_anew_in_its_place(state: Path) -> None:
    spool = Spool(str(state), ENDPOINT)
    place = written(spool, batch(events=1))
    assert spool.write(batch(events=3), NOW, place=place) == place
    assert waiting(str(state)) == 3
    assert len(files(state)) == 1


def test_a_batch_beyond_all_bounds_is_not_stored(state: Path) -> None:
    spool = Spool(str(state), ENDPOINT)
    assert spool.write(batch(text="x" * SPOOL_BYTES), NOW) is None
    assert not (state / "spool").exists()


def test_a_clock_that_was_set_back_makes_nothing_younger_than_new(state: Path) -> None:
    spool = Spool(str(state), ENDPOINT)
    path = state / "spool" / written(spool, batch())
    future = f"{int(path.name[:16]) + 86_400_000_000:016d}{path.name[16:]}"
    path.rename(path.with_name(future))
    found = spool.read(future, NOW)
    assert isinstance(found, Batch)
    assert found.closed_at == NOW


# what is no batch


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff",
        b"{",
        b"[]",
        b'{"format":1}',
        b'{"format":true}',
        b'{"format":1,"count":1,"events":[]}',
        b'{"format":1,"endpoint":"e","rate":1.0,"version":"1","tries":0,"report":[],"events":[{}]}',
        b"[" * 100_000,
    ],
)
def test_what_was_read_whole_and_is_no_batch_is_damaged(state: Path, content: bytes) -> None:
    spool = Spool(str(state), ENDPOINT)
    place = written(spool, batch())
    (state / "spool" / place).write_bytes(content)
    assert spool.read(place, NOW) == DAMAGED
    assert spool.count(place) == 1
    assert spool.set_aside(place)
    assert places_in(spool) == []
    assert (state / "spool" / f"{place}.aside").read_bytes() == content


def test_what_a_later_version_wrote_is_left_to_it(state: Path) -> None:
    spool = Spool(str(state), ENDPOINT)
    place = written(spool, batch())
    (state / "spool" / place).write_text(json.dumps({"format": 3, "count": 2, "what": "ever"}))
    assert spool.read(place, NOW) == FOREIGN
    spool.release()
    assert Spool(str(state), ENDPOINT).adopt() == []
    assert len(files(state)) == 1


@pytest.mark.parametrize("kind", ["fifo", "directory", "link", "socket"])
def test_what_is_no_regular_file_is_waited_for_by_nobody(
    state: Path, tmp_path: Path, kind: str
) -> None:
    spool = Spool(str(state), ENDPOINT)
    place = written(spool, batch())
    path = state / "spool" / place
    path.rename(tmp_path / "content")
    if kind == "fifo":
        os.mkfifo(path, 0o600)
    elif kind == "directory":
        path.mkdir()
    elif kind == "socket":
        os.mknod(path, 0o600 | stat.S_IFSOCK)
    else:
        path.symlink_to(tmp_path / "content")
    assert spool.read(place, NOW) == FOREIGN
    assert spool.count(place) == waiting(str(state)) == 0
    assert endpoints(spool.path) == set()
    assert list(spool.excess()) == []


def test_a_failure_to_open_is_not_damage(state: Path) -> None:
    spool = Spool(str(state), ENDPOINT)
    place = written(spool, batch())
    with none_left():
        assert spool.read(place, NOW) == LATER
        assert spool.count(place) == 0
    assert isinstance(spool.read(place, NOW), Batch)


@pytest.mark.parametrize(
    "code", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EACCES, errno.ESTALE]
)
@pytest.mark.parametrize("step", ["open", "read"])
def test_what_the_system_refuses_now_is_not_damage(
    state: Path, monkeypatch: pytest.MonkeyPatch, step: str, code: int
) -> None:
    spool = Spool(str(state), ENDPOINT)
    place = written(spool, batch())

    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as refused:
        refused.setattr(os, step, refuse)
        found = spool.read(place, NOW), spool.count(place)
    assert found == (LATER, 0)
    assert isinstance(spool.read(place, NOW), Batch)


def test_foreign_files_are_not_touched(state: Path) -> None:
    (state / "spool").mkdir(mode=0o700)
    foreign = state / "spool" / "notes.txt"
    foreign.write_text("mine")
    spool = Spool(str(state), ENDPOINT)
    written(spool, batch())
    assert len(places_in(spool)) == 1
    spool.release()
    assert foreign.read_text() == "mine"


def test_a_batch_is_for_its_endpoint_alone(state: Path) -> None:
    spool = Spool(str(state), ENDPOINT)
    place = written(spool, batch())
    spool.release()
    other = Spool(str(state), "http://127.0.0.1:8/")
    assert other.read(place, NOW) == FOREIGN
    assert other.adopt() == []
    assert endpoints(spool.path) == {ENDPOINT}
    assert Spool(str(state), ENDPOINT).adopt() == [place]


# places that cannot be used


def test_a_spool_that_is_a_link_or_a_file_is_not_used(state: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (state / "spool").symlink_to(elsewhere)
    assert Spool(str(state), ENDPOINT).write(batch(), NOW) is None
    assert list(elsewhere.iterdir()) == []
    (state / "spool").unlink()
    (state / "spool").write_text("")
    assert Spool(str(state), ENDPOINT).write(batch(), NOW) is None


def test_a_state_directory_that_has_gone_stores_nothing(state: Path) -> None:
    state.rmdir()
    assert Spool(str(state), ENDPOINT).write(batch(), NOW) is None


# whose it is

OTHER = """
import os, time
from getpatter.telemetry.delivery.batch import Batch
from getpatter.telemetry.delivery.spool import Spool
spool = Spool(os.environ["STATE"], os.environ["WHERE"])
batch = Batch([{"event": "call_started"}], os.urandom(16).hex(), 0.0, {})
"""


def test_a_living_process_s_batches_are_its_own(state: Path, run: Run) -> None:
    spool = Spool(str(state), ENDPOINT)
    place = written(spool, batch())
    code = f"{OTHER}\nprint(spool.adopt())"
    assert run(code, STATE=str(state), WHERE=ENDPOINT).stdout == "[]\n"
    spool.release()
    assert run(code, STATE=str(state), WHERE=ENDPOINT).stdout == f"['{place}']\n"


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_no_claim_is_a_standard_stream(state: Path, run: Run, closed: tuple[int, ...]) -> None:
    """A claim is held as long as the process: what the host prints would end up in its file."""
    code = f"""{OTHER}
for number in {closed}:
    os.close(number)
spool.write(batch, 0.0)
places = [os.readlink(f"/dev/fd/{{name}}") for name in os.listdir("/dev/fd") if int(name) > 2]
assert [place for place in places if place.endswith(".lock")]
for number in {closed}:
    try:
        os.fstat(number)
    except OSError:
        continue
    os._exit(3)
"""
    assert run(code, STATE=str(state), WHERE=ENDPOINT, catch_up=False).returncode == 0


def test_a_killed_process_s_batches_are_adopted_by_one(state: Path, run: Run) -> None:
    code = f"{OTHER}\nspool.write(batch, 0.0)\nos.kill(os.getpid(), 9)"
    run(code, STATE=str(state), WHERE=ENDPOINT, catch_up=False)
    first, second = (Spool(str(state), ENDPOINT) for _ in range(2))
    (place,) = first.adopt()
    assert first.holds(place)
    assert second.adopt() == []
    assert not second.holds(place)
    second.remove(place)
    assert first.is_there(place)  # only whoever holds it removes it
    first.tidy()  # gives back what it did not send
    assert second.adopt() == [place]


def test_a_fork_does_not_keep_its_parent_s_batches(state: Path, run: Run) -> None:
    code = f"""{OTHER}
spool.write(batch, 0.0)
read, write = os.pipe()
if os.fork() == 0:
    os.close(write)
    spool.drop_inherited()
    print("ready", flush=True)
    os.read(read, 1)  # until the parent has gone; what it held is let go of a moment later
    until = time.monotonic() + 20
    while not (found := Spool(os.environ["STATE"], os.environ["WHERE"]).adopt()):
        if time.monotonic() > until:
            break
    print(len(found), flush=True)
    os._exit(0)
os._exit(0)
"""
    done = run(code, STATE=str(state), WHERE=ENDPOINT, catch_up=False)
    assert done.stdout == "ready\n1\n"


def test_a_copy_of_the_process_holds_nothing_and_gives_nothing_back(state: Path, run: Run) -> None:
    """A fork that Python is not told of shares the parent's locks."""
    code = f"""{OTHER}
import ctypes
place = spool.write(batch, 0.0)
child = ctypes.PyDLL(None).fork()
if child == 0:
    spool.remove(place)
    held = spool.holds(place)
    spool.release()
    print(held, spool.is_there(place), flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(spool.holds(place), Spool(os.environ["STATE"], os.environ["WHERE"]).adopt(), flush=True)
"""
    done = run(code, STATE=str(state), WHERE=ENDPOINT, catch_up=False)
    assert done.stdout == "False True\nTrue []\n", done.stderr


def test_a_claim_whose_descriptor_was_closed_is_lost_and_nothing_of_the_host_s_is_touched(
    state: Path,
) -> None:
    spool = Spool(str(state), ENDPOINT)
    place = written(spool, batch())
    with closed_behind_its_back(state / "spool"):
        assert not spool.holds(place)
        assert Spool(str(state), ENDPOINT).adopt() == [place]
        assert spool.remove(place)
        assert spool.is_there(place)
        assert spool.check() == LOST
        spool.release()


def test_a_claim_whose_descriptor_was_closed_is_taken_anew_if_nobody_has_it(state: Path) -> None:
    spool = Spool(str(state), ENDPOINT)
    place = written(spool, batch())
    with closed_behind_its_back(state / "spool"):
        assert spool.check() == LOST
        assert spool.check() is None
        assert spool.holds(place)
        assert Spool(str(state), ENDPOINT).adopt() == []


def test_an_adopted_claim_can_be_lost_as_well(state: Path) -> None:
    orphan = Spool(str(state), ENDPOINT)
    place = written(orphan, batch())
    orphan.release()
    spool = Spool(str(state), ENDPOINT)
    assert spool.adopt() == [place]
    with closed_behind_its_back(state / "spool"):
        assert not spool.holds(place)
        spool.tidy()
        assert Spool(str(state), ENDPOINT).adopt() == [place]


def test_a_spool_that_is_removed_while_it_is_in_use_begins_anew(state: Path) -> None:
    spool = Spool(str(state), ENDPOINT)
    written(spool, batch())
    for path in (state / "spool").iterdir():
        path.unlink()
    (state / "spool").rmdir()
    assert spool.check() == REMOVED
    place = written(spool, batch(1))
    assert [path.name for path in files(state)] == [place]


def test_names_that_stand_for_nothing_are_removed(state: Path) -> None:
    spool = Spool(str(state), ENDPOINT)
    place = written(spool, batch())
    spool.remove(place)
    (state / "spool" / f"{'0' * 16}.lock").touch(mode=0o600)
    old = state / "spool" / f"{place}.aside"
    old.touch()
    long_ago = time.time() - SPOOL_SECONDS - 60
    os.utime(old, (long_ago, long_ago))
    spool.release()
    assert list((state / "spool").iterdir()) == []


def test_waiting_counts_all(state: Path) -> None:
    assert waiting(str(state)) == 0
    for number, events in enumerate((1, 64)):
        written(Spool(str(state), ENDPOINT), batch(number, events))
    assert waiting(str(state)) == 65
