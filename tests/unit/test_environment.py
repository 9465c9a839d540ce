"""Deploy shape: only whether a sign is present counts, never what it says."""

from pathlib import Path

import pytest

from getpatter.telemetry import environment
from getpatter.telemetry.events import ALLOWED_DIMENSIONS, DIMENSION_VALUES

AGENTS = {
    "CLAUDECODE": "claude",
    "CLAUDE_CODE": "claude",
    "CLAUDE_CODE_ENTRYPOINT": "claude",
    "CURSOR_TRACE_ID": "cursor",
    "CURSOR_AGENT": "cursor",
    "GITHUB_COPILOT_AGENT": "copilot",
    "COPILOT_AGENT_ID": "copilot",
    "GEMINI_CLI": "gemini",
    "GEMINI_AGENT": "gemini",
    "WINDSURF": "windsurf",
    "WINDSURF_AGENT": "windsurf",
    "AIDER": "other",
    "OPENAI_AGENT": "other",
}
SERVERLESS = {
    "AWS_LAMBDA_FUNCTION_NAME": "lambda",
    "K_SERVICE": "cloud_run",
    "VERCEL": "vercel",
    "AZURE_FUNCTIONS_ENVIRONMENT": "azure_functions",
    "FUNCTIONS_WORKER_RUNTIME": "azure_functions",
}
CLOUDS = {
    "AWS_EXECUTION_ENV": "aws",
    "AWS_LAMBDA_FUNCTION_NAME": "aws",
    "K_SERVICE": "gcp",
    "GOOGLE_CLOUD_PROJECT": "gcp",
    "GCP_PROJECT": "gcp",
    "WEBSITE_INSTANCE_ID": "azure",
    "AZURE_FUNCTIONS_ENVIRONMENT": "azure",
    "FLY_APP_NAME": "fly",
}
PACKAGE_MANAGERS = {
    "POETRY_ACTIVE": "poetry",
    "PIPENV_ACTIVE": "pipenv",
    "UV": "uv",
    "CONDA_DEFAULT_ENV": "conda",
}
# Presence only: neither "no" nor nothing makes a sign go away.
VALUES = ["1", "", "0", "secret-name"]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(("name", "answer"), AGENTS.items())
def test_agents(name: str, answer: str, value: str) -> None:
    assert environment.invoked_by_agent({name: value}) == answer


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(("name", "answer"), SERVERLESS.items())
def test_serverless(name: str, answer: str, value: str) -> None:
    assert environment.serverless({name: value}) == answer


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(("name", "answer"), CLOUDS.items())
def test_clouds(name: str, answer: str, value: str) -> None:
    assert environment.cloud({name: value}) == answer


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(("name", "answer"), PACKAGE_MANAGERS.items())
def test_package_managers(name: str, answer: str, value: str) -> None:
    assert environment.package_manager({name: value}) == answer


def test_no_sign_says_so() -> None:
    assert environment.invoked_by_agent({}) == "none"
    assert environment.serverless({}) == "none"
    assert environment.cloud({}) == "none"
    assert environment.package_manager({}) == "pip"


def test_a_mere_region_is_no_cloud() -> None:
    """A laptop with the AWS tools has it too."""
    assert environment.cloud({"AWS_REGION": "eu-west-1", "AWS_PROFILE": "x"}) == "none"


def test_lambda_is_serverless_and_a_cloud() -> None:
    environ = {"AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13"}
    assert environment.serverless(environ) == "lambda"
    assert environment.cloud(environ) == "aws"


def test_kubernetes_is_a_container(tmp_path: Path) -> None:
    environ = {"KUBERNETES_SERVICE_HOST": ""}
    assert environment.in_container(environ, root=str(tmp_path)) is True


@pytest.mark.parametrize("name", [".dockerenv", "run/.containerenv"])
def test_container_files(tmp_path: Path, name: str) -> None:
    assert environment.in_container({}, root=str(tmp_path)) is False
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    assert environment.in_container({}, root=str(tmp_path)) is True


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (b"0::/init.scope\n", False),
        (b"0::/\n", False),
        (b"", False),
        (b"\xff\x00", False),
        (b"12:cpu:/docker/0123\n", True),
        (b"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-1.scope\n", True),
        (b"1:name=systemd:/machine.slice/libpod-1.scope\n", True),
        (b"1:cpu:/lxc/box\n", True),
    ],
)
def test_container_runtime_in_the_groups_of_the_first_process(
    tmp_path: Path, groups: bytes, expected: bool
) -> None:
    (tmp_path / "proc" / "1").mkdir(parents=True)
    (tmp_path / "proc" / "1" / "cgroup").write_bytes(groups)
    assert environment.in_container({}, root=str(tmp_path)) is expected


def test_deploy_shape_says_dimensions_of_the_events_and_no_value() -> None:
    canary = "canary-+4915112345678"
    everything = dict.fromkeys([*AGENTS, *SERVERLESS, *CLOUDS, *PACKAGE_MANAGERS], canary)
    for environ in ({}, everything):
        shape = environment.deploy_shape(environ)
        assert set(shape) <= ALLOWED_DIMENSIONS["sdk_initialized"]
        assert set(shape) <= ALLOWED_DIMENSIONS["first_run"]
        for name, value in shape.items():
            assert isinstance(value, bool) or value in DIMENSION_VALUES[name]
        assert canary not in repr(shape)


def test_functions_read_the_process_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*AGENTS, *SERVERLESS, *CLOUDS, *PACKAGE_MANAGERS):
        monkeypatch.delenv(name, raising=False)
    assert environment.invoked_by_agent() == "none"
    monkeypatch.setenv("CLAUDECODE", "1")
    monkeypatch.setenv("K_SERVICE", "x")
    monkeypatch.setenv("UV", "/bin/uv")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "x")
    assert environment.deploy_shape() == {
        "invoked_by_agent": "claude",
        "container": True,
        "serverless": "cloud_run",
        "cloud": "gcp",
        "package_manager": "uv",
    }
