"""A client that is made while no descriptor is left: the install is the same as ever."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from getpatter.telemetry import notice

if TYPE_CHECKING:
    from conftest import Run

    from getpatter.telemetry.testing import Receiver

STARTS = """
import json, requests
from getpatter import Patter
phone = Patter(carrier="none", engine="realtime", credentials={"OPENAI_API_KEY": "x"})
assert phone.telemetry.flush(20)
print(json.dumps(phone.telemetry.stats()["lost"]))
"""
# The host has used up what it may have, and gives it back when the client is there.
MEANWHILE = """
import json, os, requests, resource
from getpatter import Patter
from getpatter.telemetry import TelemetryClient
# Everything is loaded: what was made before has state of its own.
elsewhere = {**os.environ, "PATTER_TELEMETRY_STATE_DIR": os.path.join(os.getcwd(), "elsewhere")}
os.mkdir("elsewhere", 0o700)
open("elsewhere/notice", "w").write("8 1700000000")
before = TelemetryClient(sdk_version="1", environ=elsewhere)
before.record("nothing")
before.flush(20)
Patter(carrier="none", engine="realtime", telemetry=False, credentials={"OPENAI_API_KEY": "x"})
most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (0, most[1]))
phone = Patter(carrier="none", engine="realtime", credentials={"OPENAI_API_KEY": "x"})
phone.telemetry.flush(1)
resource.setrlimit(resource.RLIMIT_NOFILE, most)
assert phone.telemetry.enabled
assert phone.telemetry.flush(20)
print(json.dumps(phone.telemetry.stats()["lost"]))
"""


@pytest.mark.parametrize("is_new", [False, True])
def test_a_client_made_without_a_descriptor_keeps_the_install(
    run: Run, receiver: Receiver, is_new: bool
) -> None:
    if not is_new:
        assert run(STARTS).returncode == 0
    done = run(MEANWHILE)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {}
    assert done.stderr == (notice.TEXT if is_new else "")
    assert run(STARTS).stderr == ""
    events = receiver.events
    assert len({event["install_id"] for event in events}) == 1
    assert [event["event"] for event in events].count("sdk_initialized") == 3 - is_new
    assert [event["event"] for event in events].count("first_run") <= 1


# Nothing is loaded before: not even what is loaded late can be opened.
FROM_THE_START = """
import os, resource
from getpatter import Patter
most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (0, most[1]))
phones = [Patter(carrier="none", telemetry=flag) for flag in (None, False)]
for phone in phones:
    with phone.call(direction="inbound") as call:
        call.answer()
        with call.stage("llm") as stage:
            stage.first()
    phone.telemetry.flush(0.1)
    phone.telemetry.stats()
resource.setrlimit(resource.RLIMIT_NOFILE, most)
"""


@pytest.mark.parametrize(
    "loads", ["", "import getpatter.telemetry.delivery.worker", "import getpatter.telemetry.places"]
)
def test_a_program_without_a_descriptor_starts_and_calls(
    run: Run, receiver: Receiver, loads: str
) -> None:
    assert run(STARTS).returncode == 0
    done = run(f"{loads}\n{FROM_THE_START}")
    assert (done.returncode, done.stderr) == (0, "")
    assert len({event["install_id"] for event in receiver.events}) == 1
