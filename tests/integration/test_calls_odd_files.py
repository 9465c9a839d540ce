"""A diagnostics file with odd lines, and outputs of every kind: all is shown, nothing acts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from getpatter.cli import main

if TYPE_CHECKING:
    from pathlib import Path

LONG = 60.0
HUGE = int("9" * 400)
NOW = 1_795_000_000_000_000
# What would act on a terminal: colours, its title, a clear; C1; what turns text around.
ACTS = "\x1b[31m\x1b]0;owned\x07\x9b2J\u202e\r\x00\x7f\u2028"
BASE: dict[str, Any] = {
    "type_id": "getpatter.diagnostics/event@1",
    "type": "call.turn",
    "session": "the-call",
    "node": "call",
    "timestamp_us": NOW,
    "sequence": 5,
    "data": {"turn": 1},
}
ODD: dict[str, dict[str, Any]] = {
    "a duration of 400 digits": {"data": {"elapsed_ms": HUGE, "latency_ms": -HUGE}},
    "a duration that is no time": {"type": "x.end", "data": {"latency_ms": 1e300}},
    "infinity": {"data": {"elapsed_ms": float("inf"), "first_ms": float("-inf")}},
    "not a number": {"type": "x.end", "data": {"latency_ms": float("nan"), "turn": float("nan")}},
    "more digits than Python reads": {"data": {"turn": "@5000"}},
    "an exponent": {"data": {"turn": "@1e999"}},
    "the year 1": {"timestamp_us": -62_135_596_800_000_000},
    "the year 9999": {"timestamp_us": 253_402_300_799_000_000},
    "the end of 9998": {"timestamp_us": 253_339_228_799_999_999},
    "a time of 400 digits": {"timestamp_us": HUGE},
    "a time that is infinite": {"timestamp_us": float("inf")},
    "a time that is text": {"timestamp_us": "soon"},
    "a place of 400 digits": {"sequence": HUGE},
    "ids that are objects": {"session": {"a": 1}, "turn_id": {"b": [2]}, "correlation_id": [3]},
    "a stage whose id is an object": {
        "type": "stage.initiated",
        "data": {"stage": ["llm"], "stage_id": {"x": 1}, "role": {"y": 2}},
    },
    "a stage that ends": {
        "type": "stage.completed",
        "data": {"stage": None, "stage_id": [], "elapsed_ms": "long", "outcome": {"z": 3}},
    },
    "types that are none": {"type": 5, "node": None},
    "data that is deep": {"data": {"turn": "@" + "[" * 400 + "]" * 400}},
    "data that is deeper": {"data": {"turn": "@" + "[" * 200_000 + "]" * 200_000}},
    "texts that act": {"session": f"the-call{ACTS}", "node": ACTS, "data": {ACTS: ACTS}},
    "half a character": {"session": "the-call\ud800", "data": {"turn": "\udfff"}},
    "a participant that is an object": {
        "type": "participant_joined",
        "data": {"participant": {"p": 1}, "streams": [{}, {}]},
    },
}


def line_of(change: dict[str, Any]) -> str:
    text = json.dumps({**BASE, **change}, ensure_ascii=False)
    data = change.get("data", {})
    raw = data.get("turn")
    if isinstance(raw, str) and raw.startswith("@"):
        text = text.replace(json.dumps(raw), "9" * int(raw[1:]) if raw == "@5000" else raw[1:])
    return text


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


def write(path: Path, *changes: dict[str, Any]) -> Path:
    plain = [line_of({"type": kind, "data": {}}) for kind in ("call.started", "call.ended")]
    lines = [plain[0], *map(line_of, changes), plain[1]]
    path.write_text("\n".join(lines) + "\n", "utf-8", errors="surrogatepass")
    return path


def run(capsys: Any, *arguments: object) -> tuple[int, str, str]:
    code = main(["calls", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def acts(text: str) -> list[str]:
    return [c for c in text if c != "\n" and not c.isprintable()]


@pytest.mark.parametrize("name", ODD)
def test_an_odd_line_ends_neither_tail_nor_show(directory: Path, capsys: Any, name: str) -> None:
    path = write(directory / "calls.jsonl", ODD[name])
    code, out, err = run(capsys, "tail", path, "--no-follow")
    assert code == 0
    shown = len(out.splitlines())
    assert (shown, err.count("\n")) in {(3, 0), (2, 1)}, "shown, or left out and said"
    assert not acts(out)
    code, out, err = run(capsys, "show", path, "--call", "the-call")
    assert code in {0, 2}
    assert len(out.splitlines()) < 20
    assert max(map(len, out.splitlines()), default=0) <= 200
    assert not acts(out + err)
    assert "Error" not in err
    assert run(capsys, "show", path, "--html", directory / "page.html")[0] == 0
    assert not acts((directory / "page.html").read_text("utf-8").replace("\n", ""))


def test_all_of_them_in_one_file(directory: Path, capsys: Any) -> None:
    path = write(directory / "calls.jsonl", *ODD.values())
    code, out, err = run(capsys, "tail", path, "--no-follow")
    assert code == 0
    assert len(out.splitlines()) >= len(ODD) - 6
    assert err.count("\n") == 1, "said once, however many there are"
    assert run(capsys, "show", path, "--call", "the-call")[0] in {0, 2}


def test_tail_json_is_json_that_does_not_act(directory: Path, capsys: Any) -> None:
    path = write(directory / "calls.jsonl", ODD["texts that act"], ODD["half a character"])
    _, out, _ = run(capsys, "tail", path, "--no-follow", "--json")
    assert not acts(out)
    found = [json.loads(line) for line in out.splitlines()]
    assert found[1]["data"] == {ACTS: ACTS}
    assert found[1]["session"] == f"the-call{ACTS}"


def test_what_is_asked_for_does_not_act_either(directory: Path, capsys: Any) -> None:
    path = write(directory / f"{ACTS[:-1].replace(chr(0), '')}.jsonl", ODD["texts that act"])
    code, out, err = run(capsys, "show", path, "--call", f"nope{ACTS}")
    assert (code, out) == (2, "")
    assert "no call begins with nope\\x1b[31m" in err
    assert not acts(err)
    code, _, err = run(capsys, "tail", f"{path}{ACTS[0]}", "--no-follow")
    assert code == 2
    assert "there is no" in err
    assert not acts(err)
    with pytest.raises(SystemExit):
        main(["calls", "show", "file", f"--{ACTS}"])
    assert not acts(capsys.readouterr().err)
    page = directory / f"{ACTS[:4]}.html"
    assert not acts(run(capsys, "show", path, "--html", page)[1])


def command(file: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "getpatter", *arguments, *([str(file)] if arguments else [])],
        env={"PATH": os.environ["PATH"], "HOME": os.devnull, "COLUMNS": "80", **environ},
        check=False,
        capture_output=True,
        timeout=LONG,
    )


@pytest.mark.parametrize(
    ("encoding", "bar", "text"),
    [
        ("cp1252", b"#", "grüße".encode("cp1252")),
        ("ascii", b"#", rb"gr\xfc\xdfe"),
        ("utf-8", "█".encode(), "grüße".encode()),
    ],
)
def test_an_output_of_any_encoding(directory: Path, encoding: str, bar: bytes, text: bytes) -> None:
    stage = {"stage": "llm", "stage_id": "1", "outcome": "success", "elapsed_ms": 5, "reason": "x"}
    path = write(
        directory / "calls.jsonl",
        {"type": "stage.completed", "timestamp_us": NOW + 9_000, "data": stage},
        {"type": "said", "data": {"text": "grüße 東京"}},
    )
    shown = command(path, "calls", "show", PYTHONIOENCODING=encoding)
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert bar in shown.stdout
    told = command(path, "calls", "tail", "--no-follow", PYTHONIOENCODING=encoding)
    assert (told.returncode, told.stderr) == (0, b"")
    assert text in told.stdout
    raw = command(path, "calls", "tail", "--no-follow", "--json", PYTHONIOENCODING=encoding)
    assert (raw.returncode, raw.stderr) == (0, b"")
    told_text = [json.loads(line)["data"] for line in raw.stdout.decode(encoding).splitlines()][2]
    assert told_text == {"text": "grüße 東京"}


def test_the_c_locale_without_any_help(directory: Path) -> None:
    path = write(directory / "grüße.jsonl", {"type": "said", "data": {"text": "grüße"}})
    bare = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    for arguments in (("calls", "show"), ("calls", "tail", "--no-follow")):
        done = command(path, *arguments, **bare)
        assert (done.returncode, done.stderr) == (0, b"")
    missing = command(directory / "weiß", "calls", "show", **bare)
    assert missing.returncode == 2
    assert missing.stderr.isascii()
    helped = command(path, "telemetry", "explain", "--help", **bare)
    assert helped.returncode in {0, 2}


@pytest.mark.parametrize(
    ("environ", "has_colours"),
    [
        ({}, False),  # no terminal
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ({"FORCE_COLOR": "0"}, False),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, True),
        ({"NO_COLOR": ""}, False),
    ],
)
def test_colours_are_as_the_environment_says(
    directory: Path, environ: dict[str, str], *, has_colours: bool
) -> None:
    path = write(directory / "calls.jsonl", ODD["texts that act"])
    told = command(path, "calls", "tail", "--no-follow", **environ).stdout.decode()
    assert ("\x1b[34m" in told) is has_colours
    assert "\x1b[31m" not in told, "a colour of the file's own"
    assert "\x1b]" not in told
