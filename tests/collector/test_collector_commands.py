"""`getpatter collector …`: bad input is one clear line and exit 2, and what operators do works."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from collector_process import COMMAND, Start, command, event, hex_id, rows

from getpatter.cli import main

pytest_plugins = ("collector_fixtures",)

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run a command in this process: its exit code, and what it said on stdout and stderr."""
    monkeypatch.setenv("HOME", "/dev/null")
    mask = os.umask(0o022)

    def run_command(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(["collector", *arguments])
        except SystemExit as ended:  # argparse ends a wrong command line by itself
            code = ended.code if isinstance(ended.code, int) else -1
        return code, *capsys.readouterr()

    yield run_command
    os.umask(mask)


PORTS = ("--listen", "127.0.0.1:0", "--pages", "127.0.0.1:0")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nonsense",),
        ("serve", "--listen", "nonsense"),
        ("serve", "--listen", "127.0.0.1:99999"),
        ("serve", "--listen", ":8417"),
        ("serve", "--listen", "127.0.0.1:-1"),
        ("serve", "--pages", "no.such.host.invalid:0", "--listen", "127.0.0.1:0"),
        ("serve", "--reserve", "much", *PORTS),
        ("serve", "--recommend", "/no/such/file", *PORTS),
        ("serve", "--data", "", *PORTS),
        ("serve", "--data", "/dev/null", *PORTS),
        ("serve", "--data", "/dev/null/data", *PORTS),
        ("status", "--data", "/no/such/directory"),
        ("erase", "short", "--data", "/no/such/directory"),
        ("erase", "a" * 32, "--data", "/no/such/directory"),
        ("compact", "--data", "/no/such/directory"),
        ("backup", "/no/such/target", "--data", "/no/such/directory"),
        ("restore", "/no/such/backup", "--data", "/dev/null"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(arguments: tuple[str, ...], run: Run) -> None:
    code, said, complained = run(*arguments)
    assert (code, said, complained.count("\n")) == (2, "", 1)
    assert complained.startswith("getpatter collector")


@pytest.mark.parametrize(
    "content",
    [
        *("", "nonsense", "[]", '{"rate": 1}', '{"sample_rate": 2}', '{"sample_rate": true}'),
        *('{"without": "x"}', '{"without": ["made_up"]}', '{"without": [[]]}', '{"off": false}'),
    ],
)
def test_recommendation_that_cannot_be_used_is_one_line(
    content: str, tmp_path: Path, run: Run
) -> None:
    file = tmp_path / "recommended.json"
    file.write_text(content)
    code, _, complained = run("serve", "--recommend", str(file), "--data", str(tmp_path), *PORTS)
    assert (code, complained.count("\n")) == (2, 1)
    assert str(file) in complained


def test_sockets_that_were_not_passed_are_one_line(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2')\n"
        "from getpatter.cli import main\n"
        "sys.exit(main(['collector', 'serve', '--data', 'data']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "LISTEN_FDS" in done.stderr


def test_file_that_is_no_store_is_one_line(tmp_path: Path, run: Run) -> None:
    (tmp_path / "hot.duckdb").write_bytes(os.urandom(10_000))
    code, said, complained = run("serve", "--data", str(tmp_path), *PORTS)
    assert (code, said, complained.count("\n")) == (2, "", 1)
    assert "cannot be opened" in complained


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules['duckdb'] = None\n"
        "from getpatter.cli import main\n"
        "sys.exit(main(['collector', 'status']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "pip install 'getpatter[collector]'" in done.stderr


def test_help_names_every_action() -> None:
    done = subprocess.run([*COMMAND, "--help"], check=True, capture_output=True, text=True)
    for action in ("serve", "status", "erase", "compact", "backup", "restore"):
        assert action in done.stdout


@pytest.mark.parametrize("is_running", [True, False])
def test_operation_with_and_without_a_running_collector(
    start: Start, tmp_path: Path, *, is_running: bool
) -> None:
    data, copy, other = tmp_path / "data", tmp_path / "copy", tmp_path / "other"
    victim, kept = hex_id(), hex_id()
    collector = start(data)
    for install in (victim, kept):
        assert collector.post([event(install_id=install)] * 3, hex_id()).status == 200
    if not is_running:
        collector.end()

    def do(*arguments: str, data: Path = data) -> str:
        done = command(*arguments, "--data", str(data))
        assert done.returncode == 0, done.stderr
        return done.stdout

    facts = json.loads(do("status", "--json"))
    assert (facts["events"], facts["running"]) == (6, is_running)
    do("backup", str(copy))
    again = command("backup", str(copy), "--data", str(data))
    assert (again.returncode, again.stderr.count("is not empty")) == (1, 1)
    assert do("erase", victim).startswith("receipt ")
    do("compact")
    facts = json.loads(do("status", "--json"))
    assert (facts["events"], facts["erasures"], facts["pending_erasures"]) == (3, 1, 0)
    assert "events" in do("status")

    if is_running:
        refused = command("restore", str(copy), "--data", str(data))
        assert (refused.returncode, refused.stderr.count("another process")) == (2, 1)
        assert collector.post([event()], hex_id()).status == 200
        assert collector.end() == (0, "")
    # On another machine it is as it was; in the place of the store, what was erased stays erased.
    do("restore", str(copy), data=other)
    assert len(rows(other, "SELECT * FROM events")) == 6
    do("restore", str(copy))
    found = rows(data, "SELECT DISTINCT replace(install_id::VARCHAR, '-', '') FROM events")
    assert found == [(kept,)]
    assert victim.encode() not in b"".join(p.read_bytes() for p in data.rglob("*") if p.is_file())
    after = start(data)
    assert after.post([event(install_id=victim)], hex_id()).json["refused"][0]["rule"] == "erased"


def test_erasure_over_http_ends_with_an_erased_receipt(start: Start, tmp_path: Path) -> None:
    collector = start(tmp_path / "data")
    victim = hex_id()
    assert collector.post([event(install_id=victim)], key := hex_id()).json["accepted"] == 1
    answer = collector.request("DELETE", f"/v1/installs/{victim}")
    assert (answer.status, answer.json["state"]) == (200, "pending")
    receipt = answer.json["receipt"]
    assert collector.request("DELETE", f"/v1/installs/{victim}").json["receipt"] == receipt
    late = collector.post([event(install_id=victim)], hex_id()).json
    assert late["refused"] == [{"index": 0, "pointer": "/install_id", "rule": "erased"}]
    # The retry of a batch that was taken before gets its first answer.
    assert collector.post([event(install_id=victim)], key).json["accepted"] == 1
    until = time.monotonic() + 60  # it rewrites by itself
    while collector.request("GET", f"/v1/receipts/{receipt}").json["state"] != "erased":
        assert time.monotonic() < until
    collector.end()
    assert rows(tmp_path / "data", "SELECT count(*) FROM events") == [(0,)]


def test_backup_of_a_store_that_cannot_be_read_any_more_can_be_restored(
    start: Start, tmp_path: Path, run: Run
) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    collector = start(data)
    assert collector.post([event()], hex_id()).status == 200
    collector.end()
    assert run("backup", str(copy), "--data", str(data))[0] == 0
    (data / "hot.duckdb").write_bytes(os.urandom(50_000))
    (data / "erasures").unlink()  # with it the erasures are known
    code, said, complained = run("restore", str(copy), "--data", str(data))
    assert (code, said) == (0, "restored 1 events, 0 installs erased again\n")
    assert "could not be read" in complained
    assert rows(data, "SELECT count(*) FROM events") == [(1,)]
    assert not (data / "incoming").exists()
