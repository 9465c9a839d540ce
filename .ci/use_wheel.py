"""Uses the installed package as a user would, far from this checkout: `make wheel`.

Run by the Python of the environment that the wheel was installed into. Fails with the command that
did not do what it must.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

BIN = Path(sys.executable).parent
TEST = """
from getpatter import Patter

def test_a_start_is_captured(getpatter_telemetry):
    Patter(carrier="none")
    getpatter_telemetry.assert_events("first_run", "sdk_initialized")
"""


def run(*command: object, given: str = "") -> str:
    """Run a command in an empty directory and environment; return what it printed."""
    with tempfile.TemporaryDirectory() as empty:
        (Path(empty) / "test_installed.py").write_text(TEST, encoding="utf-8")
        done = subprocess.run(
            list(map(str, command)),
            check=False,
            # Off, since this is no user's program: none of these must reach a real collector.
            env={"HOME": empty, "PATH": os.defpath, "DO_NOT_TRACK": "1"},
            cwd=empty,
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
        )
    print(f"    {' '.join(map(str, command[1:]))}: {done.returncode}")
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout


def main() -> None:
    """Use the command, the schemas that come with it, the pytest plugin and the demo's engines."""
    command = BIN / "getpatter"
    where = run(sys.executable, "-c", "import getpatter; print(getpatter.__file__)")
    if "site-packages" not in where:
        sys.exit(f"this is not the installed package: {where}")
    run(command, "telemetry", "check", "-", given=run(command, "telemetry", "preview"))
    run(command, "telemetry", "schema", "call_completed")
    run(sys.executable, "-W", "error", "-m", "pytest", "-q", "test_installed.py")
    run(sys.executable, "-m", "getpatter.demo.programs", "busy_number")
    run(sys.executable, "-c", "import getpatter.demo.voice")


if __name__ == "__main__":
    main()
