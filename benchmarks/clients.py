"""The clients that are compared, and the environment of their own that each has.

An environment is made once below `.venvs/` and again when its requirements, this Python or, for
ours, the code changes. What cannot be installed is a client too: one that says why.
"""

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CLIENTS", "NONE", "OURS", "STATSD", "Client", "Environment", "prepare"]

_HERE = Path(__file__).parent
_REPOSITORY = _HERE.parent
_CACHE = _HERE / ".venvs" / f"{sys.version_info.major}.{sys.version_info.minor}"
_PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")

NONE, OURS, STATSD = "nothing", "getpatter", "statsd"


@dataclass(frozen=True, slots=True)
class Client:
    """One client: its name in the tables, its adapter, what to install, and what it can do.

    The first requirement is the package whose version is told. `has_events` is false for what
    sends counters, of which nobody knows which event they were.
    """

    name: str
    adapter: str
    requirements: tuple[str, ...]
    has_events: bool = True


#: In the order of the tables. The upper bound is the next major version: adapters may break there.
CLIENTS = (
    Client(NONE, "none", (), has_events=False),
    Client(OURS, "ours", ()),
    Client("posthog", "posthog_client", ("posthog>=7,<8",)),
    Client("segment", "segment_client", ("segment-analytics-python>=2.3,<3",)),
    Client("sentry", "sentry_client", ("sentry-sdk>=2.35,<3",)),
    Client(
        "opentelemetry",
        "otel_client",
        ("opentelemetry-sdk>=1.36,<2", "opentelemetry-exporter-otlp-proto-http>=1.36,<2"),
    ),
    Client("mixpanel", "mixpanel_client", ("mixpanel>=5,<6",)),
    Client("amplitude", "amplitude_client", ("amplitude-analytics>=1.1,<2",)),
    Client("rudder", "rudder_client", ("rudder-sdk-python>=2.1,<3",)),
    Client("snowplow", "snowplow_client", ("snowplow-tracker>=1.1,<2",)),
    Client("glean", "glean_client", ("glean-sdk>=60",)),
    Client(STATSD, "statsd_client", ("statsd>=4,<5",), has_events=False),
)


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a client runs, and its version; or why it cannot run here."""

    client: Client
    python: str
    version: str
    problem: str = ""


def _stamp(client: Client) -> str:
    """Return what an environment must have been made of to be used as it is."""
    parts = [sys.version, sys.base_prefix, *client.requirements]
    if client.name == OURS:
        files = [_REPOSITORY / "pyproject.toml", *(_REPOSITORY / "getpatter").rglob("*.py")]
        parts += [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(files)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _version(python: str, package: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run(
        [python, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


def _make(client: Client, folder: Path) -> None:
    """Make the environment. Raises CalledProcessError with what pip said."""
    python = str(folder / "bin" / "python")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    # Ours as everybody has it: installed, not editable, which would cost an import hook.
    wanted = [str(_REPOSITORY)] if client.name == OURS else list(client.requirements)
    if wanted:
        subprocess.run(
            [python, *_PIP, "install", "--prefer-binary", "--progress-bar", "off", *wanted],
            check=True,
            capture_output=True,
            text=True,
        )


def prepare(client: Client) -> Environment:
    """Return the client's environment, made if need be."""
    folder = _CACHE / client.adapter
    python = str(folder / "bin" / "python")
    stamp_file = _CACHE / f"{client.adapter}.json"
    stamp = _stamp(client)
    try:
        if not stamp_file.is_file() or json.loads(stamp_file.read_text())["stamp"] != stamp:
            print(f"==> an environment for {client.name} (once)", flush=True)
            _make(client, folder)
            stamp_file.write_text(json.dumps({"stamp": stamp}))
        if client.name == NONE:
            return Environment(client, python, "")
        package = "getpatter" if client.name == OURS else client.requirements[0].partition(">")[0]
        return Environment(client, python, _version(python, package))
    except subprocess.CalledProcessError as error:
        said = str(error.stderr or error).strip().splitlines()
        errors = [line for line in said if line.startswith("ERROR")] or said
        return Environment(client, python, "", errors[-1] if errors else "unknown")
