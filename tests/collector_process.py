"""Real collector processes, and what a client sends to them."""

import http.client
import json
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from getpatter.collector.store import Store

COMMAND = [sys.executable, "-m", "getpatter", "collector"]
JSON = {"Content-Type": "application/json"}


def hex_id() -> str:
    return os.urandom(16).hex()


def event(name: str = "cli_command", /, **fields: Any) -> dict[str, Any]:
    """A valid event of v8, of a new install."""
    return {
        "event": name,
        "schema_version": 8,
        "run_id": hex_id(),
        "install_id": hex_id(),
        "sdk": "python",
        "sdk_version": "0.7.2",
        "os": "linux",
        "arch": "x86_64",
        "runtime": "cpython",
        "runtime_version": "3.11",
        "ci": False,
        **fields,
    }


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Collector:
    """A collector process."""

    def __init__(self, process: "subprocess.Popen[str]", data: Path) -> None:
        self.process = process
        self.data = data
        assert process.stdout is not None
        lines = [process.stdout.readline().split(" ") for _ in range(2)]
        assert [line[0] for line in lines] == ["ingest", "pages"], lines
        self.endpoint, self.pages = (line[1].strip() for line in lines)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        *,
        pages: bool = False,
    ) -> Response:
        """Ask the ingest listener, or the one for operators."""
        address = urlsplit(self.pages if pages else self.endpoint).netloc
        connection = http.client.HTTPConnection(address, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Response(response.status, names, response.read())
        finally:
            connection.close()

    def post(self, events: Any, key: str | None = None, **headers: str) -> Response:
        """Send a batch; `Patter_Batch_Age` is the header with dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            named["Idempotency-Key"] = key
        body = json.dumps(events).encode()
        if named.get("Content-Encoding") == "gzip":
            packer = zlib.compressobj(wbits=31)
            body = packer.compress(body) + packer.flush()
        return self.request("POST", "/v1/ingest", body, JSON | named)

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """End the process; return its exit code and what it said on stderr."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


Start = Callable[..., Collector]


@contextmanager
def starting() -> Iterator[Start]:
    """Start collectors that end with the block."""
    running: list[Collector] = []

    def start(
        data: Path,
        *flags: str,
        wrapper: tuple[str, ...] = (),
        descriptors: tuple[int, ...] = (),
    ) -> Collector:
        process = subprocess.Popen(
            [
                *wrapper,
                *COMMAND,
                *("serve", "--data", str(data), "--listen", "127.0.0.1:0"),
                *("--pages", "127.0.0.1:0", "--reserve", "1M", *flags),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": os.environ["PATH"], "HOME": str(data.parent)},
            pass_fds=descriptors,
        )
        try:
            running.append(Collector(process, data))
        except AssertionError:
            process.kill()
            _, said = process.communicate()
            pytest.fail(f"the collector did not start: {said}")
        return running[-1]

    try:
        yield start
    finally:
        for collector in running:
            if collector.process.poll() is None:
                collector.process.kill()
            collector.process.communicate()


def command(*arguments: str, home: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run `getpatter collector …`."""
    return subprocess.run(
        [*COMMAND, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": os.environ["PATH"], "HOME": str(home or "/nonexistent")},
    )


def rows(data: Path, sql: str) -> list[tuple[Any, ...]]:
    """Ask a store that no process uses."""
    store = Store(str(data))
    try:
        return store.query(sql).rows
    finally:
        store.close()
