"""What arrives of calls in LiveKit's job processes, however they end."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from livekit_bot import CANARY
from livekit_job import ENDS

HERE = Path(__file__).parent
_SECONDS = 60.0


@contextmanager
def serving(capture: Any, directory: Path, *program: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the server of a program with its jobs."""
    places = (str(HERE), str(HERE.parents[1] / "examples"))
    environment = {
        **capture.environment,
        "PYTHONPATH": os.pathsep.join(places),
        "LIVEKIT_URL": "ws://127.0.0.1:9",
        "LIVEKIT_API_KEY": CANARY,
        "LIVEKIT_API_SECRET": CANARY * 3,
    }
    with (directory / "output").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "livekit_job.py"), *program],
            env=environment,
            cwd=directory,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def wait_for(capture: Any, kind: str, count: int) -> list[dict[str, Any]]:
    """Return the events of a kind once there are so many."""
    expected = 1
    while len(found := [each for each in capture.events if each["event"] == kind]) < count:
        expected = len(capture.wait_for(expected, _SECONDS)) + 1
    return found


def test_a_job_delivers_its_call_however_it_ends(getpatter_telemetry: Any, tmp_path: Path) -> None:
    with serving(getpatter_telemetry, tmp_path) as server:
        wait_for(getpatter_telemetry, "call_started", len(ENDS))
        server.send_signal(signal.SIGTERM)
        server.wait(_SECONDS)
    ends = wait_for(getpatter_telemetry, "call_completed", len(ENDS))
    known = {each["carrier"]: each for each in ends}
    assert len(ends) == len(ENDS)
    for how, carrier in ENDS.items():
        end = known[carrier]
        said = (end["outcome"], end["error_layer"], end["disconnect_reason"])
        crashed = ("error", "internal", "error")
        assert said == (crashed if how == "crash" else ("completed", "none", "hangup_local"))
    assert CANARY not in repr(getpatter_telemetry.receiver.events)


def test_the_example_reports_its_call(getpatter_telemetry: Any, tmp_path: Path) -> None:
    with serving(getpatter_telemetry, tmp_path, "livekit_agent") as server:
        wait_for(getpatter_telemetry, "call_started", 1)
        server.send_signal(signal.SIGTERM)
        server.wait(_SECONDS)
    [end] = wait_for(getpatter_telemetry, "call_completed", 1)
    assert (end["outcome"], end["disconnect_reason"]) == ("completed", "hangup_local")
    assert "call.ended" in (tmp_path / "calls.jsonl").read_text("utf-8")
