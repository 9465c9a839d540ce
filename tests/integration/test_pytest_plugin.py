"""The pytest plugin, in pytest runs of its own: off in tests, captured in a test that asks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from conftest import tree

if TYPE_CHECKING:
    from pathlib import Path

Tests = Callable[..., "subprocess.CompletedProcess[str]"]

PYTEST = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
# Another plugin of this environment, which loads `requests` for everybody.
PYTEST += ["-p", "no:requests_mock"]
# Wherever a broken guard would send to, it would go through this proxy, which nobody runs.
NOWHERE = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}


@pytest.fixture
def run_tests(tmp_path: Path, home: Path) -> Tests:
    """Run pytest on `code` as a user would; further files by name, variables by keyword."""
    directory = tmp_path / "project"
    directory.mkdir()

    def run(
        code: str, *arguments: str, files: dict[str, str] | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        for name, text in {"test_it.py": code, **(files or {})}.items():
            (directory / name).write_text(text)
        return subprocess.run(
            [*PYTEST, *arguments],
            check=False,
            env={"HOME": str(home), "PATH": os.environ["PATH"], **NOWHERE, **variables},
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def assert_passed(result: subprocess.CompletedProcess[str], count: int = 1) -> None:
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{count} passed" in result.stdout


# telemetry is off


def test_a_run_that_does_not_use_it_loads_nothing(run_tests: Tests) -> None:
    code = """
import sys

def test_nothing_is_loaded():
    ours = {name for name in sys.modules if name.split(".")[0] == "getpatter"}
    assert ours == {"getpatter", "getpatter.telemetry", PLUGIN}
    assert not {"requests", "jsonschema", "dotenv"} & set(sys.modules)

PLUGIN = "getpatter.telemetry.pytest_plugin"
"""
    assert_passed(run_tests(code))
    used = "def test_used(getpatter_telemetry): pass\n"
    assert run_tests(used + code).returncode == 1, "the test notices what is loaded"


OFF = """
import os
from getpatter import Patter

for name in [name for name in os.environ if name.startswith("PYTEST_")]:
    del os.environ[name]  # as in a pytest that does not set them yet

def is_on():
    return Patter(carrier="none").telemetry.enabled

AT_IMPORT = is_on()
"""


def test_telemetry_is_off_from_the_first_conftest_on(run_tests: Tests, home: Path) -> None:
    code = """
import conftest
IN_COLLECTION = conftest.is_on()

def test_it():
    assert not conftest.AT_IMPORT
    assert not IN_COLLECTION
    assert not conftest.is_on()
"""
    before = tree(home)
    assert_passed(run_tests(code, files={"conftest.py": OFF}))
    assert tree(home) == before


CHILD = """
import os, subprocess, sys

def test_it():
    environ = {name: os.environ[name] for name in os.environ if not name.startswith("PYTEST_")}
    code = "from getpatter.telemetry import is_enabled; print(is_enabled())"
    said = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True)
    assert said.stdout == "False\\n"
"""


def test_telemetry_is_off_in_child_processes_that_lose_the_signs_of_pytest(
    run_tests: Tests,
) -> None:
    assert_passed(run_tests(CHILD))
    assert run_tests(CHILD, "-p", "no:getpatter").returncode == 1, "the plugin is what does it"


def test_a_child_process_that_loses_the_opt_out_too_has_no_endpoint(run_tests: Tests) -> None:
    code = """
import os, subprocess, sys

def test_it():
    lost = {"PATTER_TELEMETRY"} | {name for name in os.environ if name.startswith("PYTEST_")}
    environ = {name: os.environ[name] for name in os.environ if name not in lost}
    code = (
        "from getpatter.telemetry import TelemetryClient;"
        "client = TelemetryClient(sdk_version='1');"
        "client.record('first_run'); client.flush(5); print(client.enabled, client.stats()['lost'])"
    )
    said = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True)
    assert said.stdout == "True {'first_run': {'endpoint_invalid': 1}}\\n"
"""
    assert_passed(run_tests(code))


@pytest.mark.parametrize("value", ["1", "yes", ""])
def test_no_variable_of_the_developer_turns_it_on(run_tests: Tests, value: str) -> None:
    assert_passed(run_tests(CHILD, PATTER_TELEMETRY=value))


def test_a_plugin_that_a_conftest_loads_does_the_same(run_tests: Tests) -> None:
    files = {"conftest.py": 'pytest_plugins = ["getpatter.telemetry.pytest_plugin"]\n'}
    assert_passed(run_tests(CHILD, files=files, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"))


def test_after_the_run_the_environment_is_as_before(run_tests: Tests) -> None:
    code = """
import os, pathlib, subprocess, sys

RUN = '''
import os, pytest
before = dict(os.environ)
assert pytest.main(["-q", "-p", "no:cacheprovider", "inner.py"]) == 0
assert dict(os.environ) == before
'''

def test_it():
    pathlib.Path("inner.py").write_text("def test_it(getpatter_telemetry): pass")
    environ = {name: os.environ[name] for name in ("HOME", "PATH")}
    subprocess.run([sys.executable, "-c", RUN], env=environ, check=True)
"""
    assert_passed(run_tests(code))


# the guard


GUARD = """
import os
from getpatter.telemetry import DEFAULT_ENDPOINT, TelemetryClient

def losses(client):
    assert client.enabled
    client.record("first_run")
    client.flush(2)
    return client.stats()["lost"]

def test_a_test_that_clears_its_environment(monkeypatch, tmp_path):
    for name in list(os.environ):
        if not name.endswith("_PROXY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PATTER_TELEMETRY_STATE_DIR", str(tmp_path))
    assert losses(TelemetryClient(sdk_version="1")) == {"first_run": {"endpoint_invalid": 1}}

def test_a_client_with_an_environment_of_its_own(tmp_path):
    environ = {"PATTER_TELEMETRY_STATE_DIR": str(tmp_path)}
    for endpoint in (None, DEFAULT_ENDPOINT, DEFAULT_ENDPOINT.replace("patter.com", "PATTER.COM.")):
        client = TelemetryClient(sdk_version="1", environ=environ, endpoint=endpoint)
        assert losses(client) == {"first_run": {"endpoint_invalid": 1}}
"""


def test_nothing_reaches_the_deployed_collector(run_tests: Tests) -> None:
    assert_passed(run_tests(GUARD), 2)
    without = run_tests(GUARD, "-p", "no:getpatter")
    assert "2 failed" in without.stdout, "the plugin is what does it"


# capturing


def test_a_call_is_captured(run_tests: Tests) -> None:
    code = """
import pytest
from getpatter import Patter

@pytest.fixture
def phone(getpatter_telemetry):
    yield Patter(carrier="none")

def test_it(phone, getpatter_telemetry, capfd):
    with phone.call(direction="inbound") as call:
        call.answer()
        call.hangup("remote")
    *_, completed = getpatter_telemetry.assert_events(
        "first_run", "sdk_initialized", "call_started", "call_completed"
    )
    assert completed["disconnect_reason"] == "hangup_remote"
    assert completed["ci"] is False
    assert getpatter_telemetry.events[-1] == completed
    assert capfd.readouterr() == ("", ""), "no notice in what the test reads"

def test_each_test_is_a_new_install(phone, getpatter_telemetry):
    getpatter_telemetry.assert_events("first_run", "sdk_initialized")
"""
    assert_passed(run_tests(code, CI="true", GITHUB_ACTIONS="true", DO_NOT_TRACK="1"), 2)


def test_it_can_fail(run_tests: Tests) -> None:
    code = """
from getpatter import Patter

def test_another(getpatter_telemetry):
    Patter(carrier="none")
    getpatter_telemetry.assert_events("first_run", "call_started", timeout=0.1)

def test_too_many(getpatter_telemetry):
    Patter(carrier="none")
    getpatter_telemetry.assert_events("first_run")

def test_too_few(getpatter_telemetry):
    getpatter_telemetry.wait_for(1, timeout=0.1)
"""
    result = run_tests(code)
    assert "3 failed" in result.stdout
    assert "expected ['first_run', 'call_started']" in result.stdout
    assert "captured ['first_run', 'sdk_initialized']" in result.stdout
    assert "1 events expected within 0.1 s, 0 arrived" in result.stdout


def test_what_a_child_process_sends_is_captured(run_tests: Tests) -> None:
    code = """
import subprocess, sys

PROGRAM = "from getpatter import Patter; Patter(carrier='none')"

def test_it(getpatter_telemetry):
    subprocess.run([sys.executable, "-c", PROGRAM], env=getpatter_telemetry.environment, check=True)
    getpatter_telemetry.wait_for(2)
    getpatter_telemetry.assert_events("first_run", "sdk_initialized")
"""
    assert_passed(run_tests(code, CI="true"))


def test_a_client_of_the_test_and_a_fresh_start(run_tests: Tests) -> None:
    code = """
def test_it(getpatter_telemetry):
    client = getpatter_telemetry.client(sdk_version="1.2.3")
    client.record("first_run")
    assert getpatter_telemetry.events[0]["sdk_version"] == "1.2.3"
    getpatter_telemetry.clear()
    getpatter_telemetry.assert_events()
    client.record("cli_command", cli_command="eval")
    assert getpatter_telemetry.wait_for(1)[0]["cli_command"] == "eval"
"""
    assert_passed(run_tests(code))


def test_an_opt_out_that_the_test_sets_counts_and_is_named(run_tests: Tests) -> None:
    code = """
import pytest
from getpatter import Patter

@pytest.mark.parametrize(("name", "value"), [("PATTER_TELEMETRY", "0"), ("DO_NOT_TRACK", "1")])
def test_it(getpatter_telemetry, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert not Patter(carrier="none").telemetry.enabled
    getpatter_telemetry.assert_events()
    with pytest.raises(AssertionError, match=f"off: {name} .set in the environment"):
        getpatter_telemetry.assert_events("first_run", timeout=0.1)
    with pytest.raises(AssertionError, match=f"off: {name} .set in the environment"):
        getpatter_telemetry.client()
"""
    assert_passed(run_tests(code, DO_NOT_TRACK="1"), 2)


def test_the_environment_is_back_for_the_next_test(run_tests: Tests) -> None:
    code = """
import os
BEFORE = {name: os.environ[name] for name in os.environ if name != "PYTEST_CURRENT_TEST"}

def test_captured(monkeypatch, getpatter_telemetry):
    monkeypatch.setenv("DO_NOT_TRACK", "no")
    getpatter_telemetry.client()

def test_after():
    from getpatter.telemetry import is_enabled
    assert {name: os.environ[name] for name in BEFORE} == BEFORE
    assert set(os.environ) == {*BEFORE, "PYTEST_CURRENT_TEST"}
    assert not is_enabled()
"""
    assert_passed(run_tests(code, DO_NOT_TRACK="1"), 2)


def test_a_test_of_unittest_is_captured(run_tests: Tests) -> None:
    code = """
import unittest
import pytest
from getpatter import Patter

class TestIt(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _telemetry(self, getpatter_telemetry):
        self.telemetry = getpatter_telemetry

    def test_it(self):
        Patter(carrier="none")
        self.telemetry.assert_events("first_run", "sdk_initialized")
"""
    assert_passed(run_tests(code))


def test_the_developers_own_opt_out_neither_counts_nor_changes(
    run_tests: Tests, home: Path
) -> None:
    (home / ".getpatter").mkdir()
    (home / ".getpatter" / "telemetry-disabled").touch()
    state = home / ".local" / "state" / "getpatter"
    state.mkdir(parents=True)
    (state / "install-id").write_text("a" * 32)
    before = tree(home)
    code = """
from getpatter import Patter
from getpatter.telemetry import install_id

def test_it(getpatter_telemetry):
    Patter(carrier="none")
    first, _ = getpatter_telemetry.assert_events("first_run", "sdk_initialized")
    assert first["install_id"] != "a" * 32
    install_id.set_opt_out(True)
    assert not Patter(carrier="none").telemetry.enabled
    install_id.set_opt_out(False)
    assert Patter(carrier="none").telemetry.enabled
"""
    assert_passed(run_tests(code))
    assert tree(home) == before


def test_a_developers_proxy_is_not_asked_for_the_receiver(run_tests: Tests) -> None:
    code = """
def test_it(getpatter_telemetry):
    getpatter_telemetry.client().record("first_run")
    getpatter_telemetry.assert_events("first_run")
    for name in ("no_proxy", "NO_PROXY"):
        assert OUTSIDE.get(name, "") in os.environ.get(name, "")

import os
OUTSIDE = dict(os.environ)
"""
    for variables in ({}, {"no_proxy": "other.example"}, {"NO_PROXY": "other.example"}):
        assert_passed(run_tests(code, **variables))


# validity


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (
            'record("call_completed", outcome="completed", bogus=1)',
            "call_completed: bad_dimension: an unknown field",
        ),
        (
            'record("call_completed", carier="twilio")',
            "call_completed: bad_dimension: an unknown field (did you mean carrier?)",
        ),
        (
            'record("call_completed", latency_ms=-1)',
            "call_completed: bad_dimension: latency_ms must be a whole number, 0 to 3600000",
        ),
        (
            'record("call_started", cost_usd=1, stt_provider="none")',
            (
                "call_started: bad_dimension: cost_usd does not belong to call_started\\n"
                "call_started: bad_dimension: stt_provider does not belong to call_started"
            ),
        ),
        ('record("no_such_event")', "unknown: unknown_event"),
    ],
)
def test_an_invalid_record_fails_the_test(run_tests: Tests, record: str, said: str) -> None:
    code = f"""
def test_it(getpatter_telemetry):
    getpatter_telemetry.client().{record}

def test_it_on_purpose(getpatter_telemetry):
    getpatter_telemetry.client().{record}
    assert "\\n".join(getpatter_telemetry.problems) == "{said}"
    getpatter_telemetry.clear()
    assert getpatter_telemetry.problems == []
"""
    result = run_tests(code)
    assert result.returncode == 1
    assert "2 passed, 1 error" in result.stdout
    assert f"telemetry recorded in this test:\n{said}\n".replace("\\n", "\n") in result.stdout


def test_an_event_that_the_receiver_refuses_fails_the_test(run_tests: Tests) -> None:
    """As an older or foreign client might send it; ours cannot."""
    code = """
import json, urllib.request

def test_it(getpatter_telemetry):
    request = urllib.request.Request(
        getpatter_telemetry.receiver.endpoint,
        json.dumps([{"event": "secret"}]).encode(),
        {"Content-Type": "application/json", "Idempotency-Key": "0" * 32},
    )
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).close()
"""
    result = run_tests(code)
    assert "1 passed, 1 error" in result.stdout
    assert "event 0 of a batch was refused: enum at /event\n" in result.stdout
    assert "secret" not in result.stdout


def test_the_fixture_is_listed_with_what_it_does(run_tests: Tests) -> None:
    result = run_tests("", "--fixtures")
    assert "getpatter_telemetry" in result.stdout
    assert "The telemetry of the clients made in this test, captured" in result.stdout
