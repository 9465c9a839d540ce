"""The store behind `append` and `query`, and each trap that DuckDB sets a server."""

import os
import random
import threading
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from collector_process import command, event, hex_id

from getpatter.collector import clock, erasure, operate
from getpatter.collector.batch import BatchAnswer, ReceivedBatch, RefusedEvent
from getpatter.collector.keys import Key
from getpatter.collector.limits import DAY, HOUR
from getpatter.collector.store import Store, StoreError, migrate, months, rollups
from getpatter.collector.store.columns import FIELDS
from getpatter.collector.store.database import connect

OUTCOMES = ["completed", "no_answer", "busy", "error", "failed"]


def batch(
    events: list[dict[str, Any]], key: str = "", age: int = 0, *, is_legacy: bool = False
) -> ReceivedBatch:
    digits = key or hex_id()
    now = clock.now()
    return ReceivedBatch(
        key=Key(int(digits[:16], 16), int(digits[16:], 16), (now - age) // HOUR, is_legacy),
        received=now,
        age=age,
        rate=None if is_legacy else 0.5,
        events=list(enumerate(events)),
        size=len(events),
    )


def some_events(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Events of a few installs and runs, of every kind."""
    chance = random.Random(seed)  # noqa: S311 - invented events
    installs = [hex_id() for _ in range(5)]
    runs = [(hex_id(), chance.choice(installs)) for _ in range(12)]
    made = []
    for _ in range(count):
        run, install = chance.choice(runs)
        kinds: list[dict[str, Any]] = [
            {"event": "sdk_initialized", "carrier": "twilio", "container": True},
            {"event": "config_incomplete", "missing": chance.choice(["llm_key", "other"])},
            {"event": "agent_configured", "builtin_tool_count": 2, "preambles_used": True},
            {"event": "call_started", "call_uid": hex_id(), "sample_rate": 0.5},
            {
                "event": "call_completed",
                "outcome": chance.choice(OUTCOMES),
                "error_layer": chance.choice(["llm", "none"]),
                "latency_ms": chance.randrange(2000),
                "llm_ttft_ms": float(chance.randrange(500)),
                "cost_usd": 1,
            },
        ]
        made.append(event() | {"run_id": run, "install_id": install} | chance.choice(kinds))
    return made


@pytest.fixture
def store(tmp_path: Path) -> Any:
    made = Store(str(tmp_path / "data"))
    yield made
    made.close()


def view(store: Store, name: str) -> list[str]:
    return sorted(map(str, store.query(f"SELECT * FROM {name}").rows))


def count(store: Store, table: str = "events") -> int:
    return int(store.query(f"SELECT count(*) FROM {table}").rows[0][0])


def test_there_is_a_column_for_every_field_of_every_version(store: Store) -> None:
    found = store.query(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'hot_events'"
    ).rows
    own = {"commit_no", "received", "day", "age", "rate", "legacy", "grp", "draw"}
    assert {name: kind for name, kind in found if name not in own} == FIELDS


def test_every_field_comes_back_as_it_went_in(store: Store) -> None:
    sent = event(
        "call_completed", latency_ms=5.0, cost_usd=1, call_uid=hex_id(), outcome="completed"
    )
    store.append([batch([sent])])
    names = list(sent)
    row = store.query(f"SELECT {', '.join(names)} FROM events").rows[0]
    got = {n: str(v).replace("-", "") if n.endswith("id") else v for n, v in zip(names, row)}  # noqa: B905
    assert got == sent


def test_answers_are_kept_with_their_keys(store: Store) -> None:
    made = batch([event()], key := hex_id())
    made.refused = [RefusedEvent(1, "/os", "enum")]
    first = store.append([made])[0]
    assert first == BatchAnswer(1, (RefusedEvent(1, "/os", "enum"),))
    store.reopen()
    again = store.append([batch([event()], key), batch([event()], key)])
    assert again == [BatchAnswer(1, first.refused, is_repeated=True)] * 2
    assert count(store) == 1


@pytest.mark.parametrize("age", [0, 2 * HOUR, 100 * HOUR, 7 * DAY])
def test_key_is_found_in_its_hour_after_a_reopening(store: Store, age: int) -> None:
    key = hex_id()
    store.append([batch([event()], key, age)])
    store.reopen()
    # A retry states an age that differs a little, and may fall into the hour beside it.
    for later in (age, max(0, age - HOUR), min(7 * DAY, age + HOUR)):
        assert store.append([batch([event()], key, later)])[0].is_repeated
    assert count(store) == 1


def test_key_is_found_though_the_clock_was_set(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, sent = clock.now(), []
    for hours in (0, 1, 30, 2, -1, 5, 31, 0):
        monkeypatch.setattr(clock, "now", lambda at=begin + hours * HOUR: at)
        sent.append(batch([event()]))
        assert not store.append(sent[-1:])[0].is_repeated
        assert all(answer.is_repeated for answer in store.append(sent))
    store.reopen()
    assert all(answer.is_repeated for answer in store.append(sent))
    assert count(store) == len(sent)


def test_keys_of_one_group_are_counted_once(store: Store) -> None:
    key = hex_id()
    answers = store.append([batch([event()], key), batch([event()], key)])
    assert [answer.is_repeated for answer in answers] == [False, True]
    assert count(store) == 1


def test_body_of_a_legacy_batch_is_honoured_for_ten_minutes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, now = hex_id(), clock.now()
    sent = [batch([event()], key, is_legacy=True)]
    assert not store.append(sent)[0].is_repeated
    monkeypatch.setattr(clock, "now", lambda: now + 600)
    assert store.append(sent)[0].is_repeated
    monkeypatch.setattr(clock, "now", lambda: now + 700)
    later = batch([event()], key, is_legacy=True)
    assert not store.append([later])[0].is_repeated
    assert store.append([later])[0].is_repeated
    # A key that a client chose is another thing than a digest, even with the same digits.
    assert not store.append([batch([event()], key)])[0].is_repeated


def test_keys_go_after_eight_days(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.append([batch([event()], age=7 * DAY), batch([event()])])
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + 2 * DAY)
    store.tidy()
    tables = store.query("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'keys'").rows
    assert tables == [(f"h{now // HOUR}",)]


def test_counts_of_the_same_thing_become_one_row(store: Store) -> None:
    for number in (1, 2):
        made = batch([event()])
        made.losses = {("call_started", "queue_full"): number}
        made.refusals = [(200, 8, "first_run", "/os", "enum", None)]
        store.append([made], {(400, None, None, None, "json", None): number})
    store.tidy()
    assert store.query("SELECT event, n FROM losses").rows == [("call_started", 3)]
    assert store.query("SELECT status, event, n FROM refusals ORDER BY 1").rows == [
        (200, "first_run", 2),
        (400, None, 3),
    ]


def test_no_table_has_an_index(store: Store) -> None:
    store.append([batch([event()])])
    assert store.query("SELECT * FROM duckdb_indexes()").rows == []
    assert store.query("SELECT * FROM duckdb_constraints()").rows == []


def test_incremental_roll_ups_equal_rebuilt_ones(store: Store) -> None:
    for seed in range(4):
        store.append([batch(some_events(60, seed), age=seed * DAY)])
        store.fold()
        if seed == 2:
            store.merge()
    incremental = {name: view(store, name) for name in rollups.NAMES}
    assert all(incremental.values())
    store.rebuild()
    assert {name: view(store, name) for name in rollups.NAMES} == incremental
    # And what they say is what the events say.
    (ends,) = store.query("SELECT sum(n)::INT FROM calls").rows[0]
    assert ends == count(store, "(SELECT 1 FROM events WHERE event = 'call_completed')")


def test_folds_beside_commits_miss_nothing(store: Store) -> None:
    is_done = threading.Event()

    def fold() -> None:
        while not is_done.is_set():
            store.fold()
            store.merge()

    folding = threading.Thread(target=fold)
    folding.start()
    for seed in range(8):
        store.append([batch(some_events(50, seed))])
    is_done.set()
    folding.join()
    store.fold()
    incremental = {name: view(store, name) for name in rollups.NAMES}
    store.rebuild()
    assert {name: view(store, name) for name in rollups.NAMES} == incremental


def test_groups_and_draws_are_those_of_every_client(store: Store) -> None:
    from hashlib import sha256

    sent = [event() for _ in range(50)]
    store.append([batch(sent)])
    rows = store.query("SELECT replace(run_id::VARCHAR, '-', ''), draw, grp FROM events").rows
    expected = {e["run_id"]: int(sha256(e["run_id"].encode()).hexdigest()[:8], 16) for e in sent}
    assert {run: draw for run, draw, _ in rows} == expected
    assert all(0 <= group < 64 for _, _, group in rows)


def _bytes_of(directory: str) -> bytes:
    return b"".join(p.read_bytes() for p in Path(directory).rglob("*") if p.is_file())


def _forms(install: str) -> list[bytes]:
    """The id as text, and as DuckDB keeps a UUID: with the first bit turned, either way round."""
    raw = bytes.fromhex(install)
    turned = bytes([raw[0] ^ 0x80]) + raw[1:]
    return [install.encode(), raw, raw[::-1], turned, turned[::-1], turned[8:][::-1]]


def test_erased_install_is_nowhere_once_the_receipt_says_so(store: Store) -> None:
    victim, other = hex_id(), hex_id()
    # One that is deleted and one that stays in each block, and a closed month with both.
    for install in (victim, other):
        store.append([batch([event("call_completed", install_id=install, outcome="error")] * 50)])
    _make_old(store, victim, other)
    store.fold()
    assert any(form in _bytes_of(store.directory) for form in _forms(victim))
    receipt = erasure.erase(store, victim)
    assert erasure.receipt_state(store, receipt) == "pending"
    assert count(store) == count(store, f"(SELECT 1 FROM events WHERE install_id = '{other}')")
    assert view(store, "runs")
    assert not any(form in str(view(store, "runs")).encode() for form in _forms(victim)[:1])
    assert store.query("SELECT sum(n)::INT FROM calls").rows[0][0] == count(store) - 1
    erasure.rewrite(store)
    assert erasure.receipt_state(store, receipt) == "erased"
    store.close()
    everything = _bytes_of(store.directory)
    assert not any(form in everything for form in _forms(victim))
    assert any(form in everything for form in _forms(other))
    store.__init__(store.directory)  # type: ignore[misc] # for the fixture, and: it can be opened
    assert erasure.receipt_state(store, receipt) == "erased"


def _make_old(store: Store, *installs: str) -> None:
    """Put events of a closed month into its file."""
    store.append([batch([event(install_id=i, run_id=hex_id())]) for i in installs])
    with store.transaction() as connection:
        connection.execute(
            "UPDATE hot_events SET day = DATE '2020-01-15' WHERE event = 'cli_command'"
        ).fetchall()
    with store.transaction() as connection:
        assert months.close_months(connection, store.directory, clock.now()) == 1


def test_what_an_erased_install_sends_later_is_refused(store: Store) -> None:
    victim = hex_id()
    erasure.erase(store, victim)
    made = batch([event(install_id=victim), event()])
    assert store.append([made]) == [BatchAnswer(1, (RefusedEvent(0, "/install_id", "erased"),))]
    assert count(store) == 1
    store.reopen()
    assert store.append([batch([event(install_id=victim)])])[0].accepted == 0
    assert victim.encode() not in _bytes_of(store.directory)


def test_erasure_that_is_asked_for_twice_has_one_receipt(store: Store) -> None:
    victim = hex_id()
    assert erasure.erase(store, victim) == erasure.erase(store, victim)
    assert erasure.receipt_state(store, hex_id()) is None


def test_closed_month_is_a_file_behind_the_same_view(store: Store) -> None:
    _make_old(store, hex_id(), hex_id())
    store.append([batch([event()])])
    assert count(store) == 3
    assert count(store, "hot_events") == 1
    files = list((Path(store.directory) / "months").iterdir())
    assert [path.suffix for path in files] == [".parquet"]
    (files[0].parent / "left_over.parquet").write_bytes(b"from something that did not finish")
    store.reopen()
    assert count(store) == 3
    assert list((Path(store.directory) / "months").iterdir()) == files


def test_backup_with_closed_months_is_restored_elsewhere_to_the_last_row(
    store: Store, tmp_path: Path
) -> None:
    victim, other = hex_id(), hex_id()
    _make_old(store, victim, other)
    store.append([batch(some_events(200))])
    store.fold()
    views = ("events", "losses", *rollups.NAMES)
    before = {name: view(store, name) for name in views}
    copy, elsewhere = tmp_path / "copy", tmp_path / "elsewhere"
    said: list[str] = []
    assert operate.backup(store, str(copy), said.append)["months"] == 1
    assert said
    # What happens after it is not in it, and harms nothing of it.
    erasure.erase(store, victim)
    erasure.rewrite(store)
    operate.restore(str(copy), str(elsewhere))
    (copy / "hot.duckdb").rename(tmp_path / "moved.duckdb")
    again = Store(str(elsewhere))
    try:
        assert {name: view(again, name) for name in views} == before
        assert not again.append([batch([event()])])[0].is_repeated
    finally:
        again.close()
    everything = _bytes_of(store.directory)
    assert not any(form in everything for form in _forms(victim))


def test_retention_deletes_files(store: Store) -> None:
    _make_old(store, hex_id())
    before = view(store, "runs")
    with store.transaction() as connection:
        files = months.retain(connection, store.directory, clock.now())
    months.remove(store.directory, files)
    assert count(store) == 0
    assert list((Path(store.directory) / "months").iterdir()) == []
    assert view(store, "runs") == before  # roll-ups stay


def test_month_closes_only_when_nothing_can_arrive_for_it(store: Store) -> None:
    store.append([batch([event()])])
    today = date(1970, 1, 1) + timedelta(days=clock.now() // DAY)
    end = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
    for days, closed in ((7, 0), (8, 1)):
        at = ((end - date(1970, 1, 1)).days + days) * DAY
        with store.transaction() as connection:
            assert months.close_months(connection, store.directory, at) == closed


def test_compacting_gives_space_back(store: Store) -> None:
    for _ in range(4):
        store.append([batch(some_events(2000))])
    with store.transaction() as connection:
        connection.execute("DELETE FROM hot_events").fetchall()
    before, after = erasure.rewrite(store)
    assert after < before
    assert not store.append([batch([event()])])[0].is_repeated
    assert count(store) == 1


def test_fatal_error_is_survived_once_and_the_retry_is_harmless(store: Store) -> None:
    """On a full disk the commit raises although it is durable, and nothing works afterwards."""

    class Broken:
        """A connection whose commit succeeds and then fails, as DuckDB's does on a full disk."""

        def __init__(self, real: Any) -> None:
            self._real = real
            self._is_invalid = False

        def execute(self, sql: str, *rest: Any) -> Any:
            if self._is_invalid:
                raise duckdb.FatalException
            done = self._real.execute(sql, *rest)
            if sql == "COMMIT":
                done.fetchall()
                self._is_invalid = True
                raise duckdb.FatalException
            return done

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

    key = hex_id()
    store.connection = Broken(store.connection)  # type: ignore[assignment]
    answers = store.append([batch([event()], key)])
    assert answers[0].accepted == 1
    assert answers[0].is_repeated  # found by its key: it was durable
    assert count(store) == 1
    assert not store.append([batch([event()])])[0].is_repeated


def test_error_of_one_statement_is_rolled_back(store: Store) -> None:
    bad = batch([event(latency_ms=10**12)])
    with pytest.raises(Exception, match=r".") as caught:
        store.append([bad])
    assert not isinstance(caught.value, StoreError)
    assert not store.append([batch([event()])])[0].is_repeated
    assert count(store) == 1


def test_log_that_cannot_be_replayed_is_set_aside(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.append([batch([event()])])
    store.connection.execute("CHECKPOINT").fetchall()
    store.append([batch([event()])])
    # As a kill leaves it: the log is there, and then damaged.
    copied = {name: (tmp_path / name).read_bytes() for name in ("hot.duckdb", "hot.duckdb.wal")}
    store.close()
    log = bytearray(copied["hot.duckdb.wal"])
    log[len(log) // 3 :] = os.urandom(len(log) - len(log) // 3)
    (tmp_path / "hot.duckdb").write_bytes(copied["hot.duckdb"])
    (tmp_path / "hot.duckdb.wal").write_bytes(bytes(log))
    again = Store(str(tmp_path))
    try:
        assert len(again.warnings) == 1
        assert "may be missing" in again.warnings[0]
        assert (tmp_path / "hot.duckdb.wal.unreadable").exists()
        assert count(again) >= 1
        assert again.is_usable()
    finally:
        again.close()


def test_store_in_use_and_newer_store_are_one_line_and_exit_2(store: Store, tmp_path: Path) -> None:
    done = command("status", "--data", store.directory)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "another process uses the store" in done.stderr
    newer = tmp_path / "newer"
    Store(str(newer)).close()
    with connect(str(newer)) as connection:
        connection.execute("UPDATE meta SET value = '999' WHERE name = 'version'").fetchall()
    for arguments in (("status",), ("serve", "--listen", "127.0.0.1:0", "--pages", "127.0.0.1:0")):
        done = command(*arguments, "--data", str(newer))
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "use a newer one" in done.stderr
    with connect(str(newer)) as connection:  # a version from which no step leads to this one
        connection.execute("UPDATE meta SET value = '0' WHERE name = 'version'").fetchall()
    done = command("status", "--data", str(newer))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "cannot be upgraded" in done.stderr


def test_migration_takes_each_step_or_none(store: Store) -> None:
    steps = {1: "CREATE TABLE second (a INT)", 2: "CREATE TABLE third (a INT)"}
    with store.transaction() as connection:
        migrate.upgrade(connection, 1, steps)
    assert store.query("SELECT value FROM meta WHERE name = 'version'").rows == [("3",)]
    assert count(store, "second") == count(store, "third") == 0
    with pytest.raises(duckdb.Error), store.transaction() as connection:
        migrate.upgrade(connection, 3, {3: "CREATE TABLE fourth (a INT)", 4: "nonsense"})
    assert store.query("SELECT value FROM meta WHERE name = 'version'").rows == [("3",)]


@pytest.mark.parametrize(
    "sql",
    [
        "INSTALL httpfs",
        "LOAD httpfs",
        "SELECT * FROM read_csv('/etc/hostname')",
        "SELECT * FROM read_parquet('https://127.0.0.1/x.parquet')",
        "COPY (SELECT 1) TO '/var/getpatter-outside.csv'",
        "SET enable_external_access = true",
        "SET autoload_known_extensions = true",
        "ATTACH '/var/getpatter-outside.duckdb' AS outside",
    ],
)
def test_nothing_outside_the_data_directory_can_be_reached(store: Store, sql: str) -> None:
    with pytest.raises(duckdb.Error):
        store.query(sql)
    assert count(store) == 0  # and the store goes on
