"""Canaries in everything that a request can hold are nowhere afterwards."""

import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

from collector_process import Collector, Start, command, event, hex_id

pytest_plugins = ("collector_fixtures",)

CANARY = "canary"


def _canary(number: int) -> str:
    return f"{CANARY}{number:03}x"


def _send(collector: Collector) -> None:
    """Send every kind of request that can be refused, taken or broken, each with canaries."""
    mark = iter(map(_canary, range(1000)))
    bad = [
        event(os=next(mark)),
        event(**{next(mark): next(mark)}),
        event(next(mark)),
        event(schema_version=next(mark)),
        event(run_id=next(mark)),
        event(sdk_version=f"9.{next(mark)}", os="amiga"),  # fits its pattern
        event(ci=[next(mark), {next(mark): next(mark)}]),
        {"event": "cli_command", next(mark): next(mark)},
        next(mark),
        [next(mark)],
        {next(mark): 1},
    ]
    headers = {
        "User-Agent": next(mark),
        "Authorization": f"Bearer {next(mark)}",
        "Cookie": f"a={next(mark)}",
        "Referer": f"http://{next(mark)}/",
        "X-Forwarded-For": next(mark),
        "Forwarded": f"for={next(mark)}",
        "X-Real-IP": next(mark),
        "Host": next(mark),
        "Traceparent": next(mark),
        f"X-{next(mark)}": next(mark),
    }
    for one in bad:
        collector.post([one], hex_id(), **headers)
    assert collector.post([event(), *bad], hex_id(), **headers).json["accepted"] == 1
    assert collector.post([event(), *bad], None, **headers).json["accepted"] == 1
    for name in (
        *("Idempotency-Key", "Patter-Batch-Age", "Patter-Sample-Rate", "Patter-Client-Report"),
        *("Content-Encoding", "Content-Type"),
    ):
        assert collector.post([event()], None, **headers, **{name: next(mark)}).status >= 400
    report = f"{CANARY}a:{CANARY}b=1, call_started:{CANARY}c=2"
    collector.post([event()], hex_id(), Patter_Client_Report=report)
    for method in ("GET", "POST", "DELETE", "PUT", "BREW"):
        for place in ("/v1/ingest", f"/{next(mark)}", "/v1/installs", f"/v1/receipts/{next(mark)}"):
            path = f"{place}/{next(mark)}?{next(mark)}={next(mark)}"
            collector.request(method, path, next(mark).encode(), headers)
            collector.request(method, path, next(mark).encode(), headers, pages=True)
    for text in (f"{next(mark)}\r\n\r\n", f"POST /{next(mark)} HTTP/9.9\r\n{next(mark)}\r\n\r\n"):
        address = urlsplit(collector.endpoint)
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(text.encode())
            while connection.recv(65_536):
                pass


def test_canaries_are_nowhere(start: Start, tmp_path: Path) -> None:
    collector = start(tmp_path / "data")
    _send(collector)
    metrics = collector.request("GET", "/metrics", pages=True).body
    assert b"patter_collector_refused_events_total" in metrics
    status = command("status", "--json", "--data", str(tmp_path / "data")).stdout
    running = b"".join(p.read_bytes() for p in (tmp_path / "data").rglob("*") if p.is_file())
    code, said = collector.end()
    ended = b"".join(p.read_bytes() for p in (tmp_path / "data").rglob("*") if p.is_file())
    assert (code, said) == (0, "")
    assert re.search(rb'requests_total\{status="200"\}', metrics)
    for where in (metrics, status.encode(), running, ended):
        assert CANARY.encode() not in where
