"""The wire contract, over real HTTP."""

import json
import socket
import zlib
from typing import Any
from urllib.parse import urlsplit

import pytest
from collector_process import JSON, Collector, Start, event, hex_id, rows

pytest_plugins = ("collector_fixtures",)

GZIP = {"Content_Encoding": "gzip"}


def test_batch_is_accepted_and_the_answer_says_what_clients_need(shared: Collector) -> None:
    answer = shared.post([event(), event()], hex_id())
    assert (answer.status, answer.json) == (200, {"accepted": 2, "refused": []})
    assert answer.headers["accept-encoding"] == "gzip"
    assert answer.headers["patter-max-events"] == "512"
    assert answer.headers["content-type"] == "application/json"


def test_gzip_and_512_events_are_accepted(shared: Collector) -> None:
    answer = shared.post([event() for _ in range(512)], hex_id(), **GZIP)
    assert answer.json == {"accepted": 512, "refused": []}


def test_repeated_key_gets_the_first_answer(shared: Collector) -> None:
    key, batch = hex_id(), [event(), event(os="amiga")]
    first = shared.post(batch, key)
    assert first.json["accepted"] == 1
    assert shared.post(batch, key).json == first.json
    # Whatever the body: the key is what decides.
    assert shared.post([event()], key).json == first.json


@pytest.mark.parametrize("age", ["0", "3700", "604800"])
def test_repeated_key_is_found_whatever_the_age(shared: Collector, age: str) -> None:
    key, batch = hex_id(), [event(os="amiga")]
    first = shared.post(batch, key, Patter_Batch_Age=age)
    later = str(min(604_800, int(age) + 1))
    assert shared.post(batch, key, Patter_Batch_Age=later).json == first.json
    figures = shared.request("GET", "/metrics", pages=True).body.decode()
    assert "patter_collector_repeated_batches_total" in figures


@pytest.mark.parametrize(
    ("change", "pointer", "rule"),
    [
        ({"os": "amiga"}, "/os", "enum"),
        ({"secret": 1}, "", "additionalProperties"),
        ({"run_id": "x" * 32}, "/run_id", "not"),
        ({"schema_version": 6}, "/schema_version", "enum"),
        ({"schema_version": True}, "/schema_version", "enum"),
        ({"event": "no_such"}, "/event", "enum"),
        ({"sdk": "typescript"}, "/runtime", "enum"),
        ({"sdk": "rust"}, "/sdk", "const"),
        ({"sdk": ["python"]}, "/sdk", "const"),
        ({"event": "config_incomplete", "schema_version": 7}, "/event", "enum"),
        ({"ci": None}, "/ci", "type"),
    ],
)
def test_invalid_event_is_refused_by_pointer_and_rule(
    shared: Collector, change: dict[str, Any], pointer: str, rule: str
) -> None:
    answer = shared.post([event(), event() | change], hex_id())
    assert answer.json == {
        "accepted": 1,
        "refused": [{"index": 1, "pointer": pointer, "rule": rule}],
    }


@pytest.mark.parametrize("item", [1, None, "text", [], {}, {"event": []}, {"event": "first_run"}])
def test_what_is_no_event_is_refused_alone(shared: Collector, item: Any) -> None:
    answer = shared.post([item, event()], hex_id())
    assert answer.status == 200
    assert answer.json["accepted"] == 1


@pytest.mark.parametrize("runtime", ["node", "bun", "deno"])
@pytest.mark.parametrize("version", [5, 7, 8])
def test_events_of_typescript_clients_are_accepted(
    shared: Collector, runtime: str, version: int
) -> None:
    sent = event(sdk="typescript", runtime=runtime, runtime_version="22.4", schema_version=version)
    assert shared.post([sent], hex_id()).json["accepted"] == 1


def _request(
    body: bytes = b"[]", headers: dict[str, str] | None = None, **more: str
) -> tuple[str, str, bytes, dict[str, str]]:
    named = {name.replace("_", "-"): value for name, value in more.items()}
    return "POST", "/v1/ingest", body, (dict(JSON) if headers is None else headers) | named


def _gzip(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (_request(b"not json"), 400),
        (_request(b"{}"), 400),
        (_request(b"[]"), 400),
        (_request(b"[NaN]"), 400),
        (_request(b'["\xff"]'), 400),
        (_request(b"[" * 2000), 400),
        (_request(b"[1]", Idempotency_Key="x"), 400),
        (_request(b"[1]", Idempotency_Key="A" * 32), 400),
        (_request(b"[1]", Patter_Batch_Age="-1"), 400),
        (_request(b"[1]", Patter_Batch_Age="604801"), 400),
        (_request(b"[1]", Patter_Sample_Rate="2"), 400),
        (_request(b"[1]", Patter_Sample_Rate="1_0"), 400),
        (_request(b"[1]", Patter_Client_Report="free text"), 400),
        (_request(b"[1]", headers={"Content-Type": "text/plain"}), 415),
        (_request(b"[1]", headers={}), 415),
        (_request(b"[1]", Content_Encoding="br"), 415),
        (_request(b"[1]", Content_Encoding="gzip"), 400),
        (_request(_gzip(b"[1]")[:-4], Content_Encoding="gzip"), 400),
        (_request(_gzip(b"[1]") + b"more", Content_Encoding="gzip"), 400),
        (_request(_gzip(b" " * 2_000_000), Content_Encoding="gzip"), 413),
        (_request(b"[" + b"1," * 512 + b"1]"), 413),
        (_request(b" " * 1_100_000), 413),
        (("GET", "/v1/ingest", b"", {}), 405),
        (("DELETE", "/v1/installs/short", b"", {}), 400),
        (("POST", f"/v1/installs/{'a' * 32}", b"", {}), 405),
        (("GET", "/", b"", {}), 404),
        (("GET", f"/v1/receipts/{'a' * 32}", b"", {}), 404),
    ],
)
def test_request_that_is_not_in_order_is_answered_in_json(
    shared: Collector, request_: tuple[str, str, bytes, dict[str, str]], status: int
) -> None:
    method, path, body, headers = request_
    answer = shared.request(method, path, body, headers)
    assert answer.status == status
    assert set(answer.json) == {"error"}


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 40_000, 400),
        (b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"POST /v1/ingest HTTP/1.1\r\nHost: x\r\n\r\n", 411),
        (b"POST /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ],
)
def test_odd_bytes_are_answered_in_json(shared: Collector, text: bytes, status: int) -> None:
    address = urlsplit(shared.endpoint)
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall(text)
        connection.settimeout(60)
        got = b""
        while b"}" not in got and (more := connection.recv(65_536)):
            got += more
    head, _, body = got.partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status
    assert set(json.loads(body)) == {"error"}


def test_endpoint_may_stand_behind_a_prefix(shared: Collector) -> None:
    body = json.dumps([event()]).encode()
    assert shared.request("POST", "/some/where/v1/ingest", body, JSON).status == 200
    assert shared.request("DELETE", f"/some/where/v1/installs/{hex_id()}").status == 200


def test_legacy_batch_is_taken_and_a_blind_retry_counted_once(start: Start, tmp_path: Any) -> None:
    collector = start(tmp_path / "data")
    batch = [event(schema_version=5)]
    assert collector.post(batch).json == {"accepted": 1, "refused": []}
    assert collector.post(batch).json == {"accepted": 1, "refused": []}
    assert collector.post([event(schema_version=7)], None).json["accepted"] == 1
    collector.end()
    found = rows(tmp_path / "data", "SELECT schema_version, legacy, rate FROM events ORDER BY 1")
    assert found == [(5, True, None), (7, True, None)]


def test_legacy_errors_weigh_one_and_failed_without_a_code_one_over_rate(
    start: Start, tmp_path: Any
) -> None:
    collector = start(tmp_path / "data")

    def call(**fields: Any) -> dict[str, Any]:
        return event("call_completed", sample_rate=0.25, **fields)

    batch = [
        call(outcome="error"),
        call(outcome="failed", error_code="auth"),
        call(outcome="failed"),
        call(outcome="completed"),
    ]
    assert collector.post(batch).json["accepted"] == 4
    # With a key it is a client that knows: a rate on an error is refused.
    kept = collector.post(batch, hex_id()).json
    assert (kept["accepted"], [r["index"] for r in kept["refused"]]) == (1, [0, 1, 2])
    collector.end()
    found = rows(
        tmp_path / "data",
        "SELECT legacy, outcome, error_code, kept FROM events ORDER BY legacy, outcome, error_code",
    )
    assert found == [
        (False, "completed", None, 0.25),
        (True, "completed", None, 0.25),
        (True, "error", None, 1.0),
        (True, "failed", "auth", 1.0),
        (True, "failed", None, 0.25),
    ]


def test_age_decides_the_day_and_losses_and_refusals_are_counted(
    start: Start, tmp_path: Any
) -> None:
    collector = start(tmp_path / "data")
    report = "call_started:queue_full=3, made_up:words=2"
    key = hex_id()
    for _ in range(2):  # the retry is counted once
        collector.post(
            [event(), event(os="amiga", sdk_version="9.secret"), event("made_up")],
            key,
            Patter_Batch_Age="86400",
            Patter_Sample_Rate="0.5",
            Patter_Client_Report=report,
        )
    collector.post("nonsense", hex_id())
    collector.end()
    data = tmp_path / "data"
    assert rows(
        data, "SELECT age, rate, (to_timestamp(received)::DATE - day) BETWEEN 0 AND 1 FROM events"
    ) == [(86_400, 0.5, True)]
    assert rows(data, "SELECT event, reason, n FROM losses ORDER BY 1") == [
        ("call_started", "queue_full", 3),
        ("unknown", "other", 2),
    ]
    assert rows(
        data,
        "SELECT status, schema_version, event, pointer, rule, sdk_version, sum(n)::INT"
        " FROM refusals GROUP BY ALL ORDER BY ALL",
    ) == [
        (200, 8, "cli_command", "/os", "enum", None, 1),
        (200, 8, None, "/event", "enum", None, 1),
        (400, None, None, None, "array", None, 1),
    ]


def test_install_beyond_its_rate_is_answered_429_and_others_go_on(shared: Collector) -> None:
    busy = hex_id()
    statuses = []
    for _ in range(60):
        batch = [event(install_id=busy)] * 512
        answer = shared.post(batch, hex_id(), **GZIP)
        statuses.append(answer.status)
        if answer.status == 429:
            assert int(answer.headers["retry-after"]) > 0
            break
    assert statuses[-1] == 429
    assert shared.post([event()], hex_id()).status == 200
