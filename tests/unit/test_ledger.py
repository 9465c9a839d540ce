"""The ledger: bounded, private, whole lines whoever writes, and gone with an opt-out."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from getpatter.telemetry import sent
from getpatter.telemetry.commands import log
from getpatter.telemetry.delivery.ledger import Ledger, NoLedger, read
from getpatter.telemetry.losses import Losses
from getpatter.telemetry.places import LEDGER_BYTES, Places

BODY = json.dumps([{"event": "cli_command", "padding": "x" * 4_000}])


def environment(directory: Path) -> dict[str, str]:
    return {"HOME": str(directory), "PATTER_TELEMETRY_STATE_DIR": str(directory)}


def ledger(directory: Path, losses: Losses | None = None, endpoint: str = "https://x") -> Ledger:
    places = Places.of(environment(directory))
    return Ledger(str(directory), endpoint, losses or Losses(), places)


def keys(directory: Path) -> list[object]:
    return [entry["key"] for entry in read(str(directory))]


def test_an_entry_comes_back_as_it_was_noted(tmp_path: Path) -> None:
    losses = Losses()
    losses.count("call_started", "sampled_out", 3)
    book = ledger(tmp_path, losses)
    book.note('[{"a":"\\u2028\\n"}]', "k1", 200)
    book.note("[]", "k2", None)
    first, second = read(str(tmp_path))
    assert (first["body"], first["key"], first["status"]) == ('[{"a":"\\u2028\\n"}]', "k1", 200)
    assert first["dropped"] == {"call_started": {"sampled_out": 3}}
    assert (second["status"], second["dropped"]) == (None, {})
    assert (tmp_path / "ledger").stat().st_mode & 0o777 == 0o600


def test_losses_alone_are_noted_once_and_nothing_is_noted_for_nothing(tmp_path: Path) -> None:
    losses = Losses()
    book = ledger(tmp_path, losses)
    book.note()
    assert not (tmp_path / "ledger").exists()
    losses.count("call_started", "queue_full")
    book.note()
    book.note()
    (entry,) = read(str(tmp_path))
    assert entry["dropped"] == {"call_started": {"queue_full": 1}}
    assert "body" not in entry


def test_it_never_grows_beyond_its_limit_and_the_oldest_go_first(tmp_path: Path) -> None:
    book = ledger(tmp_path)
    for number in range(150):
        book.note(BODY, str(number), 200)
        assert (tmp_path / "ledger").stat().st_size <= LEDGER_BYTES
    found = keys(tmp_path)
    assert 20 < len(found) < 150
    assert found == [str(number) for number in range(150 - len(found), 150)]
    assert (tmp_path / "ledger").stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"ledger", "lock"}


def test_an_entry_beyond_the_limit_is_left_out(tmp_path: Path) -> None:
    book = ledger(tmp_path)
    book.note("[]", "small", 200)
    book.note("x" * LEDGER_BYTES, "large", 200)
    assert keys(tmp_path) == ["small"]


def test_where_an_id_was_sent_outlives_the_entries(tmp_path: Path) -> None:
    """Of an entry that goes, or that is too long, its endpoint and install ID stay."""
    padding = [{"event": "cli_command", "install_id": "b" * 32, "padding": "x" * 4_000}]
    first = json.dumps([{"install_id": "a" * 32}], separators=(",", ":"))
    rest = json.dumps(padding, separators=(",", ":"))
    ledger(tmp_path, endpoint="https://first").note(first, "1", 200)
    book = ledger(tmp_path, endpoint="https://rest")
    for number in range(200):
        book.note(rest, str(number), None)
        assert (tmp_path / "ledger").stat().st_size <= LEDGER_BYTES
    ledger(tmp_path, endpoint="https://long").note(first + "x" * LEDGER_BYTES, "long", 200)
    assert sent.logged(str(tmp_path)) == {
        "a" * 32: ["https://first", "https://long"],
        "b" * 32: ["https://rest"],
    }
    entries = read(str(tmp_path))
    assert sum(int(str(entry.get("removed", 1))) for entry in entries) == 202
    assert entries[-1]["removed"] == 1
    shown = log.render({"directory": str(tmp_path), "problem": None, "entries": entries})
    assert "  https://first  requests until then, without their entries: 1\n" in shown


@pytest.mark.parametrize("torn", [b'{"at":1,"key":"torn","bo', b"\xff\xfe", b"[]", b'{"at":"1"}'])
def test_a_torn_or_foreign_line_costs_only_itself(tmp_path: Path, torn: bytes) -> None:
    book = ledger(tmp_path)
    book.note("[]", "before", 200)
    with (tmp_path / "ledger").open("ab") as file:
        file.write(torn)
    book.note("[]", "after", 200)
    assert keys(tmp_path) == ["before", "after"]


def test_a_file_that_somebody_made_too_long_is_shortened(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_bytes(b"x" * (3 * LEDGER_BYTES))
    ledger(tmp_path).note("[]", "mine", 200)
    assert keys(tmp_path) == ["mine"]
    assert (tmp_path / "ledger").stat().st_size <= LEDGER_BYTES


@pytest.mark.parametrize("kind", ["directory", "link", "missing place"])
def test_what_cannot_be_written_is_no_error(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "place"
    if kind != "missing place":
        place.mkdir()
    if kind == "directory":
        (place / "ledger").mkdir()
    if kind == "link":
        (tmp_path / "elsewhere").touch()
        (place / "ledger").symlink_to(tmp_path / "elsewhere")
    ledger(place).note("[]", "k", 200)
    if kind == "link":
        assert (tmp_path / "elsewhere").read_bytes() == b""


def test_nothing_is_noted_once_an_opt_out_is_stored(tmp_path: Path) -> None:
    (tmp_path / "telemetry-disabled").touch()
    ledger(tmp_path).note("[]", "k", 200)
    assert not (tmp_path / "ledger").exists()


def test_a_run_without_a_ledger_forgets(tmp_path: Path) -> None:
    NoLedger().note("[]", "k", 200)
    assert list(tmp_path.iterdir()) == []
    assert read(str(tmp_path)) == []


WRITER = """
import sys
from getpatter.telemetry import sent
from getpatter.telemetry.commands import log
from getpatter.telemetry.delivery.ledger import Ledger
from getpatter.telemetry.losses import Losses
from getpatter.telemetry.places import LEDGER_BYTES, Places
place, name, count, size = sys.argv[1:]
environ = {"HOME": place, "PATTER_TELEMETRY_STATE_DIR": place}
book = Ledger(place, None, Losses(), Places.of(environ))
sys.stdin.readline()  # all at once
for number in range(int(count)):
    book.note("x" * int(size), f"{name}-{number}", 200)
"""


@pytest.mark.parametrize(("count", "size"), [(40, 100), (60, 4_000)])
def test_processes_that_write_at_once_tear_nothing(tmp_path: Path, count: int, size: int) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(name), str(count), str(size)],
            stdin=subprocess.PIPE,
        )
        for name in range(4)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"\n")
        writer.stdin.close()
    for writer in writers:
        assert writer.wait(60) == 0
    found = keys(tmp_path)
    assert len(found) == len((tmp_path / "ledger").read_bytes().splitlines())
    assert len(found) == len(set(found))
    if size == 100:  # all of it fits
        assert len(found) == 4 * count
    for name in range(4):
        numbers = [int(str(key).partition("-")[2]) for key in found if str(key)[0] == str(name)]
        assert numbers == sorted(numbers)
