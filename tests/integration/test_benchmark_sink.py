"""The benchmark's sink counts what the clients send: every figure of delivery rests on it."""

import base64
import gzip
import http.client
import json
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SINK = Path(__file__).parents[2] / "benchmarks" / "sink.py"
UID = "0123456789abcdef" * 2
OTHER = "fedcba9876543210" * 2
SECONDS = 30.0


class Sink:
    """The sink's process, spoken to as the benchmark does."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def say(self, **command: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def open(self, mode: str = "fine") -> int:
        return int(self.say(do="open", mode=mode)["port"])

    def report(self, port: int) -> dict[str, Any]:
        return self.say(do="report", port=port)


@pytest.fixture
def sink() -> Iterator[Sink]:
    with subprocess.Popen(
        [sys.executable, str(SINK)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Sink(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(SECONDS) == 0


def post(port: int, body: bytes, **headers: str) -> int:
    """Send one request on a connection of its own; return the status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", "/", body, named)
        response = connection.getresponse()
        response.read()
        assert response.headers["Accept-Encoding"] == "gzip"
        return response.status
    finally:
        connection.close()


def event(uid: str) -> dict[str, str]:
    return {"carrier": "twilio", "error_layer": "carrier", "call_uid": uid}


def in_protobuf(uid: str) -> bytes:
    """Two attributes as the OTLP exporter writes them; the next tag is a digit, "2"."""
    value = b'\n\x08call_uid\x12"\n ' + uid.encode()
    return b"2\x13\n\x07carrier\x12\x08\n\x06twilio" + b"2." + value + b"2\x02\n\x00"


def in_base64(uid: str) -> bytes:
    inner = base64.b64encode(json.dumps({"data": event(uid)}).encode()).decode()
    return json.dumps({"data": [{"e": "ue", "ue_px": inner}]}).encode()


FORMATS = {
    "an array": json.dumps([event(UID), event(OTHER)]).encode(),
    "compact": json.dumps([event(UID), event(OTHER)], separators=(",", ":")).encode(),
    "typed attributes": json.dumps(
        [{name: {"value": value} for name, value in event(uid).items()} for uid in (UID, OTHER)]
    ).encode(),
    "protobuf": in_protobuf(UID) + in_protobuf(OTHER),
    "base64 in JSON": in_base64(UID) + in_base64(OTHER),
    "a form": b"data="
    + urllib.parse.quote_plus(json.dumps([event(UID), event(OTHER)])).encode()
    + b"&verbose=1",
}


@pytest.mark.parametrize("body", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("compressed", [False, True])
def test_events_and_calls_are_found_in_every_format(
    sink: Sink, body: bytes, compressed: bool
) -> None:
    port = sink.open()
    if compressed:
        sent = gzip.compress(body)
        assert post(port, sent, Content_Encoding="gzip") == 200
    else:
        sent = body
        assert post(port, sent) == 200
    report = sink.report(port)
    assert (report["events"], report["uids"]) == (2, sorted([UID, OTHER]))
    assert report["sizes"] == [[len(sent), 2]]


def test_a_call_that_comes_twice_counts_once_and_is_told(sink: Sink) -> None:
    port = sink.open()
    body = json.dumps([event(UID)]).encode()
    post(port, body)
    post(port, body)
    report = sink.report(port)
    assert (report["distinct"], report["twice"], report["wire_twice"]) == (1, 1, 1)


def test_a_batch_with_a_key_that_was_taken_is_the_same_batch(sink: Sink) -> None:
    port = sink.open()
    body = json.dumps([event(UID)]).encode()
    post(port, body, Idempotency_Key="a" * 32)
    post(port, body, Idempotency_Key="a" * 32)
    report = sink.report(port)
    assert (report["events"], report["twice"], report["wire_twice"]) == (1, 0, 1)


def test_every_second_request_is_refused_and_not_taken(sink: Sink) -> None:
    port = sink.open("alternate")
    bodies = [json.dumps([event(uid)]).encode() for uid in (UID, OTHER, UID)]
    assert [post(port, body) for body in bodies] == [200, 500, 200]
    assert sink.report(port)["uids"] == [UID]


def test_an_unavailable_sink_takes_nothing_at_first(sink: Sink) -> None:
    port = sink.open("unavailable")
    assert post(port, json.dumps([event(UID)]).encode()) == 503
    assert sink.report(port)["distinct"] == 0


def test_a_request_that_is_never_answered_was_seen_and_not_taken(sink: Sink) -> None:
    port = sink.open("never")
    body = json.dumps([event(UID)]).encode()
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        while not (report := sink.report(port))["requests"]:
            continue
    assert (report["distinct"], report["seen"]) == (0, [UID])


def test_a_closed_port_refuses_until_it_is_opened_again(sink: Sink) -> None:
    port = sink.open("closed")
    with pytest.raises(ConnectionRefusedError):
        post(port, b"[]")
    sink.say(do="mode", port=port, mode="fine")
    assert post(port, json.dumps([event(UID)]).encode()) == 200
    assert sink.report(port)["distinct"] == 1


def test_a_chunked_body_is_put_together(sink: Sink) -> None:
    port = sink.open()
    whole = json.dumps([event(UID)]).encode()
    parts = [whole[:20], whole[20:]]
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
        connection.sendall(head + body)
        while connection.recv(4096):
            continue
    assert sink.report(port)["uids"] == [UID]


def test_datagrams_count_by_line(sink: Sink) -> None:
    port = sink.open()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"call_started:1|c\ncall_completed:1|c", ("127.0.0.1", port))
    while not (report := sink.report(port))["events"]:
        continue
    assert report["events"] == 2
