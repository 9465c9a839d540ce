"""What the host object says once it stands."""

import json
from pathlib import Path

import pytest
from conftest import Run, tree

CODE = """
import json, os, sys
from getpatter.telemetry import env
from getpatter.telemetry.startup import record_startup

class Client:
    enabled = ENABLED
    def __init__(self): self.recorded = []
    def record(self, name, /, **dimensions):
        self.recorded.append([name, {k: v for k, v in dimensions.items() if v is not None}])

client = Client()
environ = env.process_environment()
record_startup(client, environ, sdk_version=VERSION, carrier="twilio", tunnel="none")
print(json.dumps(client.recorded))
"""


def start(
    run: Run, version: str = "0.8.0", *, enabled: bool = True, **variables: str
) -> list[tuple[str, dict[str, object]]]:
    code = CODE.replace("ENABLED", str(enabled)).replace("VERSION", repr(version))
    result = run(code, **variables)
    assert result.stderr == ""
    return [(name, dimensions) for name, dimensions in json.loads(result.stdout)]


def test_first_run_comes_before_sdk_initialized_until_a_start_could_send_it(run: Run) -> None:
    first = start(run)
    assert [name for name, _ in first] == ["first_run", "sdk_initialized"]
    assert first[0][1] == first[1][1]
    assert first[0][1]["carrier"] == "twilio"
    assert first[0][1]["tunnel"] == "none"
    assert first[0][1]["days_since_install_bucket"] == "0"
    assert "previous_sdk_version" not in first[0][1]
    assert [name for name, _ in start(run)] == ["first_run", "sdk_initialized"]
    claimed = run("from getpatter.telemetry import install_id as i; print(i.is_first_run())")
    assert claimed.stdout == "True\n"
    assert [name for name, _ in start(run)] == ["sdk_initialized"]


def test_upgrade_names_the_version_before(run: Run) -> None:
    start(run, "0.8.0")
    assert "previous_sdk_version" not in start(run, "0.8.0")[-1][1]
    assert start(run, "0.9.0")[-1][1]["previous_sdk_version"] == "0.8.0"
    assert "previous_sdk_version" not in start(run, "0.9.0")[-1][1]


def test_earlier_install_is_no_first_run(run: Run, home: Path) -> None:
    place = home / ".getpatter"
    place.mkdir()
    for name, content in (("install-id", "a" * 32), ("first-run", ""), ("version", "0.7.1")):
        (place / name).write_text(content)
    ((name, dimensions),) = start(run)
    assert name == "sdk_initialized"
    assert dimensions["previous_sdk_version"] == "0.7.1"


def test_debug_says_first_run_and_keeps_it(run: Run, home: Path) -> None:
    before = tree(home)
    for _ in range(2):
        assert [name for name, _ in start(run, PATTER_TELEMETRY_DEBUG="1")] == [
            "first_run",
            "sdk_initialized",
        ]
    assert tree(home) == before
    assert [name for name, _ in start(run)] == ["first_run", "sdk_initialized"]


def test_client_that_is_off_records_and_writes_nothing(run: Run, home: Path) -> None:
    before = tree(home)
    assert start(run, enabled=False) == []
    assert tree(home) == before


@pytest.mark.parametrize("kind", ["file", "link"])
def test_state_that_cannot_be_stored_still_starts(run: Run, tmp_path: Path, kind: str) -> None:
    """Without a first run: who cannot know must not say so."""
    path = tmp_path / "named"
    if kind == "file":
        path.touch()
    else:
        path.symlink_to(tmp_path / "work")
    found = start(run, PATTER_TELEMETRY_STATE_DIR=str(path))
    assert [name for name, _ in found] == ["sdk_initialized"]
    assert "days_since_install_bucket" not in found[0][1]
