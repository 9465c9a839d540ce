"""Deploy shape: what kind of place this process runs in, from the presence of well-known signs.

Only whether a variable or a file is there counts, never a value. Changes nothing.
"""

import os

from getpatter.telemetry import env

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "cloud",
    "deploy_shape",
    "in_container",
    "invoked_by_agent",
    "package_manager",
    "serverless",
]

_Probes = tuple[tuple[str, tuple[str, ...]], ...]

# Each table: the answer, and the variables whose presence gives it. The first that fits wins.
_AGENTS: _Probes = (
    ("claude", ("CLAUDECODE", "CLAUDE_CODE", "CLAUDE_CODE_ENTRYPOINT")),
    ("cursor", ("CURSOR_TRACE_ID", "CURSOR_AGENT")),
    ("copilot", ("GITHUB_COPILOT_AGENT", "COPILOT_AGENT_ID")),
    ("gemini", ("GEMINI_CLI", "GEMINI_AGENT")),
    ("windsurf", ("WINDSURF", "WINDSURF_AGENT")),
    ("other", ("AIDER", "OPENAI_AGENT")),
)
_SERVERLESS: _Probes = (
    ("lambda", ("AWS_LAMBDA_FUNCTION_NAME",)),
    ("cloud_run", ("K_SERVICE",)),
    ("vercel", ("VERCEL",)),
    ("azure_functions", ("AZURE_FUNCTIONS_ENVIRONMENT", "FUNCTIONS_WORKER_RUNTIME")),
)
# No AWS_REGION here: a laptop with the AWS tools has it too.
_CLOUDS: _Probes = (
    ("aws", ("AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME")),
    ("gcp", ("K_SERVICE", "GOOGLE_CLOUD_PROJECT", "GCP_PROJECT")),
    ("azure", ("WEBSITE_INSTANCE_ID", "AZURE_FUNCTIONS_ENVIRONMENT")),
    ("fly", ("FLY_APP_NAME",)),
)
_PACKAGE_MANAGERS: _Probes = (
    ("poetry", ("POETRY_ACTIVE",)),
    ("pipenv", ("PIPENV_ACTIVE",)),
    ("uv", ("UV",)),
    ("conda", ("CONDA_DEFAULT_ENV",)),
)
_CONTAINER_FILES = (".dockerenv", "run/.containerenv")
_CGROUP_FILE = "proc/1/cgroup"
_CONTAINER_RUNTIMES = (b"docker", b"containerd", b"kubepods", b"libpod", b"podman", b"crio", b"lxc")


def _first(probes: _Probes, environ: "Mapping[str, str]", otherwise: str) -> str:
    return next(
        (answer for answer, names in probes if any(name in environ for name in names)), otherwise
    )


def invoked_by_agent(environ: "Mapping[str, str] | None" = None) -> str:
    """Return which coding agent runs this process, or `none`."""
    return _first(_AGENTS, env.process_environment() if environ is None else environ, "none")


def serverless(environ: "Mapping[str, str] | None" = None) -> str:
    """Return which serverless platform this is, or `none`."""
    return _first(_SERVERLESS, env.process_environment() if environ is None else environ, "none")


def cloud(environ: "Mapping[str, str] | None" = None) -> str:
    """Return which cloud this is, or `none`."""
    return _first(_CLOUDS, env.process_environment() if environ is None else environ, "none")


def package_manager(environ: "Mapping[str, str] | None" = None) -> str:
    """Return which package manager runs this process; `pip` where none says so."""
    chosen = env.process_environment() if environ is None else environ
    return _first(_PACKAGE_MANAGERS, chosen, "pip")


def in_container(environ: "Mapping[str, str] | None" = None, *, root: str = "/") -> bool:
    """Return whether this process runs in a container, as far as its usual signs show.

    `root` is where the file system begins, for tests.
    """
    chosen = env.process_environment() if environ is None else environ
    if "KUBERNETES_SERVICE_HOST" in chosen:
        return True
    if any(os.path.exists(os.path.join(root, path)) for path in _CONTAINER_FILES):
        return True
    try:
        with open(os.path.join(root, _CGROUP_FILE), "rb") as file:
            groups = file.read(4_096)
    except OSError:
        return False
    return any(runtime in groups for runtime in _CONTAINER_RUNTIMES)


def deploy_shape(environ: "Mapping[str, str] | None" = None) -> "dict[str, str | bool]":
    """Return all five answers as the dimensions of `sdk_initialized`."""
    return {
        "invoked_by_agent": invoked_by_agent(environ),
        "container": in_container(environ),
        "serverless": serverless(environ),
        "cloud": cloud(environ),
        "package_manager": package_manager(environ),
    }
