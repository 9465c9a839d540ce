"""The frameworks that getpatter integrates with, as `getpatter integrations` lists them."""

from importlib import metadata
from pathlib import Path

import pytest

from getpatter.cli import main
from getpatter.integrations.frameworks import FRAMEWORKS, LIVEKIT, Framework
from getpatter.telemetry.events import ALLOWED_DIMENSIONS

ROOT = Path(__file__).parents[2]


def installed(patch: pytest.MonkeyPatch, version: str | None) -> None:
    def find(name: str) -> str:
        assert name in {each.package for each in FRAMEWORKS}
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    patch.setattr(metadata, "version", find)


@pytest.mark.parametrize("version", ["1.3.1", "1.8.9", "1.8.99", "1.4.0rc1"])
def test_a_version_that_the_tests_run_on(version: str) -> None:
    assert LIVEKIT.is_tested(version)


@pytest.mark.parametrize("version", ["1.2.18", "1.9.0", "2.0", "0.12.21", "", "dev", "1.²"])
def test_a_version_that_the_tests_do_not_run_on(version: str) -> None:
    assert not LIVEKIT.is_tested(version)


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("1.8.9", "LiveKit Agents 1.8.9: tested\n"),
        ("1.9.0", "LiveKit Agents 1.9.0: not tested (1.3 to 1.8 are)\n"),
        (None, "LiveKit Agents 1.3 or newer is not installed: pip install 'getpatter[livekit]'\n"),
    ],
)
def test_the_command_says_which_version_is_installed(
    version: str | None,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    installed(monkeypatch, version)
    assert main(["integrations"]) == 0
    output = capsys.readouterr().out
    assert said in output
    assert ("  missing: cost_usd: " in output) == (version is not None)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_is_missing_are_fields(framework: Framework) -> None:
    for fields, _ in framework.missing:
        assert set(fields.split(", ")) <= set(ALLOWED_DIMENSIONS["call_completed"])


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_document_has_what_is_missing(framework: Framework) -> None:
    page = (ROOT / "docs" / "integrations.mdx").read_text("utf-8")
    for fields, why in framework.missing:
        named = ", ".join(f"`{field}`" for field in fields.split(", "))
        assert f"| {framework.title} | {named} | {why} |" in page


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_lock_files_are_of_the_tested_versions(framework: Framework) -> None:
    folder = ROOT / "tests" / "integrations" / "locks"
    for age, version in zip(("oldest", "newest"), framework.tested, strict=True):
        lines = (folder / f"{framework.extra}-{age}.txt").read_text("utf-8").splitlines()
        [line] = [each for each in lines if each.startswith(f"{framework.package}==")]
        major, minor, *_ = line.partition("==")[2].split(".")
        assert (int(major), int(minor)) == version
