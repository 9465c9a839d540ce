"""A real client, a real nginx with TLS under a sub path, a real collector: to the last receipt."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from collector_process import Collector, Start, rows
from in_process import wait_until

pytest_plugins = ("collector_fixtures",)

EXAMPLE = Path(__file__).parents[2] / "examples" / "collector" / "nginx.conf"
PREFIX = "/patter"
PROGRAM = """
from getpatter import Patter
phone = Patter(carrier="none")
for outcome in range(3):
    with phone.call(direction="inbound"):
        pass
assert phone.telemetry.flush(30)
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Nginx:
    """The example's server, on a free port, in front of a collector."""

    def __init__(self, directory: Path, collector: Collector) -> None:
        command = shutil.which("nginx") or "/usr/sbin/nginx"
        directory.mkdir()
        self.authority = directory / "authority.pem"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.authority)
        certificate = authority.issue_cert("localhost")
        certificate.private_key_pem.write_to_path(directory / "telemetry.example.com.key")
        for part in certificate.cert_chain_pems:
            part.write_to_path(directory / "telemetry.example.com.pem", append=True)
        port = free_port()
        behind = re.search(r":(\d+)/", collector.endpoint)
        assert behind is not None
        server = EXAMPLE.read_text()
        for example, here in (
            ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
            ("127.0.0.1:8417", f"127.0.0.1:{behind[1]}"),
            ("location /v1/", f"location {PREFIX}/v1/"),
        ):
            assert server.count(example) == 1
            server = server.replace(example, here)
        folders = "".join(
            f"{name}_temp_path {directory}/{name};\n"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (directory / "nginx.conf").write_text(
            f"daemon off; pid {directory}/pid; error_log stderr;\n"
            f"events {{}} http {{ {folders} {server} }}\n"
        )
        self.endpoint = f"https://localhost:{port}{PREFIX}/v1/ingest"
        self.process = subprocess.Popen(
            [command, "-p", str(directory), "-c", str(directory / "nginx.conf")],
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: self.process.poll() is not None or listens(port))
        if self.process.poll() is not None:
            pytest.fail(self.process.communicate()[1])

    def end(self) -> str:
        """End it; return what it said."""
        self.process.send_signal(signal.SIGQUIT)
        return self.process.communicate(timeout=60)[1]


@pytest.fixture
def collector(start: Start, tmp_path: Path) -> Collector:
    return start(tmp_path / "data")


@pytest.fixture
def nginx(tmp_path: Path, collector: Collector) -> Iterator[Nginx]:
    started = Nginx(tmp_path / "nginx", collector)
    yield started
    assert started.process.poll() is None
    # Neither in what it says nor in a file of its own is an address of a client.
    assert "client:" not in started.end()


def run(nginx: Nginx, home: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a program of a user whose machine trusts the authority."""
    home.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, *command],
        cwd=home,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "REQUESTS_CA_BUNDLE": str(nginx.authority),
            "PATTER_TELEMETRY": "1",
            "PATTER_TELEMETRY_ENDPOINT": nginx.endpoint,
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )


def test_what_a_client_sends_is_kept_and_erased_at_its_request(
    nginx: Nginx, collector: Collector, tmp_path: Path
) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    for home in (mine, other):
        run(nginx, home, "-c", PROGRAM)
    done = run(nginx, mine, "-m", "getpatter", "telemetry", "forget", "--remote", "--yes", "--json")
    remote = json.loads(done.stdout)["remote"]
    assert remote["can_erase"]
    (receipt,) = remote["receipts"]
    assert collector.request("GET", f"/v1/receipts/{receipt}").json["state"] == "pending"
    # What it sends from now on is not taken; nor does it send.
    run(nginx, mine, "-c", PROGRAM.replace("assert phone", "phone"))
    subprocess.run(
        [sys.executable, "-m", "getpatter", "collector", "compact", "--data", collector.data],
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert collector.request("GET", f"/v1/receipts/{receipt}").json["state"] == "erased"
    assert collector.end() == (0, "")
    assert rows(collector.data, "SELECT count(DISTINCT install_id) FROM events") == [(1,)]
    assert rows(collector.data, "SELECT count(*) FROM events WHERE event = 'call_completed'") == [
        (3,)
    ]


def test_a_client_keeps_its_events_while_the_collector_is_away(
    nginx: Nginx, start: Start, collector: Collector, tmp_path: Path
) -> None:
    assert collector.end() == (0, "")
    run(nginx, tmp_path / "mine", "-c", PROGRAM.replace("assert phone.telemetry.flush(30)", ""))
    port = re.search(r":(\d+)/", collector.endpoint)
    assert port is not None
    again = start(collector.data, "--listen", f"127.0.0.1:{port[1]}")
    run(nginx, tmp_path / "mine", "-c", PROGRAM)
    assert again.end() == (0, "")
    found = rows(again.data, "SELECT count(*) FROM events WHERE event = 'call_completed'")
    assert found == [(6,)]
