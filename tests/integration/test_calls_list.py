"""`getpatter calls list`: from a file of calls to the one that failed."""

from __future__ import annotations

import io
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from getpatter.calls import Event
from getpatter.calls.view.calls_of import by_call
from getpatter.calls.view.summary import SummingUp, percentiles
from getpatter.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SECOND = 1_000_000
# 2026-11-28T12:00:00Z
NOON = 1_795_867_200


def event(call: str, number: int, at: float, name: str, **data: object) -> Event:
    return Event(name, call, "call", round(at * SECOND), number, data)


def stage(call: str, number: int, at: float, name: str, ms: float, **data: object) -> Event:
    facts = {"stage": name, "elapsed_ms": ms, "outcome": "success", **data}
    return event(call, number, at, "stage.completed", **facts)


def a_call(name: str, at: float, llm: float = 100, **ended: object) -> list[Event]:
    """A call of a turn: 4 s long, and 0.5 s from the end of speech to the first audio."""
    outcome = {"outcome": "completed", "error_layer": "none", "turns": 1, **ended}
    return [
        event(name, 0, at, "call.started", direction="inbound"),
        event(name, 1, at + 1, "call.turn", turn=1),
        stage(name, 2, at + 1.3, "llm", llm),
        stage(name, 3, at + 3.3, "tts", 2_000, first_ms=200.0),
        event(name, 4, at + 3.5, "looked.up"),
        event(name, 5, at + 4, "call.ended", **outcome),
    ]


def failed(name: str, at: float) -> list[Event]:
    return a_call(name, at, 900, outcome="error", error_layer="llm", error_code="provider_error")


def write(path: Path, *calls: Iterable[Event]) -> Path:
    with path.open("a", encoding="utf-8") as out:
        for each in (event for call in calls for event in call):
            out.write(json.dumps(each.as_dict(), separators=(",", ":")) + "\n")
    return path


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(
        tmp_path / "calls.jsonl",
        a_call("shared-prefix-1", NOON),
        failed("shared-prefix-2", NOON + 3_600),
        a_call("another", NOON + 7_200, 300, outcome="busy"),
        a_call("open-ended", NOON + 7_300)[:-1],
    )


def run(capsys: Any, *arguments: object) -> tuple[int, str, str]:
    code = main(["calls", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def sessions(capsys: Any, *arguments: object) -> list[str]:
    code, out, _ = run(capsys, "list", *arguments, "--json")
    assert code == 0
    return [call["session"] for call in json.loads(out)["calls"]]


def test_each_call_is_a_line(file: Path, capsys: Any) -> None:
    code, out, err = run(capsys, "list", file)
    assert (code, err) == (0, "")
    head, *rows = out.partition("\n\n")[0].splitlines()
    assert head.split() == [
        *("call", "began", "length", "outcome", "layer", "code", "turns", "slowest", "stage")
    ]
    assert [row.split()[0] for row in rows] == [
        *("shared-prefix-1", "shared-prefix-2", "another", "open-ended")
    ]
    assert rows[1].split()[3:] == [
        *("4.0", "s", "error", "llm", "provider_error", "1", "tts", "2,000", "ms")
    ]
    assert rows[3].split()[5] == "open"


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_a_list_fits_its_terminal_and_keeps_why_a_call_failed(
    file: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    whole = run(capsys, "list", file)[1].splitlines()
    monkeypatch.setenv("COLUMNS", f"{columns}")
    lines = run(capsys, "list", file)[1].splitlines()
    assert max(map(len, whole)) > 80 >= columns >= max(map(len, lines))
    assert lines[0].split()[0] == "call"
    assert lines[2].split()[0] == "shared-prefix-2"
    assert "provider_error" in lines[2]
    assert whole[0].split()[1:3] == ["began", "length"]


@pytest.mark.parametrize("spaces", [(",", ":"), (", ", " : ")])
def test_a_file_that_another_program_has_written_reads_the_same(
    file: Path, tmp_path: Path, capsys: Any, spaces: tuple[str, str]
) -> None:
    other = tmp_path / "other.jsonl"
    events = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    turned = [dict(reversed(one.items())) for one in events]
    other.write_text("".join(json.dumps(one, separators=spaces) + "\n" for one in turned))
    for action in (
        ("list", "--json"),
        ("show", "--failed"),
        ("show", "--call", "another"),
        ("show",),
    ):
        verb, *which = action
        read, expected = (run(capsys, verb, path, *which) for path in (other, file))
        assert read[:2] == expected[:2]  # on stderr another test's client may say something late


def test_ids_have_as_many_characters_as_tell_them_apart(tmp_path: Path, capsys: Any) -> None:
    path = write(tmp_path / "calls", *(a_call(name * 16, NOON) for name in ("ab", "cd", "ef")))
    rows = run(capsys, "list", path)[1].splitlines()[1:4]
    assert [row.split()[0] for row in rows] == ["abababab", "cdcdcdcd", "efefefef"]


def test_the_percentiles_of_each_stage_stand_below(file: Path, capsys: Any) -> None:
    head, *rows = run(capsys, "list", file)[1].partition("\n\n")[2].splitlines()
    assert head.split() == ["stage", "runs", "p50", "p95", "max"]
    measured = {row.split()[0]: row.replace(",", "").replace(" ms", "").split()[1:] for row in rows}
    assert measured["llm"] == ["4", "100", "900", "900"]
    assert measured["tts"] == ["4", "2000", "2000", "2000"]
    assert measured["answer"] == ["4", "500", "500", "500"]


def test_percentiles_are_values_that_were_measured() -> None:
    stages = [stage(str(n), 0, NOON, "stt", n) for n in range(1, 101)]
    row = percentiles(call.summary() for call in by_call(stages, SummingUp))["stt"]
    assert row == {"runs": 100, "p50_ms": 50, "p95_ms": 95, "max_ms": 100}


def test_only_calls_that_failed(file: Path, capsys: Any) -> None:
    assert sessions(capsys, file, "--failed") == ["shared-prefix-2"]
    assert run(capsys, "list", file, "--failed")[2] == "1 of 4 calls\n"


@pytest.mark.parametrize(
    ("since", "wanted"),
    [
        ("2026-11-28T13:00:00Z", 3),
        ("2026-11-28T13:00:01+00:00", 2),
        ("2026-11-28T16:00:00+02:00", 2),
        ("99999d", 4),
        ("2026-01-01", 4),
    ],
)
def test_only_calls_since(file: Path, capsys: Any, since: str, wanted: int) -> None:
    assert len(sessions(capsys, file, "--since", since)) == wanted


@pytest.mark.parametrize("since", ["1h", "60m", "3600s", "0.05d"])
def test_only_calls_of_the_last_hour(tmp_path: Path, capsys: Any, since: str) -> None:
    now = time.time()
    path = write(tmp_path / "calls", a_call("old", now - 7_200), a_call("new", now - 600))
    assert sessions(capsys, path, "--since", since) == ["new"]


@pytest.mark.parametrize(
    ("slower", "wanted"),
    [
        (["llm=299.5"], ["shared-prefix-2", "another"]),
        (["llm=900"], []),
        (["llm=299", "tts=1999"], ["shared-prefix-2", "another"]),
        (["answer=499"], ["shared-prefix-1", "shared-prefix-2", "another", "open-ended"]),
        (["answer=501"], []),
    ],
)
def test_only_calls_in_which_a_stage_was_slower(
    file: Path, capsys: Any, slower: list[str], wanted: list[str]
) -> None:
    assert sessions(capsys, file, *(x for each in slower for x in ("--slower", each))) == wanted


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--since", "yesterday"), "--since yesterday: give"),
        (("--since", "9" * 30 + "d"), "give a time ago"),
        (("--since", "xd"), "give a time ago"),
        (("--slower", "llm"), "--slower llm: give a stage and milliseconds"),
        (("--slower", "llm=nan"), "give a stage and milliseconds"),
        (("--slower", "=5"), "give a stage and milliseconds"),
        (("--slower", "asr=5"), "has a stage asr"),
    ],
)
def test_what_cannot_be_meant_is_said_in_a_line(
    file: Path, capsys: Any, arguments: tuple[str, ...], says: str
) -> None:
    code, out, err = run(capsys, "list", file, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err


@pytest.mark.parametrize("action", [("list",), ("show",), ("show", "--failed")])
def test_a_file_without_calls_and_no_file(tmp_path: Path, capsys: Any, action: Any) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    assert run(capsys, *action, empty) == (2, "", f"getpatter: no call in {empty}\n")
    code, _, err = run(capsys, *action, tmp_path / "missing")
    assert (code, err) == (2, f"getpatter: there is no {tmp_path / 'missing'}\n")


def test_the_rotated_parts_are_read_too(tmp_path: Path, capsys: Any) -> None:
    first, second = a_call("one", NOON), failed("two", NOON + 9)
    write(tmp_path / "calls.2", first[:3])
    write(tmp_path / "calls.1", first[3:], second[:2])
    path = write(tmp_path / "calls", second[2:])
    assert sessions(capsys, path) == ["one", "two"]
    assert len(run(capsys, "list", path)[1].partition("\n\n")[0].splitlines()) == 3


def test_calls_of_one_id_are_listed_each(tmp_path: Path, capsys: Any) -> None:
    path = write(tmp_path / "calls", failed("mine", NOON), a_call("mine", NOON + 9))
    assert sessions(capsys, path) == ["mine", "mine"]
    assert sessions(capsys, path, "--failed") == ["mine"]
    assert "provider_error" in run(capsys, "show", path, "--failed")[1]
    assert "provider_error" not in run(capsys, "show", path)[1]


def test_show_failed_is_the_last_call_that_failed(file: Path, capsys: Any) -> None:
    code, out, _ = run(capsys, "show", file, "--failed")
    assert code == 0
    assert out.startswith("call shared-prefix-2")


def test_none_failed(tmp_path: Path, capsys: Any) -> None:
    path = write(tmp_path / "calls", a_call("mine", NOON))
    code, out, err = run(capsys, "show", path, "--failed")
    assert (code, out, err) == (2, "", f"getpatter: no call in {path} failed\n")


@pytest.mark.parametrize("action", [("list",), ("show",), ("show", "--failed")])
def test_standard_input_is_a_file(
    file: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, action: Any
) -> None:
    wanted = run(capsys, *action, file)
    given = io.TextIOWrapper(io.BytesIO(file.read_bytes()), encoding="ascii")
    monkeypatch.setattr("sys.stdin", given)
    assert run(capsys, *action, "-") == wanted


def test_no_standard_input(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert run(capsys, "list", "-") == (2, "", "getpatter: no call in -\n")


@pytest.mark.parametrize(
    "odd",
    [
        {"data": {"outcome": "\x1b[31m", "error_code": "x" * 500, "turns": "y", "stage": None}},
        {"data": {"stage": ["a"], "elapsed_ms": 1e300}},
        {"data": {"stage": "llm", "elapsed_ms": "x", "first_ms": -5, "turn": {}}},
        {"session": "\x1b[31m", "sequence": -5},
        {"timestamp_us": 0},
    ],
)
def test_events_that_nobody_of_ours_wrote(tmp_path: Path, capsys: Any, odd: dict[str, Any]) -> None:
    path = tmp_path / "calls"
    with path.open("w") as out:
        for each in a_call("mine", NOON):
            out.write(json.dumps({**each.as_dict(), **odd}, separators=(",", ":")) + "\n")
    code, out_text, err = run(capsys, "list", path)
    assert (code, err) == (0, "")
    assert all(c == "\n" or c.isprintable() for c in out_text)
    assert max(map(len, out_text.splitlines())) < 200
    assert json.loads(run(capsys, "list", path, "--json")[1])["calls"]


def test_a_tts_without_a_first_byte_counts_with_its_end() -> None:
    (mine,) = by_call(
        [
            event("mine", 0, 1, "call.turn", turn=1),
            stage("mine", 1, 3, "tts", 1_000),
            event("mine", 2, 5, "call.turn", turn=2),  # nobody answers
            event("mine", 3, 9, "call.turn", turn=3),
            stage("mine", 4, 9.5, "tts", 100, outcome="failure"),
            stage("mine", 5, 11, "tts", 1_000, first_ms=500),
        ],
        SummingUp,
    )
    assert mine.summary().took["answer"] == [2_000.0, 1_500.0]
