"""Who may open the pages: host names, and tokens beyond loopback."""

import base64
import http.client
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from collector_process import Collector, command, starting

pytest_plugins = ("collector_fixtures",)


def status(collector: Collector, path: str, *headers: tuple[str, str]) -> int:
    """The answer of the pages listener to a request with exactly these headers."""
    port = urlsplit(collector.pages).port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200 or body.startswith(b'{"error":')
        return answer.status
    finally:
        connection.close()


def host(name: str) -> tuple[str, str]:
    return "Host", name


def basic(password: str) -> tuple[str, str]:
    return "Authorization", "Basic " + base64.b64encode(f"anyone:{password}".encode()).decode()


def token(data: Path, *flags: str) -> str:
    done = command("token", "--data", str(data), *flags)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


class Guarded:
    """A collector whose pages are open to other machines, and its token."""

    def __init__(self, collector: Collector, secret: str) -> None:
        self.collector, self.secret = collector, secret


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    data = tmp_path_factory.mktemp("guarded") / "data"
    secret = token(data)
    with starting() as start:
        flags = ("--pages", "0.0.0.0:0", "--host", "Collector.example")
        yield Guarded(start(data, *flags), secret)


@pytest.mark.parametrize(
    "name", ["127.0.0.1", "127.0.0.1:8418", "localhost", "LocalHost:80", "[::1]:8418", "192.0.2.7"]
)
def test_address_or_localhost_is_served(shared: Collector, name: str) -> None:
    assert status(shared, "/metrics", host(name)) == 200


@pytest.mark.parametrize(
    "headers",
    [
        (host("attacker.example"),),
        (host("attacker.example:8418"),),
        (host("localhost.attacker.example"),),
        (host("127.0.0.1.attacker.example"),),
        (host("[::1].attacker.example"),),
        (host(""),),
        (host("[::1"),),
        (),
        (host("localhost"), host("attacker.example")),
    ],
)
def test_name_that_somebody_else_may_own_is_not(
    shared: Collector, headers: tuple[tuple[str, str], ...]
) -> None:
    for path in ("/metrics", "/livez", "/nowhere"):
        assert status(shared, path, *headers) in {400, 421}


def test_pages_on_loopback_ask_for_no_token(shared: Collector) -> None:
    assert status(shared, "/openapi.json", host("localhost")) == 200


def test_token_opens_the_pages_in_both_ways(guarded: Guarded) -> None:
    collector, secret = guarded.collector, guarded.secret
    named = host("collector.example:443")
    bearer = ("Authorization", f"Bearer {secret}")
    assert status(collector, "/metrics", named, bearer) == 200
    assert status(collector, "/metrics", named, basic(secret)) == 200
    assert status(collector, "/metrics", host("attacker.example"), bearer) == 421
    assert status(collector, "/livez", named) == 200
    assert status(collector, "/readyz", named) == 200


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (basic("wrong"),),
        (basic(""),),
        (("Authorization", "Bearer"),),
        (("Authorization", "Bearer \xe9"),),
        (("Authorization", "Basic !"),),
        (("Authorization", "Basic /w=="),),
        (("Authorization", "Digest x"),),
        (("Cookie", "token=x"),),
    ],
)
def test_nothing_else_does(guarded: Guarded, headers: tuple[tuple[str, str], ...]) -> None:
    for path in ("/metrics", "/openapi.json", "/nowhere"):
        assert status(guarded.collector, path, host("192.0.2.7"), *headers) == 401


def test_digest_of_a_token_opens_nothing(guarded: Guarded) -> None:
    digest = (guarded.collector.data / "tokens").read_text().strip()
    bearer = ("Authorization", f"Bearer {digest}")
    assert status(guarded.collector, "/metrics", host("127.0.0.1"), bearer) == 401


def test_browser_is_asked_for_it(guarded: Guarded) -> None:
    port = urlsplit(guarded.collector.pages).port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")
    connection.close()


def test_token_is_kept_nowhere(guarded: Guarded) -> None:
    kept = [path.read_bytes() for path in guarded.collector.data.rglob("*") if path.is_file()]
    assert not any(guarded.secret.encode() in content for content in kept)
    assert (guarded.collector.data / "tokens").stat().st_mode & 0o777 == 0o600


def test_removed_token_opens_nothing_from_then_on(guarded: Guarded) -> None:
    collector = guarded.collector
    known = token(collector.data, "--list").split()
    second = token(collector.data)
    (name,) = set(token(collector.data, "--list").split()) - set(known)
    bearer = ("Authorization", f"Bearer {second}")
    assert status(collector, "/metrics", host("127.0.0.1"), bearer) == 200
    assert token(collector.data, "--remove", name) == ""
    assert status(collector, "/metrics", host("127.0.0.1"), bearer) == 401
    assert status(collector, "/metrics", host("127.0.0.1"), basic(guarded.secret)) == 200
    again = command("token", "--data", str(collector.data), "--remove", name)
    assert (again.returncode, len(again.stderr.splitlines())) == (1, 1)


def test_pages_for_other_machines_need_a_token_first(tmp_path: Path) -> None:
    flags = ("--listen", "127.0.0.1:0", "--pages", "0.0.0.0:0")
    done = command("serve", "--data", str(tmp_path / "data"), *flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert "collector token" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "data").exists()


def test_tokens_are_all_different_and_long(tmp_path: Path) -> None:
    made = {token(tmp_path / "data") for _ in range(3)}
    assert len(made) == 3
    assert all(re.fullmatch("[0-9a-f]{64}", one) for one in made)
