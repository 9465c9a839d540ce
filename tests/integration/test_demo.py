"""`getpatter demo` as a user runs it, and the output of it that the README shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"

# What is another in each run: a run id, a figure.
CHANGING = re.compile(r"(?:(?<=run )[0-9a-f]{6}|\d+(?:\.\d+)?)")
LEFT_OUT = "…"


def shown_in_the_readme() -> list[str]:
    """The lines between the marks, but those that are empty or only say that some are left out."""
    text = README.read_text(encoding="utf-8")
    (block,) = re.findall(
        r"<!-- demo output -->\n```text\n(.*?)```\n<!-- end demo output -->", text, re.DOTALL
    )
    return [line for line in block.splitlines() if line.strip() not in {"", LEFT_OUT}]


def is_shape_of(shown: str, printed: str) -> bool:
    """Whether the printed line is the shown one, but for what changes and what is left out."""

    def literal(text: str) -> str:
        return CHANGING.pattern.join(map(re.escape, CHANGING.split(text)))

    # Columns are aligned, so a figure of another length moves the spaces.
    shown, printed = " ".join(shown.split()), " ".join(printed.split())
    pattern = ".*".join(map(literal, shown.split(LEFT_OUT)))
    return re.fullmatch(pattern, printed) is not None


def not_printed(shown: list[str], printed: list[str]) -> list[str]:
    """The shown lines that were not printed, in this order."""
    missing, rest = [], iter(printed)
    for line in shown:
        kept = list(rest)
        at = next((i for i, text in enumerate(kept) if is_shape_of(line, text)), None)
        if at is None:
            missing.append(line)
        rest = iter(kept if at is None else kept[at + 1 :])
    return missing


def test_the_demo_does_what_the_readme_shows(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "getpatter", "demo", "--report", "report.html"],
        check=False,
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert not_printed(shown_in_the_readme(), done.stdout.splitlines()) == []
    report = tmp_path / "report.html"
    assert "most often by missing carrier credentials." in report.read_text("utf-8")
    assert list(tmp_path.iterdir()) == [report], "it cleans up, and touches nothing else"


@pytest.mark.parametrize("package", ["espeakng_loader", "pocketsphinx", "webrtcvad"])
def test_the_demo_without_its_speech_engines_is_one_line(tmp_path: Path, package: str) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from getpatter.cli import main; sys.exit(main(['demo']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install 'getpatter[demo]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_readme_shows_each_part_of_the_demo() -> None:
    shown = "\n".join(shown_in_the_readme())
    for part in (
        "ConfigurationError",
        "caller said: ",
        "RecogniserError",
        "0 requests arrived",
        "collector ask funnel",
        "a call began",
        "collector ask affected",
        "provider_error",
    ):
        assert part in shown


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("  9    of these completed", "     10    of these completed"),
        ("run 0a1b2c  ended  … outcome=busy, …", "run ffffff  ended     a=1, outcome=busy, b=2"),
        ("eou 300.0 ms, …", "eou 301 ms, stt 1.5 ms"),
    ],
)
def test_what_changes_and_what_is_left_out_may_differ(shown: str, printed: str) -> None:
    assert is_shape_of(shown, printed)


def test_another_shape_and_another_order_are_noticed() -> None:
    assert not is_shape_of("3 calls that ended", "3 calls that were ended")
    assert not is_shape_of("outcome=busy, …", "a=1, outcome=busy, b=2")
    assert not_printed(["1 first", "2 second"], ["7 second", "7 first"]) == ["2 second"]
    assert not_printed(["1 first", "2 second"], ["7 first", "…", "7 second"]) == []
