"""Backup and restore: one moment of the store, whatever goes on, and no erasure is undone."""

import os
import threading
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from collector_process import command, hex_id
from collector_story import START, batch_of, call, failed_call, put

from getpatter.collector import answers, clock, erasure, operate, tombstones
from getpatter.collector.limits import DAY
from getpatter.collector.store import Store, months, rollups


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(str(tmp_path / "data"))
    erasure.catch_up(made)
    yield made
    made.close()


# Of each table all that its definition has: columns, types, constraints.
TABLES = (
    "SELECT table_name, sql FROM duckdb_tables() "
    "WHERE database_name = 'hot' AND schema_name = 'main' ORDER BY ALL"
)


def quiet(_: str) -> None:
    """Nobody reads the progress."""


def fill(store: Store, *installs: str) -> None:
    """A day of each install in a month that has closed, and one nine days ago."""
    for install in installs:
        for days in (100, 9):
            put(store, [START, *call(), *failed_call()], install=install, days_ago=days)
    with store.transaction() as connection:
        months.close_months(connection, store.directory, clock.now())
    store.fold()


def installs_of(store: Store) -> set[str]:
    found: set[str] = set()
    for table in ("events", "runs", "callers", "setups", "faults"):
        rows = store.query(f"SELECT DISTINCT replace(install_id::VARCHAR, '-', '') FROM {table}")
        found |= {row[0] for row in rows.rows}
    return found


def reopened(directory: Path) -> Store:
    made = Store(str(directory))
    erasure.catch_up(made)
    return made


def test_snapshot_is_one_moment_and_holds_nothing_up(store: Store) -> None:
    fill(store, victim := hex_id(), other := hex_id())
    before = store.query("SELECT count(*) FROM events").rows[0][0]
    with store.snapshot() as (connection, files):
        # All that a collector does goes on meanwhile, and none of it is in the copy.
        put(store, [START])
        store.fold()
        store.merge()
        store.tidy()
        erasure.erase(store, victim)
        copied = os.path.join(store.directory, months.COPY, "hot.duckdb")
        erasure.copy_database(connection, copied)
        assert len(files) == 1
        os.rename(os.path.dirname(copied), Path(store.directory).parent / "copy")
    again = reopened(Path(store.directory).parent / "copy")
    try:
        assert again.query("SELECT count(*) FROM events").rows == [(before,)]
        assert installs_of(again) == {victim, other}
        assert again.query(TABLES) == store.query(TABLES)
    finally:
        again.close()


def test_backup_while_events_arrive_answers_the_same_for_closed_days(
    store: Store, tmp_path: Path
) -> None:
    fill(store, *(hex_id() for _ in range(20)))
    is_done = threading.Event()
    sent: list[str] = []

    def send() -> None:
        while not is_done.is_set():
            store.append([batch_of([START, *call()], run=hex_id(), key=(key := hex_id()))])
            sent.append(key)
            store.fold()

    sender = threading.Thread(target=send)
    sender.start()
    try:
        for copy in ("one", "two"):
            operate.backup(store, str(tmp_path / copy), quiet)
    finally:
        is_done.set()
        sender.join()
    assert sent
    day = str(date(1970, 1, 1) + timedelta(days=clock.now() // DAY - 8))
    for copy in ("one", "two"):
        operate.restore(str(tmp_path / copy), str(tmp_path / f"restored-{copy}"))
        again = reopened(tmp_path / f"restored-{copy}")
        try:
            for name in (one["name"] for one in answers.listing()):
                for at in (store, again):
                    at.fold()
                asked = [
                    answers.answer(name, {"until": day}, at.query, clock.now())
                    for at in (store, again)
                ]
                if name != "quality":  # refusals and losses have days of their own
                    assert asked[0] == asked[1], name
            incremental = {
                n: sorted(map(str, again.query(f"FROM {n}").rows)) for n in rollups.NAMES
            }
            again.rebuild()
            assert incremental == {
                n: sorted(map(str, again.query(f"FROM {n}").rows)) for n in rollups.NAMES
            }
            # A batch is in the copy with its key, or neither is: its retry is counted once.
            kept = again.query("SELECT count(*) FROM events WHERE day > $day", {"day": day}).rows
            answered = [again.append([batch_of([START, *call()], key=key)])[0] for key in sent]
            assert 3 * sum(answer.is_repeated for answer in answered) == kept[0][0]
        finally:
            again.close()


def test_nothing_of_a_backup_or_a_restore_that_was_killed_is_left(tmp_path: Path) -> None:
    data = tmp_path / "data"
    Store(str(data)).close()
    for name in ("copy", "incoming"):
        (data / name / "months").mkdir(parents=True)
        (data / name / "hot.duckdb").write_bytes(b"half of it")
    Store(str(data)).close()
    assert not (data / "copy").exists()
    assert not (data / "incoming").exists()


@pytest.mark.parametrize(
    "way", ["in place", "elsewhere with the list", "as a store, with the list"]
)
def test_erasure_after_a_backup_holds_when_it_is_restored(
    store: Store, tmp_path: Path, way: str
) -> None:
    fill(store, victim := hex_id(), other := hex_id())
    copy, elsewhere = tmp_path / "copy", tmp_path / "elsewhere"
    operate.backup(store, str(copy), quiet)
    receipt = erasure.erase(store, victim)
    listed = tmp_path / "data" / "erasures"
    assert victim not in listed.read_text()
    if way == "in place":
        store.close()
        done = operate.restore(str(copy), store.directory)
        assert done["erased"] == 1
        store.__init__(store.directory)  # type: ignore[misc] # for the fixture
        again = store
    elif way == "elsewhere with the list":
        operate.restore(str(copy), str(elsewhere), str(listed))
        again = reopened(elsewhere)
    else:
        (copy / "erasures").write_bytes(listed.read_bytes())
        again = reopened(copy)
        erasure.rewrite(again)
    try:
        assert installs_of(again) == {other}
        assert erasure.receipt_state(again, receipt) == "erased"
        late = batch_of([START], install=victim)
        assert again.append([late])[0].refused[0].rule == "erased"
    finally:
        if again is not store:
            again.close()


def test_erasure_holds_for_a_store_whose_file_is_broken(store: Store, tmp_path: Path) -> None:
    fill(store, victim := hex_id(), other := hex_id())
    operate.backup(store, str(tmp_path / "copy"), quiet)
    erasure.erase(store, victim)
    store.close()
    hot = tmp_path / "data" / "hot.duckdb"
    hot.write_bytes(os.urandom(50_000))
    done = operate.restore(str(tmp_path / "copy"), store.directory)
    assert (done["erased"], done["are_erasures_known"]) == (1, True)
    store.__init__(store.directory)  # type: ignore[misc] # for the fixture
    assert installs_of(store) == {other}


def test_erasure_reaches_an_install_whose_raw_events_have_gone(
    store: Store, tmp_path: Path
) -> None:
    fill(store, victim := hex_id(), other := hex_id())
    with store.transaction() as connection:
        connection.execute("DELETE FROM hot_events").fetchall()
        files = months.retain(connection, store.directory, clock.now() + 500 * DAY)
    months.remove(store.directory, files)
    assert installs_of(store) == {victim, other}  # in the roll-ups
    operate.backup(store, str(tmp_path / "copy"), quiet)
    erasure.erase(store, victim)
    listed = tmp_path / "data" / "erasures"
    operate.restore(str(tmp_path / "copy"), str(tmp_path / "elsewhere"), str(listed))
    again = reopened(tmp_path / "elsewhere")
    try:
        assert installs_of(again) == {other}
    finally:
        again.close()


def test_list_of_erasures_survives_a_kill_and_says_what_is_wrong(
    store: Store, tmp_path: Path
) -> None:
    receipts = {erasure.erase(store, hex_id()) for _ in range(3)}
    listed = tmp_path / "data" / "erasures"
    assert {receipt for receipt, _ in tombstones.read(str(listed)).values()} == receipts
    whole = listed.read_bytes()
    listed.write_bytes(whole[:-20])  # as a kill leaves it
    erasure.catch_up(store)
    assert sorted(listed.read_bytes().split()) == sorted(whole.split())
    listed.unlink()
    erasure.catch_up(store)
    assert sorted(listed.read_bytes().split()) == sorted(whole.split())
    operate.backup(store, str(tmp_path / "copy"), quiet)
    wrong = tmp_path / "wrong"
    wrong.write_text("nonsense\n")
    for name, code in ((wrong, 2), (tmp_path / "none", 1)):
        arguments = ("restore", str(tmp_path / "copy"), "--erasures", str(name))
        done = command(*arguments, "--data", str(tmp_path / "other"))
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
        assert str(name) in done.stderr
