"""The pre-call test against real listeners on this machine: each step, and each way to fail."""

from __future__ import annotations

import queue
import socket
import ssl
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from getpatter.calls import precall
from getpatter.calls.callbacks.subscriptions import Callbacks
from getpatter.calls.endpoint import Endpoint, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 60.0
Handle = "Callable[[socket.socket], None]"


@contextmanager
def listener(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port on this machine; `handle` is given each connection, on a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        is_over = threading.Event()
        threads: list[threading.Thread] = []

        def serve(connection: socket.socket) -> None:
            with connection:
                connection.settimeout(PATIENCE)
                try:
                    handle(connection)
                except OSError:
                    return  # the other side has gone, as some of these do

        def accept() -> None:
            while not is_over.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                threads.append(threading.Thread(target=serve, args=(connection,)))
                threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield server.getsockname()[1]
        finally:
            is_over.set()
            accepting.join(PATIENCE)
            for thread in threads:
                thread.join(PATIENCE)


REQUESTS: queue.SimpleQueue[bytes] = queue.SimpleQueue()


def answer(connection: socket.socket) -> None:
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(4_096)
    REQUESTS.put(request)
    connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


def hang_up(connection: socket.socket) -> None:
    connection.recv(4_096)


def say_nothing(connection: socket.socket) -> None:
    while connection.recv(4_096):
        pass


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def encrypted(authority: trustme.CA, *names: str) -> Callable[[socket.socket], None]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)

    def handle(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            answer(wrapped)

    return handle


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def measured(found: dict[str, object], *steps: str) -> None:
    """Those steps were measured, plausibly, and no other."""
    every = {"dns", "connect", "tls", "first_byte"}
    assert every & found.keys() == set(steps)
    for step in steps:
        times: Any = found[step]
        assert times["median_ms"] > 0
        assert times["spread_ms"] >= 0


def test_a_host_and_a_port_is_resolved_and_connected_to() -> None:
    with listener(say_nothing) as port:
        (found,) = precall.precall_test([f"localhost:{port}"], probes=3, timeout=PATIENCE)
        (same,) = precall.precall_test([("localhost", port)], probes=1, timeout=PATIENCE)
    assert found["endpoint"] == same["endpoint"] == f"localhost:{port}"
    assert (found["probes"], found["succeeded"]) == (3, 3)
    assert "failed_step" not in found
    measured(found, "dns", "connect")
    measured(same, "dns", "connect")


@pytest.mark.parametrize(
    ("scheme", "words"),
    [("http", b"Connection: close"), ("ws", b"Upgrade: websocket")],
)
def test_a_url_is_asked_and_the_first_byte_awaited(scheme: str, words: bytes) -> None:
    with listener(answer) as port:
        url = f"{scheme}://user:secret@127.0.0.1:{port}/way?q=1"
        (found,) = precall.precall_test([url], probes=2, timeout=PATIENCE)
    assert (found["probes"], found["succeeded"]) == (2, 2)
    measured(found, "dns", "connect", "first_byte")
    request, _ = (REQUESTS.get(timeout=PATIENCE) for _ in range(2))
    assert request.startswith(b"GET /way?q=1 HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{port}\r\n".encode() in request
    assert words in request
    assert b"secret" not in request
    assert "secret" not in str(found)


@pytest.mark.parametrize("scheme", ["https", "wss"])
def test_an_encrypted_url_has_a_handshake(
    scheme: str, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    with listener(encrypted(authority, "localhost")) as port:
        (found,) = precall.precall_test(
            [f"{scheme}://localhost:{port}"], probes=2, timeout=PATIENCE, context=trusting
        )
    assert (found["succeeded"], found.get("failed_step")) == (2, None)
    measured(found, "dns", "connect", "tls", "first_byte")
    for _ in range(2):
        assert REQUESTS.get(timeout=PATIENCE).startswith(b"GET / HTTP/1.1\r\n")


def test_a_name_that_nobody_has_fails_at_dns() -> None:
    """An interface that this machine does not have: so no name server is asked."""
    nobody = ("fe80::1%nobody", 80)
    (found,) = precall.precall_test([nobody], probes=2, timeout=PATIENCE)
    assert (found["failed_step"], found["reason"]) == ("dns", "unknown_host")
    assert (found["probes"], found["succeeded"]) == (2, 0)
    measured(found)


def test_a_port_that_nobody_listens_at_fails_at_connect() -> None:
    (found,) = precall.precall_test([("127.0.0.1", closed_port())], probes=3, timeout=PATIENCE)
    assert (found["failed_step"], found["reason"]) == ("connect", "refused")
    assert (found["probes"], found["succeeded"]) == (3, 0)
    assert found["message"]
    measured(found, "dns")


def test_a_certificate_that_nobody_trusts_fails_at_tls(authority: trustme.CA) -> None:
    with listener(encrypted(authority, "localhost")) as port:
        (found,) = precall.precall_test(
            [f"https://localhost:{port}"],
            probes=1,
            timeout=PATIENCE,
            context=ssl.create_default_context(),
        )
    assert (found["failed_step"], found["reason"]) == ("tls", "certificate")
    measured(found, "dns", "connect")


def test_a_certificate_of_another_name_fails_at_tls(
    authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    with listener(encrypted(authority, "example.org")) as port:
        (found,) = precall.precall_test(
            [f"wss://localhost:{port}"], probes=1, timeout=PATIENCE, context=trusting
        )
    assert (found["failed_step"], found["reason"]) == ("tls", "certificate")


def test_a_listener_that_speaks_no_tls_fails_at_tls() -> None:
    with listener(answer_in_clear) as port:
        (found,) = precall.precall_test([f"https://localhost:{port}"], probes=1, timeout=PATIENCE)
    assert (found["failed_step"], found["reason"]) == ("tls", "tls_error")


def answer_in_clear(connection: socket.socket) -> None:
    connection.recv(4_096)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_listener_that_hangs_up_fails_at_the_first_byte() -> None:
    with listener(hang_up) as port:
        (found,) = precall.precall_test([f"http://127.0.0.1:{port}"], probes=1, timeout=PATIENCE)
    assert (found["failed_step"], found["reason"]) == ("first_byte", "closed")
    measured(found, "dns", "connect")


@pytest.mark.parametrize(("scheme", "step"), [("http", "first_byte"), ("https", "tls")])
def test_a_listener_that_says_nothing_ends_with_the_time(scheme: str, step: str) -> None:
    with listener(say_nothing) as port:
        (found,) = precall.precall_test([f"{scheme}://127.0.0.1:{port}"], timeout=2)
    assert (found["failed_step"], found["reason"]) == (step, "timeout")
    assert (found["probes"], found["succeeded"]) == (1, 0)


def test_one_that_fails_holds_no_other_up_and_the_order_is_kept() -> None:
    with listener(say_nothing) as silent, listener(answer) as port:
        found = precall.precall_test(
            [f"http://127.0.0.1:{silent}", f"http://127.0.0.1:{port}/fine"], probes=1, timeout=5
        )
    assert [one["succeeded"] for one in found] == [0, 1]
    assert REQUESTS.get(timeout=PATIENCE).startswith(b"GET /fine")


def test_of_some_that_fail_the_last_is_told_and_the_others_measured() -> None:
    connections = iter([answer, hang_up, answer])

    def handle(connection: socket.socket) -> None:
        next(connections)(connection)

    with listener(handle) as port:
        (found,) = precall.precall_test([f"http://127.0.0.1:{port}"], probes=3, timeout=PATIENCE)
    assert (found["probes"], found["succeeded"]) == (3, 2)
    assert (found["failed_step"], found["reason"]) == ("first_byte", "closed")
    measured(found, "dns", "connect", "first_byte")
    for _ in range(2):
        REQUESTS.get(timeout=PATIENCE)


def test_the_callback_is_told_and_the_caller_does_not_wait() -> None:
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()
    callbacks = Callbacks()
    callbacks.on("precall_test", told.put)
    with listener(say_nothing) as port:
        assert precall.start(callbacks, [("127.0.0.1", port)], probes=1, timeout=PATIENCE)
        payload = told.get(timeout=PATIENCE)
    (found,) = payload["endpoints"]
    assert (found["endpoint"], found["succeeded"]) == (f"127.0.0.1:{port}", 1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"endpoints": ["ftp://example.com"]},
        {"endpoints": ["example.com"]},
        {"endpoints": ["example.com:0"]},
        {"endpoints": ["example.com:http"]},
        {"endpoints": ["http://:80"]},
        {"endpoints": ["http://example.com:0/"]},
        {"endpoints": ["http://exam ple.com/"]},
        {"endpoints": ["example.com:80/path"]},
        {"endpoints": [5]},
        {"endpoints": [("example.com", "80")]},
        {"endpoints": []},
        {"endpoints": None},
        {"endpoints": "example.com:80"},
        {"endpoints": ["example.com:80"] * 33},
        {"endpoints": ["example.com:80"], "probes": 0},
        {"endpoints": ["example.com:80"], "probes": 101},
        {"endpoints": ["example.com:80"], "timeout": 0},
        {"endpoints": ["example.com:80"], "timeout": float("nan")},
        {"endpoints": ["example.com:80"], "timeout": "soon"},
    ],
)
def test_what_cannot_be_tested_is_an_answer(arguments: dict[str, Any]) -> None:
    answer = precall.start(Callbacks(), **arguments)
    assert answer.status == "refused_endpoint"
    assert answer.message.startswith("pre-call test: ")
    with pytest.raises((ValueError, TypeError)):
        precall.precall_test(**arguments)


BOOKS = Endpoint("http://bücher.example/", "xn--bcher-kva.example", 80, "http", "/")


@pytest.mark.parametrize(
    ("named", "endpoint"),
    [
        ("sip.example.com:5060", Endpoint("sip.example.com:5060", "sip.example.com", 5060)),
        ("[::1]:5060", Endpoint("[::1]:5060", "::1", 5060)),
        (("::1", 5060), Endpoint("[::1]:5060", "::1", 5060)),
        ("WSS://Example.com", Endpoint("wss://Example.com", "example.com", 443, "wss", "/")),
        (
            "http://a:b@example.com:8080/x?token=1",
            Endpoint("http://example.com:8080/x", "example.com", 8080, "http", "/x?token=1"),
        ),
        ("http://bücher.example/", BOOKS),
    ],
)
def test_what_may_be_named(named: str | tuple[str, int], endpoint: Endpoint) -> None:
    assert read(named) == endpoint


def test_the_request_names_a_port_that_is_not_the_usual_one_and_brackets_an_address() -> None:
    assert b"Host: [::1]:8080\r\n" in read("http://[::1]:8080/").request()
    assert b"Host: example.com\r\n" in read("https://example.com/").request()
