"""The one owner of every batch: where each is, what is counted of it, and that once.

With a real spool in a directory of the test's own; `now` is a number.
"""

import errno
import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from descriptors import closed_behind_its_back, none_left

from getpatter.telemetry.delivery.backlog import Backlog
from getpatter.telemetry.delivery.batch import Batch, part_key
from getpatter.telemetry.delivery.limits import (
    DISK_LONGEST,
    KEPT_WITHIN,
    SPOOL_BYTES,
    SPOOL_EVENTS,
    SPOOL_SECONDS,
    TRIES,
)
from getpatter.telemetry.delivery.schedule import DELIVERED, DROP, REDUCE, RETRY, SPLIT, Verdict
from getpatter.telemetry.delivery.spool import Spool
from getpatter.telemetry.delivery.spool_files import waiting
from getpatter.telemetry.losses import Losses

ENDPOINT = "http://127.0.0.1:9/v1/ingest"
NOW = 1_000.0
EVENT = "agent_configured"
REPORT = {("call_started", "queue_full"): 3}
NETWORK = Verdict(RETRY, "network_error")
TAKEN = Verdict(DELIVERED)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    return directory


class Scene:
    """A backlog on a state directory."""

    keys = itertools.count()

    def __init__(self, state: Path, *, has_spool: bool = True) -> None:
        self.state = state
        self.losses = Losses()
        self.errors: list[BaseException] = []
        self.spool = Spool(str(state), ENDPOINT) if has_spool else None
        self.backlog = Backlog(self.spool, self.losses, self.errors.append)

    def add(
        self, count: int = 2, *, keep_at: float = NOW, report: bool = False, **fields: object
    ) -> str:
        """Add a batch; return its key. Unless told, it is to be on disk at once."""
        key = f"{next(self.keys):032x}"
        events = [{"event": EVENT, "n": n, **fields} for n in range(count)]
        self.backlog.add(Batch(events, key, NOW, dict(REPORT) if report else {}), NOW, keep_at)
        return key

    def take(self, now: float = NOW, limit: int = 64) -> Batch:
        found = self.backlog.take(now, limit)
        assert found is not None
        return found

    def files(self) -> list[Path]:
        return sorted((self.state / "spool").glob("*.json"))

    def accounts(self) -> tuple[int, int, int, dict[str, int]]:
        """What is delivered, waiting, on disk, and lost by reason, of what was added here."""
        lost: dict[str, int] = {}
        for (_, reason), times in self.losses.own_totals().items():
            lost[reason] = lost.get(reason, 0) + times
        return self.backlog.delivered, self.backlog.waiting, self.backlog.spooled, lost


@pytest.fixture
def scene(state: Path) -> Scene:
    return Scene(state)


def names(batches: Sequence[Batch]) -> list[list[object]]:
    return [[event["n"] for event in found.events] for found in batches]


# memory and disk


def test_a_batch_is_in_memory_until_its_time_has_come(scene: Scene) -> None:
    scene.add(keep_at=NOW + KEPT_WITHIN)
    assert scene.accounts() == (0, 2, 0, {})
    assert scene.backlog.persist(NOW) == KEPT_WITHIN
    assert scene.files() == []
    assert scene.backlog.persist(NOW + KEPT_WITHIN) is None
    assert scene.accounts() == (0, 0, 2, {})
    assert scene.take().key
    scene.backlog.settle(TAKEN, NOW)
    assert scene.accounts() == (2, 0, 0, {})
    assert scene.files() == []


def test_one_batch_waits_in_memory_and_what_comes_after_it_on_disk(scene: Scene) -> None:
    first = scene.add(keep_at=NOW + 1)
    assert scene.take().key == first
    second, third = scene.add(keep_at=NOW + 1), scene.add(keep_at=NOW + 1)
    assert [path.name[17:49] for path in scene.files()] == [third]
    scene.backlog.settle(TAKEN, NOW)
    assert [scene.take().key, second] == [second, second]


def test_the_one_in_flight_is_put_on_disk_too_when_its_time_has_come(scene: Scene) -> None:
    scene.add(keep_at=NOW + 1)
    scene.take()
    scene.backlog.persist(NOW + 1)
    assert scene.accounts() == (0, 0, 2, {})
    scene.backlog.settle(TAKEN, NOW + 2)
    assert scene.accounts() == (2, 0, 0, {})
    assert scene.files() == []


@pytest.mark.parametrize("verdict", [NETWORK, Verdict(RETRY, "rejected")])
def test_what_fails_is_on_disk_at_once_and_is_never_given_up_there(
    scene: Scene, verdict: Verdict
) -> None:
    key = scene.add(keep_at=NOW + 1)
    for _ in range(3 * TRIES):
        assert scene.take().key == key
        scene.backlog.settle(verdict, NOW)
        assert scene.accounts() == (0, 0, 2, {})


@pytest.mark.parametrize("reason", ["network_error", "rejected"])
def test_without_a_disk_so_many_tries_then_its_report_is_for_the_next(
    state: Path, reason: str
) -> None:
    scene = Scene(state, has_spool=False)
    scene.add(report=True)
    for _ in range(TRIES):
        assert scene.accounts() == (0, 2, 0, {})
        scene.take()
        scene.backlog.settle(Verdict(RETRY, reason), NOW)
    assert scene.accounts() == (0, 0, 0, {reason: 2})
    assert scene.losses.take_unreported() == {**REPORT, (EVENT, reason): 2}


def test_a_disk_that_fails_is_left_alone_for_longer_and_longer_and_then_used_again(
    scene: Scene,
) -> None:
    (scene.state / "spool").write_text("in the way")
    scene.add()
    now, pauses = NOW, []
    for _ in range(8):
        pause = scene.backlog.persist(now)
        assert pause is not None
        pauses.append(pause)
        now += pause
        assert not scene.backlog.can_persist(now - 0.01)
    assert pauses[0] < pauses[-1] == DISK_LONGEST
    assert scene.accounts() == (0, 2, 0, {})
    (scene.state / "spool").unlink()
    assert scene.backlog.persist(now) is None
    assert scene.accounts() == (0, 0, 2, {})
    assert scene.backlog.can_persist(now)


def test_an_end_tries_the_disk_once_more(scene: Scene) -> None:
    (scene.state / "spool").write_text("in the way")
    scene.add()
    (scene.state / "spool").unlink()
    scene.backlog.persist(NOW, is_last=True)
    assert scene.accounts() == (0, 0, 2, {})


def test_what_cannot_be_on_disk_is_given_up_at_the_end(scene: Scene) -> None:
    scene.add(keep_at=NOW + 1)
    scene.take()
    scene.add(3, keep_at=NOW + 1)
    scene.backlog.discard_unkept("shutdown")
    assert scene.accounts() == (0, 0, 0, {"shutdown": 5})
    assert scene.backlog.is_empty


# filling


def test_the_last_batch_on_disk_that_was_never_sent_takes_more(scene: Scene) -> None:
    scene.add(60)
    assert scene.backlog.room(1.0, 64) == 4
    assert scene.backlog.room(0.5, 64) == 0  # of another rate
    assert scene.backlog.fill([{"event": EVENT, "n": 99}], dict(REPORT), NOW)
    assert scene.accounts() == (0, 0, 61, {})
    assert waiting(str(scene.state)) == 61
    filled = scene.take()
    assert (len(filled.events), filled.report) == (61, REPORT)
    scene.backlog.settle(NETWORK, NOW)
    assert scene.backlog.room(1.0, 64) == 0  # it was sent


def test_a_batch_that_cannot_be_filled_stays_as_it_is(scene: Scene) -> None:
    scene.add(3)
    path = scene.files()[0]
    before = path.read_bytes()
    with none_left():
        assert not scene.backlog.fill([{"event": EVENT}], {}, NOW)
    assert path.read_bytes() == before
    assert len(scene.take().events) == 3


# answers


def test_refused_events_are_counted_and_the_rest_is_delivered(scene: Scene) -> None:
    scene.add(4)
    scene.take()
    scene.backlog.settle(Verdict(DELIVERED, refused=[0, 2]), NOW)
    assert scene.accounts() == (2, 0, 0, {"rejected": 2})


@pytest.mark.parametrize("keep_at", [NOW, NOW + 1])
def test_a_batch_is_split_down_to_the_event_that_is_too_large(scene: Scene, keep_at: float) -> None:
    scene.add(5, keep_at=keep_at, report=True)
    keys, reports = [], 0
    while scene.backlog.has_next:
        found = scene.take()
        keys.append(found.key)
        if 3 not in names([found])[0]:
            reports += len(found.report)
            scene.backlog.settle(TAKEN, NOW)
        else:
            is_single = len(found.events) == 1
            scene.backlog.settle(Verdict(DROP, "too_large") if is_single else Verdict(SPLIT), NOW)
    assert scene.accounts() == (4, 0, 0, {"too_large": 1})
    assert len(set(keys)) == len(keys)
    assert reports == 1
    assert scene.files() == []


def test_parts_are_on_disk_before_the_whole_goes(scene: Scene) -> None:
    key = scene.add(5)
    scene.take()
    scene.backlog.settle(Verdict(SPLIT), NOW)
    assert {path.name[17:49] for path in scene.files()} == {part_key(key, 0), part_key(key, 1)}
    assert scene.accounts() == (0, 0, 5, {})
    scene.take()
    scene.backlog.settle(TAKEN, NOW)
    # Whoever comes next sends the other half alone, under its own key.
    scene.backlog.release()
    other = Scene(scene.state)
    assert other.backlog.adopt()
    left = other.take()
    assert (names([left]), left.key) == ([[2, 3, 4]], part_key(key, 1))


@pytest.mark.parametrize("verdict", [Verdict(SPLIT), Verdict(REDUCE, "rejected", [1])])
def test_where_parts_cannot_be_stored_the_whole_stays(scene: Scene, verdict: Verdict) -> None:
    key = scene.add(4)
    scene.take()
    with none_left():
        scene.backlog.settle(verdict, NOW)
    assert scene.accounts() == (0, 0, 4, {})
    assert [path.name[17:49] for path in scene.files()] == [key]
    assert scene.backlog.take(NOW, 64) is None
    assert scene.take(NOW + scene.backlog.pause(NOW)).key == key


def test_a_reduced_batch_counts_what_was_refused_once(scene: Scene) -> None:
    key = scene.add(4)
    scene.take()
    scene.backlog.settle(Verdict(REDUCE, "rejected", [1]), NOW)
    left = scene.take()
    assert (names([left]), left.key) == ([[0, 2, 3]], part_key(key, 0))
    scene.backlog.settle(TAKEN, NOW)
    assert scene.accounts() == (3, 0, 0, {"rejected": 1})


def test_a_batch_that_holds_more_than_the_collector_takes_is_split_before(scene: Scene) -> None:
    scene.add(300)
    found = []
    while scene.backlog.has_next:
        found.append(scene.take(limit=64))
        scene.backlog.settle(TAKEN, NOW)
    assert max(len(part.events) for part in found) <= 64
    assert [n for part in names(found) for n in part] == list(range(300))
    assert len({part.key for part in found}) == len(found)
    assert scene.accounts() == (300, 0, 0, {})


# orphans


def orphaned(state: Path, *counts: int, **fields: object) -> None:
    """Leave batches of a process that has exited."""
    gone = Scene(state)
    for count in counts:
        gone.add(count, **fields)  # type: ignore[arg-type]
    gone.backlog.release()


def test_all_orphans_are_adopted_one_owner_after_the_other(scene: Scene) -> None:
    for _ in range(30):
        orphaned(scene.state, 1, 2)
    sent = 0
    while scene.backlog.has_next or scene.backlog.adopt():
        sent += len(scene.take().events)
        assert len(list((scene.state / "spool").glob("*.lock"))) <= 30
        scene.backlog.settle(TAKEN, NOW)
    assert sent == 90
    assert scene.files() == []
    scene.backlog.disconnect()
    assert list((scene.state / "spool").iterdir()) == []


def test_what_becomes_of_an_orphan_is_reported_but_is_no_account_of_ours(scene: Scene) -> None:
    orphaned(scene.state, 4)
    assert scene.backlog.adopt()
    scene.take()
    scene.backlog.settle(Verdict(SPLIT), NOW)
    scene.take()
    scene.backlog.settle(Verdict(DELIVERED, refused=[1]), NOW)
    assert scene.accounts() == (0, 0, 0, {})
    assert scene.backlog.is_empty  # nothing of ours is left
    assert scene.losses.take_unreported() == {(EVENT, "rejected"): 1}
    scene.take()
    scene.backlog.settle(TAKEN, NOW)
    assert scene.files() == []


def test_the_parts_of_an_orphan_are_adopted_with_the_rest_of_it(scene: Scene) -> None:
    orphaned(scene.state, 4, 2)
    assert scene.backlog.adopt()
    scene.take()
    scene.backlog.settle(Verdict(SPLIT), NOW)
    scene.backlog.disconnect()
    other = Scene(scene.state)
    assert other.backlog.adopt()
    sent = []
    while other.backlog.has_next:
        sent.append(other.take())
        other.backlog.settle(TAKEN, NOW)
    assert sorted(len(found.events) for found in sent) == [2, 2, 2]


def test_four_that_fail_count_nothing_and_one_that_delivers_counts_once(state: Path) -> None:
    orphaned(state, 3, report=True)
    counted: dict[tuple[str, str], int] = {}
    for verdict in (NETWORK, NETWORK, NETWORK, Verdict(DELIVERED, refused=[0])):
        scene = Scene(state)
        assert scene.backlog.adopt()
        scene.take()
        scene.backlog.settle(verdict, NOW)
        for key, times in scene.losses.totals().items():
            counted[key] = counted.get(key, 0) + times
        scene.backlog.release()
    assert counted == {(EVENT, "rejected"): 1}
    assert waiting(str(state)) == 0


@pytest.mark.parametrize("reason", ["rejected", "too_large"])
def test_the_report_of_a_batch_on_disk_that_is_given_up_is_said_by_another(
    scene: Scene, reason: str
) -> None:
    orphaned(scene.state, 2, report=True)
    assert scene.backlog.adopt()
    scene.take()
    scene.backlog.settle(Verdict(DROP, reason), NOW)
    assert scene.losses.take_unreported() == {**REPORT, (EVENT, reason): 2}
    assert scene.losses.take_unreported() == {}


# bounds


def test_more_events_than_the_bound_lose_the_oldest_and_are_counted(scene: Scene) -> None:
    for _ in range(20):
        scene.add(64)
    kept = SPOOL_EVENTS // 64 * 64
    assert scene.accounts() == (0, 0, kept, {"spool_full": 20 * 64 - kept})
    assert waiting(str(scene.state)) == kept


def test_more_bytes_than_the_bound_lose_the_oldest(scene: Scene) -> None:
    for _ in range(6):
        scene.add(1, text="x" * 300_000)
    assert sum(path.stat().st_size for path in scene.files()) <= SPOOL_BYTES
    assert scene.accounts() == (0, 0, 3, {"spool_full": 3})


def test_orphans_give_way_before_what_is_newer_and_their_reports_are_said(scene: Scene) -> None:
    orphaned(scene.state, 64, report=True)
    for _ in range(SPOOL_EVENTS // 64):
        scene.add(64)
    assert scene.accounts()[3] == {}
    assert scene.losses.take_unreported() == {**REPORT, (EVENT, "spool_full"): 64}


def test_the_batches_of_a_living_process_are_given_up_by_nobody_else(state: Path) -> None:
    first, second = Scene(state), Scene(state)
    for _ in range(SPOOL_EVENTS // 64):
        first.add(64)
    for _ in range(3):
        second.add(64)
    assert first.accounts() == (0, 0, SPOOL_EVENTS // 64 * 64, {})
    assert second.accounts()[3] == {"spool_full": 3 * 64}
    assert waiting(str(state)) == SPOOL_EVENTS // 64 * 64


def age(scene: Scene, seconds: float) -> None:
    """Make the batches on disk look as if they had been closed so long ago."""
    for path in scene.files():
        closed = int(path.name[:16]) - int(seconds * 1e6)
        path.rename(path.with_name(f"{closed:016d}{path.name[16:]}"))


def test_what_is_a_week_old_expires_when_it_is_to_be_sent(scene: Scene) -> None:
    orphaned(scene.state, 2, report=True)
    age(scene, SPOOL_SECONDS + 1)
    assert scene.backlog.adopt()
    assert scene.backlog.take(NOW, 64) is None
    assert scene.files() == []
    assert scene.losses.take_unreported() == {**REPORT, (EVENT, "expired"): 2}


def test_what_is_a_week_old_expires_when_something_comes(scene: Scene) -> None:
    orphaned(scene.state, 2)
    age(scene, SPOOL_SECONDS + 1)
    scene.add()
    assert len(scene.files()) == 1
    assert scene.losses.totals() == {(EVENT, "expired"): 2}


# what fails, and what goes behind our back


def test_while_nothing_can_be_opened_nothing_is_lost(scene: Scene) -> None:
    for _ in range(4):
        scene.add(7)
    orphaned(scene.state, 5)
    scene.backlog.adopt()
    now = NOW
    with none_left():
        for _ in range(12):
            found = scene.backlog.take(now, 64)
            if found is not None:  # the first, which is in memory
                scene.backlog.settle(NETWORK, now)
            now += scene.backlog.pause(now)
    sent = 0
    while scene.backlog.has_next:
        found = scene.backlog.take(now, 64)
        now += scene.backlog.pause(now)
        if found is not None:
            sent += len(found.events)
            scene.backlog.settle(TAKEN, now)
    assert sent == 33
    assert scene.accounts() == (28, 0, 0, {})
    assert not list((scene.state / "spool").glob("*.aside"))


def test_what_was_put_in_the_place_of_a_file_holds_up_no_other(scene: Scene) -> None:
    for _ in range(3):
        scene.add(1)
    first = scene.take()
    middle = scene.files()[1]
    middle.unlink()
    os.mkfifo(middle)
    scene.backlog.settle(TAKEN, NOW)
    last = scene.take()
    assert first.key != last.key
    scene.backlog.settle(TAKEN, NOW)
    assert scene.accounts() == (2, 0, 0, {"spool_full": 1})


@pytest.mark.internal_error
def test_what_is_damaged_is_set_aside_and_counted_by_what_we_know_of_it(scene: Scene) -> None:
    for _ in range(3):
        scene.add(3)
    scene.files()[1].write_bytes(b"torn")
    sent = []
    while scene.backlog.has_next:
        if (found := scene.backlog.take(NOW, 64)) is not None:
            sent.append(found)
            scene.backlog.settle(TAKEN, NOW)
    assert len(sent) == 2
    assert scene.accounts() == (6, 0, 0, {"internal_error": 3})
    (aside,) = (scene.state / "spool").glob("*.aside")
    assert aside.read_bytes() == b"torn"


@pytest.mark.parametrize("how", ["files", "directory"])
def test_a_spool_that_is_removed_loses_what_is_counted(scene: Scene, how: str) -> None:
    for _ in range(4):
        scene.add(50)
    for path in (scene.state / "spool").iterdir():
        if how == "directory" or path.suffix == ".json":
            path.unlink()
    if how == "directory":
        (scene.state / "spool").rmdir()
    scene.add(2)
    while scene.backlog.has_next:
        if scene.backlog.take(NOW, 64) is not None:
            scene.backlog.settle(TAKEN, NOW)
    delivered, waits, spooled, lost = scene.accounts()
    assert (waits, spooled) == (0, 0)
    assert lost.keys() == {"spool_full"}
    assert delivered + lost["spool_full"] == 202


def test_an_opt_out_that_empties_the_spool_is_counted_by_what_we_know(scene: Scene) -> None:
    for _ in range(4):
        scene.add(50)
    for path in scene.files():
        path.unlink()
    scene.backlog.discard("opted_out")
    assert scene.accounts() == (0, 0, 0, {"opted_out": 200})
    assert scene.backlog.is_empty


def test_an_opt_out_removes_the_file_of_what_is_in_flight_and_leaves_it_to_its_answer(
    scene: Scene,
) -> None:
    scene.add(3)
    scene.add(2)
    scene.take()
    scene.backlog.discard("opted_out")
    assert scene.files() == []
    assert scene.accounts() == (0, 3, 0, {"opted_out": 2})
    scene.backlog.settle(TAKEN, NOW)
    assert scene.accounts() == (3, 0, 0, {"opted_out": 2})


def test_a_claim_that_another_process_took_over_is_that_one_s_to_send_and_to_count(
    scene: Scene,
) -> None:
    for _ in range(3):
        scene.add(2)
    other = Scene(scene.state)
    with closed_behind_its_back(scene.state / "spool"):
        assert other.backlog.adopt()
        assert scene.backlog.take(NOW, 64) is None
        scene.add(1)  # under a name that is free
        sent = 0
        while other.backlog.has_next:
            sent += len(other.take().events)
            other.backlog.settle(TAKEN, NOW)
        assert sent == 6
        scene.take()
        scene.backlog.settle(TAKEN, NOW)
        delivered, _, spooled, lost = scene.accounts()
        assert (delivered, spooled, lost) == (1, 6, {})
        scene.backlog.release()
        other.backlog.release()


def test_a_claim_that_nobody_took_over_goes_on(scene: Scene) -> None:
    for _ in range(3):
        scene.add(2)
    with closed_behind_its_back(scene.state / "spool"):
        while scene.backlog.has_next:
            scene.take()
            scene.backlog.settle(TAKEN, NOW)
        assert scene.accounts() == (6, 0, 0, {})
        scene.backlog.release()


def test_an_adopted_claim_that_was_lost_is_let_go(scene: Scene) -> None:
    orphaned(scene.state, 3, 3)
    assert scene.backlog.adopt()
    other = Scene(scene.state)
    with closed_behind_its_back(scene.state / "spool"):
        assert other.backlog.adopt()
        assert scene.backlog.take(NOW, 64) is None
        assert not scene.backlog.has_next
        assert len(other.take().events) == 3


# bugs of ours


@pytest.mark.internal_error
def test_a_batch_that_cannot_be_stored_for_a_bug_is_lost_alone(scene: Scene) -> None:
    scene.add(2)
    scene.add(2, what=object())
    scene.add(2)
    assert len(scene.errors) == 1
    assert scene.accounts() == (0, 0, 4, {"internal_error": 2})


@pytest.mark.internal_error
def test_a_bug_about_a_batch_on_disk_deletes_nothing(scene: Scene) -> None:
    scene.add(3)
    scene.take()
    scene.backlog.settle(Verdict(DELIVERED, refused=[99]), NOW)  # no such event
    assert len(scene.errors) == 1
    assert scene.accounts() == (0, 0, 0, {"internal_error": 3})
    assert len(list((scene.state / "spool").glob("*.aside"))) == 1


@pytest.mark.internal_error
def test_what_a_bug_kept_from_being_sent_is_set_aside(scene: Scene) -> None:
    scene.add(3)
    scene.take()
    scene.backlog.settle(Verdict(RETRY, "internal_error"), NOW)
    assert scene.take().faults == 1
    scene.backlog.settle(Verdict(DROP, "internal_error"), NOW)
    assert scene.accounts() == (0, 0, 0, {"internal_error": 3})
    assert os.listdir(scene.state / "spool")


# the end


def test_what_is_released_is_still_told_and_no_longer_ours(scene: Scene) -> None:
    scene.add(3)
    scene.backlog.release()
    assert scene.accounts() == (0, 0, 3, {})
    assert scene.backlog.is_empty
    assert Scene(scene.state).backlog.adopt()


def test_only_what_is_on_disk_is_handed_over(scene: Scene) -> None:
    scene.add(3, keep_at=NOW + 1)
    assert scene.backlog.hand_over() is None
    scene.backlog.persist(NOW + 1)
    assert scene.backlog.hand_over() == str(scene.state / "spool")
    assert len(list((scene.state / "spool").glob("*.ending"))) == 1


def test_descriptors_can_be_used_up() -> None:
    """Else some tests above would show nothing."""
    with none_left(), pytest.raises(OSError) as found:
        os.open(os.devnull, os.O_RDONLY)
    assert found.value.errno == errno.EMFILE
