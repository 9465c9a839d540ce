"""What a program leaves on disk is what the page on telemetry lists, and nothing else anywhere."""

import fnmatch
import os
import re
import socket
from pathlib import Path

import pytest
from conftest import Run

PAGE = (Path(__file__).parents[2] / "docs" / "telemetry.mdx").read_text("utf-8")
PROGRAM = """
import sys
from getpatter import Patter
phone = Patter(carrier="none")
with phone.call(direction="inbound") as call:
    call.answer()
print(phone.telemetry.flush(2))
"""
COMMAND = "from getpatter.cli import main; main(['telemetry', '{}'])"


def listed() -> dict[str, str]:
    """The files of the table → what it says removes them."""
    table = PAGE.partition("| file | what it holds | removed by |")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    return {name: row[2] for row in rows for name in re.findall(r"`([^`]+)`", row[0])}


def files(directory: Path) -> set[str]:
    return {
        path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()
    }


@pytest.fixture
def closed() -> str:
    """An endpoint at which nobody answers, so that batches stay on disk."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}/v1/ingest"


def test_the_files_are_those_of_the_page(run: Run, home: Path, tmp_path: Path, closed: str) -> None:
    rows = listed()
    patterns = [*rows, "spool/*.json"]  # "one file each"
    assert PAGE.count("one file each") == 1
    state = home / ".local" / "state" / "getpatter"
    for code in (PROGRAM, PROGRAM, COMMAND.format("log"), COMMAND.format("status")):
        done = run(code, PATTER_TELEMETRY_ENDPOINT=closed, catch_up=False)
        assert done.returncode == 0, done.stderr
        left = files(state)
        assert {"install-id", "notice", "first-run"} <= left
        assert any(fnmatch.fnmatch(name, "spool/*.json") for name in left)
        odd = {name for name in left if not any(fnmatch.fnmatch(name, one) for one in patterns)}
        assert odd == set()
        assert files(home) == {f".local/state/getpatter/{name}" for name in left}
        assert list((tmp_path / "work").iterdir()) == [], "the working directory"
        assert {oct((state / name).stat().st_mode & 0o777) for name in left} == {"0o600"}


def test_disable_erases_what_the_page_says_it_does(run: Run, home: Path, closed: str) -> None:
    run(PROGRAM, PATTER_TELEMETRY_ENDPOINT=closed, catch_up=False)
    assert run(COMMAND.format("disable"), PATTER_TELEMETRY_ENDPOINT=closed).returncode == 0
    erased = {name for name, by in listed().items() if by == "`disable`"}
    assert {"install-id", "ledger", "spool"} <= erased
    left = {name for name in files(home) if not name.endswith("telemetry-disabled")}
    found = {
        name
        for name in erased
        for path in left
        if os.path.basename(path) == name or (name == "spool" and path.endswith(".json"))
    }
    assert found == set()
    stays = {os.path.basename(path) for path in left}
    known = {name.rpartition("/")[2] for name, by in listed().items() if by != "`disable`"}
    assert {name for name in stays if not any(fnmatch.fnmatch(name, one) for one in known)} == set()
