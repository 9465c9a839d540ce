"""A real client, a real nginx with TLS under a sub path, a real collector: to the last receipt."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
import trustme
from collector_process import Collector, Start, rows
from nginx import free_port, serving

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


class Proxy(NamedTuple):
    """Where the clients of a test send to, and whose certificate they trust."""

    endpoint: str
    authority: Path


@pytest.fixture
def collector(start: Start, tmp_path: Path) -> Collector:
    return start(tmp_path / "data")


@pytest.fixture
def proxy(tmp_path: Path, collector: Collector) -> Iterator[Proxy]:
    """The server of the example, on a free port, in front of a collector."""
    directory = tmp_path / "nginx"
    directory.mkdir()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(directory / "authority.pem")
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(directory / "telemetry.example.com.key")
    for part in certificate.cert_chain_pems:
        part.write_to_path(directory / "telemetry.example.com.pem", append=True)
    port, server = free_port(), EXAMPLE.read_text()
    for example, here in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("127.0.0.1:8417", urlsplit(collector.endpoint).netloc),
        ("location /v1/", f"location {PREFIX}/v1/"),
    ):
        assert server.count(example) == 1
        server = server.replace(example, here)
    with serving(directory, server) as log:
        endpoint = f"https://localhost:{port}{PREFIX}/v1/ingest"
        yield Proxy(endpoint, directory / "authority.pem")
    # Not even an error has left an address of a client.
    assert "client:" not in log.read_text()


def run(proxy: Proxy, home: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run a program of a user whose machine trusts the authority."""
    home.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, *command],
        cwd=home,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "REQUESTS_CA_BUNDLE": str(proxy.authority),
            "PATTER_TELEMETRY": "1",
            "PATTER_TELEMETRY_ENDPOINT": proxy.endpoint,
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )


def test_what_a_client_sends_is_kept_and_erased_at_its_request(
    proxy: Proxy, collector: Collector, tmp_path: Path
) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    for home in (mine, other):
        run(proxy, home, "-c", PROGRAM)
    done = run(proxy, mine, "-m", "getpatter", "telemetry", "forget", "--remote", "--yes", "--json")
    remote = json.loads(done.stdout)["remote"]
    assert remote["can_erase"]
    (receipt,) = remote["receipts"]
    assert collector.request("GET", f"/v1/receipts/{receipt}").json["state"] == "pending"
    # What it sends from now on is not taken; nor does it send.
    run(proxy, mine, "-c", PROGRAM.replace("assert phone", "phone"))
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
    proxy: Proxy, start: Start, collector: Collector, tmp_path: Path
) -> None:
    assert collector.end() == (0, "")
    run(proxy, tmp_path / "mine", "-c", PROGRAM.replace("assert phone.telemetry.flush(30)", ""))
    port = re.search(r":(\d+)/", collector.endpoint)
    assert port is not None
    again = start(collector.data, "--listen", f"127.0.0.1:{port[1]}")
    run(proxy, tmp_path / "mine", "-c", PROGRAM)
    assert again.end() == (0, "")
    found = rows(again.data, "SELECT count(*) FROM events WHERE event = 'call_completed'")
    assert found == [(6,)]
