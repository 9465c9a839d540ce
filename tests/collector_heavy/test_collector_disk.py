"""A disk that fills up, and what is synced before an answer. Needs root and strace."""

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from collector_process import Start, command, event, hex_id, rows

pytest_plugins = ("collector_fixtures",)


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A disk of 96 MB."""
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=96m", "none", str(path)], check=True)
    yield path
    subprocess.run(["/bin/umount", "--lazy", str(path)], check=True)


def test_full_disk_is_503_before_the_reserve_is_gone_and_goes_on(
    start: Start, small_disk: Path
) -> None:
    data = small_disk / "data"
    collector = start(data, "--reserve", "40M")
    accepted = 2
    assert collector.post([event(), event()], key := hex_id()).status == 200
    ballast = small_disk / "ballast"
    free = os.statvfs(small_disk)
    ballast.write_bytes(b"\0" * (free.f_bavail * free.f_frsize - (39 << 20)))
    while (answer := collector.post([event()], hex_id())).status == 200:
        accepted += 1  # it looks five times a second
    assert answer.status == 503
    assert answer.json == {"error": "not now: disk"}
    assert int(answer.headers["retry-after"]) > 0
    left = os.statvfs(small_disk)
    assert left.f_bavail * left.f_frsize > 32 << 20
    ready = collector.request("GET", "/readyz", pages=True)
    assert (ready.status, ready.json) == (503, {"ready": False, "reason": "disk"})
    assert collector.request("GET", "/livez", pages=True).status == 200
    ballast.unlink()
    while collector.post([event()], last := hex_id()).status == 503:
        pass
    assert collector.post([event(), event()], key).json["accepted"] == 2
    assert collector.post([event()], last).json["accepted"] == 1
    collector.end()
    assert rows(data, "SELECT count(*) FROM events") == [(accepted + 1,)]


def test_answer_comes_after_a_sync_and_nothing_is_connected_to(
    start: Start, tmp_path: Path
) -> None:
    log = tmp_path / "calls"
    calls = "fsync,fdatasync,write,writev,read,connect,openat"
    wrapper = ("strace", "-f", "-qq", "-s", "24", "-e", f"trace={calls}", "-o", str(log))
    collector = start(tmp_path / "data", wrapper=wrapper)
    for _ in range(5):
        assert collector.post([event()], hex_id()).status == 200
    collector.request("GET", "/metrics", pages=True)
    collector.request("GET", "/readyz", pages=True)
    assert command("status", "--data", str(tmp_path / "data")).returncode == 0
    pid = int(
        re.findall(
            r'"pid": (\d+)', command("status", "--json", "--data", str(tmp_path / "data")).stdout
        )[0]
    )
    os.kill(pid, signal.SIGTERM)
    collector.process.wait(60)
    synced: list[int] = []
    is_open = False
    for line in log.read_text().splitlines():
        if "read(" in line and '"POST /v1/ingest' in line:
            is_open, count = True, 0
        elif is_open and "sync(" in line:
            count += 1
        elif is_open and '"HTTP/1.1 200' in line:
            synced.append(count)
            is_open = False
    assert len(synced) == 5
    assert all(synced)
    connections = re.findall(r"connect\([^)]*sin_addr=inet_addr\(\"([^\"]+)\"", log.read_text())
    assert set(connections) <= {"127.0.0.1"}
    assert "httpfs" not in log.read_text()


def test_disk_that_is_full_all_the_same_loses_nothing_acknowledged(
    start: Start, small_disk: Path
) -> None:
    """Somebody else takes the reserve: it goes on, or it ends; what was acknowledged is there."""
    data = small_disk / "data"
    collector = start(data, "--reserve", "0")
    accepted: list[str] = []
    first = hex_id()
    assert collector.post([event()], first).status == 200
    ballast = small_disk / "ballast"
    free = os.statvfs(small_disk)
    ballast.write_bytes(b"\0" * (free.f_bavail * free.f_frsize - (1 << 20)))
    with contextlib.suppress(OSError):
        for _ in range(400):
            batch = [event() for _ in range(100)]
            answer = collector.post(batch, key := hex_id())
            assert answer.status in {200, 503}
            if answer.status == 200:
                accepted.append(key)
            elif collector.process.poll() is not None:
                break
    assert accepted
    ballast.unlink()
    if collector.process.poll() is not None:
        assert collector.process.returncode == 1
        collector = start(data, "--reserve", "0")
    for key in (first, *accepted):
        again = collector.post([event(os="amiga")], key)
        while again.status == 503:
            again = collector.post([event(os="amiga")], key)
        assert again.json["accepted"] == (1 if key == first else 100)
    assert collector.post([event()], hex_id()).status == 200
    assert collector.end()[0] == 0
    expected = 2 + 100 * len(accepted)
    (found,) = rows(data, "SELECT count(*) FROM events")[0]
    assert expected <= found  # a batch may have been durable though its answer was 503
    assert (found - 2) % 100 == 0
