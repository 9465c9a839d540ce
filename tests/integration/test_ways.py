"""The ways to a collector, over real sockets: certificates and proxies of the environment."""

import base64
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import trustme
from recorder import Recorder, join, listening, recording

from getpatter.telemetry.delivery.batch import Batch, Response
from getpatter.telemetry.delivery.transport import HttpTransport

KEY = "0123456789abcdef" * 2
INSTALL = "f" * 32
TRUST = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*TRUST, *PROXIES, *map(str.upper, PROXIES)):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def collector() -> Iterator[Recorder]:
    with recording() as running:
        yield running


def batch() -> Batch:
    return Batch([{"event": "x"}], KEY, 0.0, {})


def send(endpoint: str) -> Response:
    with closing(HttpTransport(endpoint)) as transport:
        return transport.send(batch(), 0.0)


@contextmanager
def secure(authority: trustme.CA, name: str) -> Iterator[Recorder]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    with recording(context) as running:
        yield running


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    return made


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_of_the_environment_are_trusted(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "authority.pem"))
    with secure(authority, "127.0.0.1") as collector:
        with closing(HttpTransport(f"{collector.url}/v1/ingest")) as transport:
            large = Batch([{"event": "x" * 1_000}] * 1_000, KEY, 0.0, {})
            assert [transport.send(one, 0.0).status for one in (batch(), large)] == [200, 200]
        assert collector.connections == 1
        assert len(collector.requests[1]) > 1_000_000


@pytest.mark.parametrize("name", ["127.0.0.2", "collector.example"])
def test_a_certificate_for_another_host_is_not(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    with secure(authority, name) as collector:
        assert send(f"{collector.url}/v1/ingest").status is None
        assert collector.requests == []


@pytest.mark.parametrize("bundle", ["", "missing.pem", "empty.pem", "other.pem"])
def test_nor_is_one_that_nobody_vouches_for(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundle: str
) -> None:
    (tmp_path / "empty.pem").touch()
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / bundle) if bundle else "")
    with secure(authority, "127.0.0.1") as collector:
        assert send(f"{collector.url}/v1/ingest").status is None
        assert collector.requests == []


def connect_proxy(
    target: int, heads: list[bytes], answer: bytes = b""
) -> Callable[[socket.socket], None]:
    """A proxy that leads to a port of this machine, whatever it is asked for."""

    def handle(client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head and (data := client.recv(1)):
            head += data
        heads.append(head)
        client.sendall(answer or b"HTTP/1.1 200 Connection established\r\n\r\n")
        if not answer:
            with socket.create_connection(("127.0.0.1", target)) as there:
                join(client, there)

    return handle


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("user", ["", "who:s%20cret@"])
def test_a_named_collector_is_reached_through_the_proxy(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, user: str
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    heads: list[bytes] = []
    with (
        secure(authority, "collector.example") as collector,
        listening(connect_proxy(collector.port, heads)) as proxy,
    ):
        monkeypatch.setenv(variable, f"http://{user}127.0.0.1:{proxy}")
        assert send("https://collector.example/v1/ingest").status == 200
    lines = ["CONNECT collector.example:443 HTTP/1.1", "Host: collector.example:443"]
    if user:
        said = base64.b64encode(b"who:s cret").decode()
        lines.append(f"Proxy-Authorization: Basic {said}")
    assert heads == ["\r\n".join((*lines, "", "")).encode()]
    (request,) = collector.requests
    assert request.startswith(b"POST /v1/ingest HTTP/1.1\r\nHost: collector.example\r\n")
    assert b"Proxy" not in request


def test_a_proxy_may_be_asked_over_tls(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    heads: list[bytes] = []
    with secure(authority, "collector.example") as collector:
        plain = connect_proxy(collector.port, heads)
        with listening(plain) as inner:

            def handle(client: socket.socket) -> None:
                with (
                    context.wrap_socket(client, server_side=True) as secured,
                    socket.create_connection(("127.0.0.1", inner)) as there,
                ):
                    join(secured, there)

            with listening(handle) as proxy:
                monkeypatch.setenv("HTTPS_PROXY", f"https://127.0.0.1:{proxy}")
                assert send("https://collector.example/v1/ingest").status == 200
        assert len(collector.requests) == len(heads) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
        b"nothing of the kind\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 40_000 + b"\r\n",
    ],
    ids=["refused", "redirected", "nonsense", "without end"],
)
def test_without_the_proxy_nobody_is_asked(
    monkeypatch: pytest.MonkeyPatch, collector: Recorder, answer: bytes
) -> None:
    with listening(connect_proxy(collector.port, [], answer)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy}")
        assert send("https://collector.example/v1/ingest").status is None
    assert collector.requests == []


@pytest.mark.parametrize("scheme", ["socks5h", "socks5"])
def test_a_socks_proxy_leads_there_too(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    asked: list[bytes] = []
    with secure(authority, "localhost.example") as collector:

        def handle(client: socket.socket) -> None:
            client.recv(16)
            client.sendall(b"\x05\x00")
            asked.append(client.recv(300))
            client.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x09")
            with socket.create_connection(("127.0.0.1", collector.port)) as there:
                join(client, there)

        with listening(handle) as proxy:
            monkeypatch.setenv("ALL_PROXY", f"{scheme}://127.0.0.1:{proxy}")
            name = "localhost.example" if scheme == "socks5h" else "192.0.2.1"
            status = send(f"https://{name}/v1/ingest").status
        # The certificate is for the name.
        assert status == (200 if scheme == "socks5h" else None)
    (request,) = asked
    assert (b"localhost.example" in request) == (scheme == "socks5h")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_proxy_is_asked_for_this_machine(
    monkeypatch: pytest.MonkeyPatch, collector: Recorder, host: str, scheme: str
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, collector.url)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert send(f"{scheme}://{host}:{port}/v1/ingest").status is None
    assert collector.requests == []
    assert collector.connections == 0
