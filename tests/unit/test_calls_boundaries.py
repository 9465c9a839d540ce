"""What a host gets wrong while it sets up is said at once, not by a thread minutes later."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest

from getpatter.calls import WebhookSink, precall_test
from getpatter.calls.sinks.signature import sign, verify

BODY = b'{"events":[]}'
HEADER = sign(b"secret", BODY, 1_000)
URLS: dict[str, Any] = {
    "a port beyond 65535": "https://collector.example:99999/hook",
    "port 0": "https://collector.example:0/hook",
    "a port below 0": "https://collector.example:-1/hook",
    "a port in words": "https://collector.example:https/hook",
    "a port in other digits": "https://collector.example:\N{ARABIC-INDIC DIGIT THREE}/hook",
    "half an address": "http://[::1/hook",
    "no host": "https:///hook",
    "a space": "https://collector example/hook",
    "half a character": "https://\ud800/hook",
    "an empty label": "https://a..b/hook",
    "a label that is too long": f"https://{'a' * 64}.example/hook",
    "another scheme": "ftp://collector.example/hook",
    "bytes": b"https://collector.example/hook",
    "None": None,
    "a number": 5,
}


@pytest.mark.parametrize("name", URLS)
def test_a_url_that_cannot_be_asked_for(name: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        WebhookSink(URLS[name], "secret")
    with pytest.raises(ValueError, match=r"."):
        precall_test([URLS[name]])


@pytest.mark.parametrize(
    "options",
    [
        *({"timeout": bad} for bad in (0, -1, math.nan, math.inf, 10**400, "5", None, True)),
        *({"first_pause": bad} for bad in (-1, math.nan, math.inf, 10**400, "1", None)),
        *({"attempts": bad} for bad in (0, -1, 1.5, "8", None, True)),
    ],
    ids=repr,
)
def test_a_number_that_is_none(options: Any) -> None:
    with pytest.raises(ValueError, match=r"seconds|attempts"):
        WebhookSink("https://collector.example/hook", "secret", **options)


@pytest.mark.parametrize("url", ["https://[::1]:8443/hook", "https://grüße.example:443/über?a=b#c"])
def test_a_url_that_can(url: str) -> None:
    WebhookSink(url, "secret", timeout=0.5, first_pause=0, attempts=1)


@pytest.mark.parametrize(
    "header",
    [
        *(None, "", "nonsense", "t=,v1=", "t=1000", f"{HEADER}\ud800", f"\udcff{HEADER}"),
        *(HEADER.replace("t=1000", "t=\N{ARABIC-INDIC DIGIT ONE}000"), f"t={'9' * 5_000},v1=00"),
        *(HEADER.replace("v1=", "v1=\xe9"), HEADER[:-1], HEADER.encode(), 5, [HEADER], "t=-1,v1=0"),
    ],
    ids=ascii,
)
def test_a_header_that_is_no_signature(header: Any) -> None:
    assert verify("secret", header, BODY, now=1_000) is False


def test_a_header_that_is_one() -> None:
    assert verify("secret", HEADER, BODY, now=1_000) is True


WITHOUT = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "opentelemetry":
            raise ImportError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
from getpatter.calls import *
from getpatter import *
import getpatter.calls
assert all(hasattr(getpatter.calls, name) for name in getpatter.calls.__all__)
try:
    OpenTelemetrySink()
except ImportError as error:
    assert "getpatter[otel]" in str(error), error
else:
    raise SystemExit("it has been made")
"""
WITH = """
import sys
from getpatter.calls import *
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
OpenTelemetrySink()
assert "opentelemetry.trace" in sys.modules
"""


@pytest.mark.parametrize("program", [WITHOUT, WITH], ids=["without", "with"])
def test_all_names_are_there_without_what_only_one_of_them_needs(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
