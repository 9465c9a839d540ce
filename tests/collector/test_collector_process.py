"""The process: start, end, crash, full disk, durability; as real processes."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from collector_process import Collector, Start, command, event, hex_id, rows

pytest_plugins = ("collector_fixtures",)


def test_two_lines_say_where_it_listens_and_a_port_of_zero_is_a_free_one(
    start: Start, tmp_path: Path
) -> None:
    collector = start(tmp_path / "data")
    assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+/v1/ingest", collector.endpoint)
    assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+/", collector.pages)
    assert collector.request("GET", "/livez", pages=True).json == {"live": True}
    assert collector.request("GET", "/readyz", pages=True).json == {"ready": True}
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    modes = {p.stat().st_mode & 0o077 for p in (tmp_path / "data").rglob("*")}
    assert modes == {0}


def test_sigterm_drains_and_nothing_is_lost(start: Start, tmp_path: Path) -> None:
    collector = start(tmp_path / "data")
    statuses: list[int] = []
    is_busy = threading.Event()

    def send() -> None:
        try:
            while True:
                statuses.append(collector.post([event()], hex_id()).status)
                if len(statuses) > 20:
                    is_busy.set()
        except OSError:
            return  # it has ended

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert is_busy.wait(60)
    assert collector.end() == (0, "")
    for thread in threads:
        thread.join()
    (found,) = rows(tmp_path / "data", "SELECT count(*) FROM events")[0]
    assert found >= statuses.count(200)
    assert set(statuses) <= {200, 503}


def test_what_was_acknowledged_is_there_once_after_a_kill(start: Start, tmp_path: Path) -> None:
    """A short version of what `make collector` does for half an hour."""
    data, retried = tmp_path / "data", 0
    acknowledged: dict[str, list[Any]] = {}
    for _ in range(4):
        collector = start(data)
        # A fifth is sent again under the same key, the ones without an answer among them.
        for key, batch in list(acknowledged.items())[::5]:
            assert collector.post(batch, key).json["accepted"] == 2
            retried += 1
        killer = threading.Timer(0.4, collector.process.kill)
        killer.start()
        unanswered: tuple[str, list[Any]] | None = None
        try:
            while True:
                unanswered = hex_id(), [event(), event()]
                assert collector.post(unanswered[1], unanswered[0]).status == 200
                acknowledged[unanswered[0]] = unanswered[1]
        except OSError:
            killer.join()
        again = start(data)
        if unanswered is not None:
            assert again.post(unanswered[1], unanswered[0]).json["accepted"] == 2
            acknowledged[unanswered[0]] = unanswered[1]
        again.end(signal.SIGKILL)
    assert retried
    expected = sorted(e["run_id"] for batch in acknowledged.values() for e in batch)
    found = rows(data, "SELECT replace(run_id::VARCHAR, '-', '') FROM events")
    assert sorted(row[0] for row in found) == expected


def test_below_the_reserve_it_is_503_and_reads_go_on(start: Start, tmp_path: Path) -> None:
    collector = start(tmp_path / "data", "--reserve", "100000G")
    answer = collector.post([event()], hex_id())
    assert (answer.status, answer.json) == (503, {"error": "not now: disk"})
    assert int(answer.headers["retry-after"]) > 0
    ready = collector.request("GET", "/readyz", pages=True)
    assert (ready.status, ready.json) == (503, {"ready": False, "reason": "disk"})
    assert collector.request("GET", "/livez", pages=True).status == 200
    assert command("status", "--data", str(tmp_path / "data")).returncode == 0


def test_recommended_configuration_is_read_again_on_sighup(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "recommended.json"
    file.write_text('{"sample_rate": 0.1}')
    collector = start(tmp_path / "data", "--recommend", str(file))
    assert collector.post([event()], hex_id()).json["recommended"] == {"sample_rate": 0.1}
    for content, expected in (
        ('{"without": ["feature_used"], "off": true}', {"without": ["feature_used"], "off": True}),
        ("not json", {"without": ["feature_used"], "off": True}),  # it changes nothing
        ("{}", {}),
    ):
        file.write_text(content)
        collector.process.send_signal(signal.SIGHUP)
        for _ in range(2000):
            if collector.post([event()], hex_id()).json["recommended"] == expected:
                break
        else:
            pytest.fail(f"{content} was not read")
    said = collector.end()[1].splitlines()
    assert [line.partition(": ")[0] for line in said] == ["getpatter collector"] * 3
    assert "to send nothing; to leave out feature_used" in said[0]
    assert "not JSON; what was recommended before stays" in said[1]
    assert said[2].endswith("clients are recommended nothing")


def test_sighup_without_a_recommendation_is_one_line_and_ends_nothing(
    start: Start, tmp_path: Path
) -> None:
    collector = start(tmp_path / "data")
    collector.process.send_signal(signal.SIGHUP)
    assert collector.process.stderr is not None
    assert "there is no --recommend" in collector.process.stderr.readline()
    assert collector.post([event()], hex_id()).status == 200
    assert collector.end() == (0, "")


def test_control_socket_is_this_users_and_answers_what_is_nonsense(
    start: Start, tmp_path: Path
) -> None:
    data = tmp_path / ("d" * 90) / "data"  # longer than the path of a Unix socket may be
    data.parent.mkdir()
    collector = start(data)
    assert (data / "control").stat().st_mode & 0o777 == 0o600
    done = command("status", "--json", "--data", str(data))
    facts = json.loads(done.stdout)
    assert (facts["running"], facts["ready"], facts["events"]) == (True, True, 0)
    os.symlink(data / "control", tmp_path / "c")
    for text in (b"nonsense\n", b"{}\n", b'{"do": "no such thing"}\n', b"", b"x" * 100_000):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(tmp_path / "c"))
            connection.sendall(text)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65_536):
                pass
    assert collector.post([event()], hex_id()).status == 200
    assert collector.end() == (0, "")


def test_second_collector_on_the_same_store_ends_with_one_line(
    start: Start, tmp_path: Path
) -> None:
    start(tmp_path / "data")
    arguments = ("--listen", "127.0.0.1:0", "--pages", "127.0.0.1:0")
    done = command("serve", "--data", str(tmp_path / "data"), *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "another process uses the store" in done.stderr


def test_port_in_use_is_one_line(shared: Collector, tmp_path: Path) -> None:
    taken = urlsplit(shared.endpoint).netloc
    done = command("serve", "--data", str(tmp_path / "data"), "--listen", taken)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"cannot listen on {taken}" in done.stderr


def test_client_that_is_too_slow_does_not_hold_others_up(shared: Collector) -> None:
    address = urlsplit(shared.endpoint)
    slow = [socket.create_connection((address.hostname, address.port)) for _ in range(50)]
    for connection in slow:
        connection.sendall(b"POST /v1/ingest HTTP/1.1\r\nContent-Length: 100\r\n")
    assert shared.post([event()], hex_id()).status == 200
    for connection in slow:
        connection.close()
    assert shared.post([event()], hex_id()).status == 200


def test_importing_the_library_or_its_commands_loads_nothing_of_the_collector() -> None:
    code = (
        "import sys, getpatter, getpatter.cli\n"
        "getpatter.Patter\n"
        "loaded = {'duckdb', 'orjson', 'starlette', 'uvicorn', 'jsonschema_rs', 'nanoarrow'}\n"
        "assert not loaded & sys.modules.keys(), loaded & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# What systemd does before it starts a service: the sockets are descriptors 3 and 4.
PASSING = """
import os, sys
first, second, *command = sys.argv[1:]
kept = [os.dup(int(number)) for number in (first, second)]
for at, number in enumerate(kept):
    os.dup2(number, 3 + at)
    os.set_inheritable(3 + at, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2")
os.execv(command[0], command)
"""


class Client(threading.Thread):
    """Sends one batch after the other, each under its key until it is taken."""

    def __init__(self, endpoint: Collector) -> None:
        super().__init__()
        self._endpoint = endpoint
        self.is_done = threading.Event()
        self.acknowledged: list[str] = []
        self.longest = 0.0  # seconds, from the first try of a batch until it was taken
        self.problem: str | None = None

    def run(self) -> None:
        while not self.is_done.is_set() and self.problem is None:
            key, batch = hex_id(), [event() for _ in range(20)]
            begin = time.monotonic()
            while not self._is_taken(key, batch):
                pass
            self.longest = max(self.longest, time.monotonic() - begin)

    def _is_taken(self, key: str, batch: list[dict[str, Any]]) -> bool:
        try:
            status = self._endpoint.post(batch, key).status
        except ConnectionRefusedError as error:
            self.problem = repr(error)
            return True
        except (OSError, http.client.HTTPException):
            return False  # the process ended before it had answered
        if status == 200:
            self.acknowledged += [each["run_id"] for each in batch]
        return status == 200


def test_restart_behind_sockets_that_stay_open_turns_nobody_away(
    start: Start, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    with ExitStack() as stack:
        bound = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        numbers = tuple(one.fileno() for one in bound)
        wrapper = (sys.executable, "-c", PASSING, *map(str, numbers))
        collector = start(data, wrapper=wrapper, descriptors=numbers)
        assert urlsplit(collector.endpoint).port == bound[0].getsockname()[1]
        assert urlsplit(collector.pages).port == bound[1].getsockname()[1]
        clients = [Client(collector) for _ in range(3)]
        for client in clients:
            client.start()
        for _ in range(2):
            assert collector.end() == (0, "")
            collector = start(data, wrapper=wrapper, descriptors=numbers)
        for client in clients:
            client.is_done.set()
        for client in clients:
            client.join()
        assert collector.end() == (0, "")
    print(f"a batch waited for {max(client.longest for client in clients):.2f} s at most")
    assert [client.problem for client in clients] == [None] * 3
    found = rows(data, "SELECT replace(run_id::VARCHAR, '-', '') FROM events")
    expected = Counter(run for client in clients for run in client.acknowledged)
    assert Counter(row[0] for row in found) == expected
    assert expected
