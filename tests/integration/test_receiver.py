"""The shipped receiver, over real HTTP."""

from __future__ import annotations

import doctest
import gzip
import json
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

import golden
import pytest
import requests

from getpatter.telemetry import testing
from getpatter.telemetry.testing import Answer, Receiver, Refusal, Request

if TYPE_CHECKING:
    from collections.abc import Iterator

VALID = [row["event"] for row in golden.rows("valid")]
KEY = "0123456789abcdef" * 2
OTHER_KEY = "fedcba9876543210" * 2
INSTALL = VALID[0]["install_id"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False  # a proxy of the developer is no part of the test
        yield session


def post(
    http: requests.Session, receiver: Receiver, events: object, key: str = KEY, **headers: str
) -> requests.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    usual = {"Content-Type": "application/json", "Idempotency-Key": key}
    body = events if isinstance(events, bytes) else json.dumps(events).encode("ascii")
    return http.post(receiver.endpoint, data=body, headers=usual | named, timeout=10)


def test_valid_events_are_accepted_in_order(http: requests.Session, receiver: Receiver) -> None:
    answer = post(http, receiver, VALID)
    assert answer.status_code == 200
    assert answer.json() == {"accepted": len(VALID), "refused": []}
    assert answer.headers["Accept-Encoding"] == "gzip"
    assert receiver.events == VALID
    assert receiver.refused == []


def test_an_invalid_event_is_refused_and_its_neighbours_are_not(
    http: requests.Session, receiver: Receiver
) -> None:
    wrong = {**VALID[0], "os": "secret-os"}
    answer = post(http, receiver, [VALID[0], wrong, VALID[1], "text"])
    refusals = [Refusal(1, "/os", "enum"), Refusal(3, "", "type")]
    assert answer.json() == {
        "accepted": 2,
        "refused": [
            {"index": 1, "pointer": "/os", "rule": "enum"},
            {"index": 3, "pointer": "", "rule": "type"},
        ],
    }
    assert receiver.events == VALID[:2]
    assert receiver.refused == refusals
    assert "secret-os" not in f"{receiver.refused}{answer.text}"


def test_invalid_vectors_are_refused_where_and_why_they_say(
    http: requests.Session, receiver: Receiver
) -> None:
    rows = golden.rows("invalid")
    for number, row in enumerate(rows):
        answer = post(http, receiver, [row["event"]], key=f"{number:032x}")
        expected = {"index": 0, "pointer": row["pointer"], "rule": row["rule"]}
        assert answer.json() == {"accepted": 0, "refused": [expected]}, row["name"]
    assert receiver.events == []
    assert len(receiver.refused) == len(rows)


def test_a_key_that_was_seen_gets_the_same_answer_and_counts_once(
    http: requests.Session, receiver: Receiver
) -> None:
    report = {"Patter_Client_Report": "call_started:queue_full=3"}
    first = post(http, receiver, VALID[:2], **report)
    again = post(http, receiver, VALID[:3], **report)
    assert again.content == first.content
    assert receiver.events == VALID[:2]
    assert receiver.losses == {("call_started", "queue_full"): 3}
    post(http, receiver, VALID[2:3], key=OTHER_KEY, **report)
    assert receiver.events == VALID[:3]
    assert receiver.losses == {("call_started", "queue_full"): 6}


def test_headers_are_read(http: requests.Session, receiver: Receiver) -> None:
    losses = "call_started:queue_full=3, call_completed:rate_limit=1"
    post(
        http,
        receiver,
        VALID[:1],
        Patter_Batch_Age="604800",
        Patter_Sample_Rate="5e-05",
        Patter_Client_Report=losses,
    )
    (request,) = receiver.requests
    assert request.method == "POST"
    assert request.path == "/v1/ingest"
    assert request.status == 200
    assert request.events == VALID[:1]
    assert json.loads(request.body) == VALID[:1]
    assert request.headers["patter-BATCH-age"] == "604800"
    assert request.headers["Cookie"] is None
    assert request.idempotency_key == KEY
    assert request.batch_age == 604_800
    assert request.sample_rate == 0.00005
    expected = {("call_started", "queue_full"): 3, ("call_completed", "rate_limit"): 1}
    assert request.client_report == receiver.losses == expected


def test_absent_headers_are_none(http: requests.Session, receiver: Receiver) -> None:
    post(http, receiver, VALID[:1])
    (request,) = receiver.requests
    assert (request.batch_age, request.sample_rate, request.client_report) == (None, None, {})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Patter-Batch-Age", "604801"),
        ("Patter-Batch-Age", "-1"),
        ("Patter-Batch-Age", "1.5"),
        ("Patter-Batch-Age", ""),
        ("Patter-Sample-Rate", "1.1"),
        ("Patter-Sample-Rate", "nan"),
        ("Patter-Sample-Rate", "-0.5"),
        ("Patter-Client-Report", "call_started"),
        ("Patter-Client-Report", "call_started:queue_full=many"),
        ("Patter-Client-Report", "call_started:queue_full=1,"),
        ("Idempotency-Key", "short"),
        ("Idempotency-Key", KEY.upper()),
    ],
)
def test_a_malformed_header_is_refused(
    http: requests.Session, receiver: Receiver, name: str, value: str
) -> None:
    assert post(http, receiver, VALID[:1], **{name: value}).status_code == 400
    assert receiver.events == []
    assert receiver.losses == {}
    assert receiver.requests[0].status == 400


@pytest.mark.parametrize("name", ["Patter-Batch-Age", "Patter-Sample-Rate", "patter-anything"])
def test_a_missing_key_is_refused(http: requests.Session, receiver: Receiver, name: str) -> None:
    """Who sends any header of the contract sends the key, too."""
    headers = {name: "1"}
    answer = http.post(receiver.endpoint, json=VALID[:1], headers=headers, timeout=10)
    assert answer.status_code == 400
    assert receiver.events == []
    assert not receiver.requests[0].is_legacy


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b"null", 400),
        (b"[", 400),
        (b"[NaN]", 400),
        (b"[-Infinity]", 400),
        (b'["\xff"]', 400),
        (b"[" * 100_000, 400),
        (b"[" + b"1" * 10_000 + b"]", None),
        (json.dumps([1] * 64).encode(), 200),
        (json.dumps([1] * 65).encode(), 413),
        (b" " * (1024 * 1024 - 3) + b"[1]", 200),
        (b" " * (1024 * 1024 - 2) + b"[1]", 413),
        (b" " * (3 * 1024 * 1024), 413),
    ],
    ids=lambda value: repr(value)[:12],
)
def test_a_body_must_be_a_batch(
    http: requests.Session, receiver: Receiver, body: bytes, status: int | None
) -> None:
    """10,000 digits are too many for some versions of Python to read, and refused in all."""
    answer = post(http, receiver, body)
    assert answer.status_code == (status or answer.status_code)
    assert answer.status_code < 500
    assert receiver.events == []
    assert post(http, receiver, VALID[:1], key=OTHER_KEY).status_code == 200


@pytest.mark.parametrize("media", ["text/plain", "application/jsonlines", ""])
def test_another_content_type_is_refused(
    http: requests.Session, receiver: Receiver, media: str
) -> None:
    assert post(http, receiver, VALID[:1], Content_Type=media).status_code == 415
    assert receiver.events == []


def test_a_content_type_may_name_its_charset(http: requests.Session, receiver: Receiver) -> None:
    media = "Application/JSON; charset=utf-8"
    assert post(http, receiver, VALID[:1], Content_Type=media).status_code == 200


def test_gzip_is_understood(http: requests.Session, receiver: Receiver) -> None:
    body = gzip.compress(json.dumps(VALID).encode("ascii"))
    assert post(http, receiver, body, Content_Encoding="gzip").json()["accepted"] == len(VALID)
    assert receiver.events == VALID
    assert receiver.requests[0].body == body
    assert receiver.requests[0].events == VALID


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"[1]", "gzip", 400),
        (gzip.compress(b"[1]")[:-4], "gzip", 400),
        (gzip.compress(b" " * (1024 * 1024) + b"[1]"), "gzip", 413),
        (gzip.compress(b" " * (1024 * 1024 - 3) + b"[1]"), "gzip", 200),
        (b"[1]", "identity", 200),
        (b"[1]", "br", 415),
    ],
    ids=["plain", "cut off", "too large", "large", "identity", "br"],
)
def test_other_encodings_are_not(
    http: requests.Session, receiver: Receiver, body: bytes, encoding: str, status: int
) -> None:
    assert post(http, receiver, body, Content_Encoding=encoding).status_code == status


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_batches_are_posted(http: requests.Session, receiver: Receiver, method: str) -> None:
    assert http.request(method, receiver.endpoint, timeout=10).status_code == 405
    assert post(http, receiver, VALID[:1]).status_code == 200


def test_other_paths_are_unknown(http: requests.Session, receiver: Receiver) -> None:
    root = receiver.endpoint.removesuffix("/v1/ingest")
    headers = {"Idempotency-Key": KEY}
    for path, status in (
        *(("/", 404), ("/v1/ingest/", 404), ("/v2/ingest", 404)),
        *(("/some/prefix/v1/ingest", 200), ("/v1/ingest?x=1", 200)),
    ):
        answer = http.post(root + path, json=VALID[:1], headers=headers, timeout=10)
        assert answer.status_code == status, path


def test_erasure_drops_the_events_of_that_install(
    http: requests.Session, receiver: Receiver
) -> None:
    other = {**VALID[0], "install_id": "0" * 32}
    post(http, receiver, [*VALID[:2], other])
    url = receiver.endpoint.replace("/ingest", f"/installs/{INSTALL}")
    answer = http.delete(url, timeout=10)
    assert answer.status_code == 200
    assert answer.json()["receipt"]
    assert receiver.events == [other]
    assert http.get(url, timeout=10).status_code == 405
    assert http.delete(url + "0", timeout=10).status_code == 400


def test_a_collector_may_be_unable_to_erase(http: requests.Session) -> None:
    with Receiver(erasure=False) as receiver:
        post(http, receiver, VALID[:1])
        url = receiver.endpoint.replace("/ingest", f"/installs/{INSTALL}")
        assert http.delete(url, timeout=10).status_code == 404
        assert receiver.events == VALID[:1]


def test_recommendations_are_part_of_the_answer(http: requests.Session) -> None:
    recommended = {"sample_rate": 0.1, "without": ["feature_used"], "off": True}
    with Receiver(recommended=recommended) as receiver:
        assert post(http, receiver, VALID[:1]).json()["recommended"] == recommended


def test_a_scripted_refusal_takes_nothing_and_the_next_answer_is_usual(
    http: requests.Session, receiver: Receiver
) -> None:
    receiver.answer(503, Answer(429, headers={"Retry-After": "7"}, body=b"slow down"))
    assert post(http, receiver, VALID[:1]).status_code == 503
    second = post(http, receiver, VALID[:1])
    assert (second.status_code, second.headers["Retry-After"]) == (429, "7")
    assert second.text == "slow down"
    assert receiver.events == []
    assert post(http, receiver, VALID[:1]).json() == {"accepted": 1, "refused": []}
    assert [request.status for request in receiver.requests] == [503, 429, 200]


def test_a_scripted_success_takes_the_batch(http: requests.Session, receiver: Receiver) -> None:
    receiver.answer(
        202, Answer(204), Answer(200, body=b"", headers={"Accept-Encoding": "identity"})
    )
    assert post(http, receiver, VALID[:1]).json() == {"accepted": 1, "refused": []}
    empty = post(http, receiver, VALID[1:2], key=OTHER_KEY)
    assert (empty.status_code, empty.content) == (204, b"")
    silent = post(http, receiver, VALID[2:3], key="0" * 32)
    assert (silent.status_code, silent.content) == (200, b"")
    assert silent.headers["Accept-Encoding"] == "identity"
    assert receiver.events == VALID[:3]


def test_a_scripted_success_does_not_save_a_bad_batch(
    http: requests.Session, receiver: Receiver
) -> None:
    receiver.answer(200)
    assert post(http, receiver, b"{}").status_code == 400


def test_an_answer_that_gets_lost_is_a_batch_that_counts_once(
    http: requests.Session, receiver: Receiver
) -> None:
    receiver.answer(Answer(200, close=True))
    with pytest.raises(requests.ConnectionError):
        post(http, receiver, VALID[:1])
    assert receiver.events == VALID[:1]
    assert post(http, receiver, VALID[:1]).json() == {"accepted": 1, "refused": []}
    assert receiver.events == VALID[:1]


def test_a_function_may_answer(http: requests.Session, receiver: Receiver) -> None:
    seen: list[Request] = []

    def decide(request: Request) -> int | None:
        seen.append(request)
        return 500 if len(request.events) > 1 and receiver.events == [] else None

    receiver.answer(decide, decide, None)
    assert post(http, receiver, VALID[:2]).status_code == 500
    assert post(http, receiver, VALID[:1]).status_code == 200
    assert [len(request.events) for request in seen] == [2, 1]


def test_a_function_that_fails_is_an_answer_too(http: requests.Session, receiver: Receiver) -> None:
    def fail(_: Request) -> None:
        raise LookupError

    receiver.answer(fail)
    answer = post(http, receiver, VALID[:1])
    assert (answer.status_code, answer.json()) == (500, {"error": "LookupError"})


def test_a_delayed_answer_does_not_hold_up_the_end(http: requests.Session) -> None:
    receiver = Receiver()
    receiver.answer(Answer(200, delay=3600))
    failures: list[requests.RequestException] = []

    def send() -> None:
        try:
            post(http, receiver, VALID[:1])
        except requests.ConnectionError as error:
            failures.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    receiver.wait_for(1)
    receiver.close()
    thread.join(10)
    assert len(failures) == 1


def test_wait_for_returns_what_another_thread_sends(
    http: requests.Session, receiver: Receiver
) -> None:
    thread = threading.Thread(target=post, args=(http, receiver, VALID[:2]))
    thread.start()
    assert receiver.wait_for(2) == VALID[:2]
    thread.join(10)


def test_wait_for_tells_what_arrived_instead(http: requests.Session, receiver: Receiver) -> None:
    post(http, receiver, [VALID[0], {**VALID[0], "os": "secret-os"}])
    with pytest.raises(AssertionError) as failure:
        receiver.wait_for(2, timeout=0.01)
    assert "first_run" in str(failure.value)
    assert "1 refused in 1 requests" in str(failure.value)
    assert INSTALL not in str(failure.value)


def test_what_is_returned_is_a_copy(http: requests.Session, receiver: Receiver) -> None:
    post(http, receiver, [VALID[0], 1], Patter_Client_Report="call_started:expired=1")
    for taken in (receiver.events, receiver.refused, receiver.requests):
        taken.clear()
    receiver.losses.clear()
    assert (len(receiver.events), len(receiver.refused), len(receiver.requests)) == (1, 1, 1)
    assert receiver.losses == {("call_started", "expired"): 1}


def test_a_connection_is_reused(http: requests.Session, receiver: Receiver) -> None:
    ports = set()
    for number in range(3):
        answer = http.post(
            receiver.endpoint,
            json=VALID[:1],
            headers={"Idempotency-Key": f"{number:032x}"},
            timeout=10,
            stream=True,
        )
        connection: Any = answer.raw.connection
        ports.add(connection.sock.getsockname()[1])
        answer.content  # noqa: B018 - reading it gives the connection back
    assert len(ports) == 1


def connect(receiver: Receiver) -> socket.socket:
    port = int(receiver.endpoint.split(":")[2].split("/")[0])
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def test_closing_ends_connections_and_gives_the_port_to_nobody_else() -> None:
    receiver = Receiver()
    with connect(receiver) as idle:
        idle.sendall(b"HEAD / HTTP/1.1\r\n\r\n")
        assert idle.recv(4096).startswith(b"HTTP/1.1 404 ")
        receiver.close()
        receiver.close()
        assert idle.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(receiver)
    port = int(receiver.endpoint.split(":")[2].partition("/")[0])
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))


def test_a_client_that_goes_away_is_not_complained_about(
    receiver: Receiver, capfd: pytest.CaptureFixture[str]
) -> None:
    connection = connect(receiver)
    gone = threading.Event()

    def go_away(_: Request) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()  # with a reset, so that answering fails
        gone.set()

    receiver.answer(go_away)
    connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert gone.wait(10)
    for thread in threading.enumerate():
        if "process_request_thread" in thread.name:
            thread.join(10)
    assert capfd.readouterr() == ("", "")


def test_a_client_can_send_all_of_what_is_too_much(receiver: Receiver) -> None:
    size = 6 * 1024 * 1024  # more than the system buffers, less than the receiver puts up with
    with connect(receiver) as connection:
        connection.sendall(b"POST /v1/ingest HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size)
        connection.sendall(b" " * size)
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (b"", b""),
        (b"GET\r\n\r\n", b""),
        (b"BREW /v1/ingest HTTP/1.1\r\n\r\n", b"HTTP/1.1 501 "),
        (b"POST /v1/ingest HTTP/1.1\r\n\r\n", b"HTTP/1.1 411 "),
        (b"POST /v1/ingest HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0", b"HTTP/1.1 411 "),
        (b"POST /v1/ingest HTTP/1.1\r\nContent-Length: many\r\n\r\n[1]", b"HTTP/1.1 400 "),
        (b"POST /v1/ingest HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n", b"HTTP/1.1 413 "),
    ],
    ids=lambda value: repr(value)[2:22],
)
def test_nonsense_on_the_wire_disturbs_nothing(
    http: requests.Session,
    receiver: Receiver,
    capfd: pytest.CaptureFixture[str],
    sent: bytes,
    answered: bytes,
) -> None:
    with connect(receiver) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(answered)
    assert not answered or b"\r\nConnection: close\r\n" in answer
    assert post(http, receiver, VALID[:1]).status_code == 200
    assert receiver.events == VALID[:1]
    assert capfd.readouterr() == ("", "")


def test_the_example_of_the_docstring_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    tests: list[Any] = doctest.DocTestFinder(recurse=False).find(Receiver, "Receiver", testing)
    results = [doctest.DocTestRunner().run(test) for test in tests]
    assert [(result.failed, result.attempted > 0) for result in results] == [(0, True)]
