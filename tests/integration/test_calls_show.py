"""`getpatter calls show`: why a call failed, on terminals of every width and as a page."""

from __future__ import annotations

import json
import os
import re
import stat
from typing import TYPE_CHECKING, Any

import pytest

from getpatter.calls import Event
from getpatter.calls.view.drawing import render
from getpatter.calls.view.page import page
from getpatter.calls.view.turns import turns
from getpatter.calls.view.waterfall import waterfall
from getpatter.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECOND = 1_000_000
REASON = "the recogniser at node eu-7 closed the stream: " + "quota of the project exceeded; " * 12


def event(number: int, at: float, name: str, **data: object) -> Event:
    return Event(name, "mine", "call", round(at * SECOND), number, data)


def stage(number: int, at: float, name: str, ms: float, **data: object) -> Event:
    facts = {"stage": name, "elapsed_ms": ms, "outcome": "success", "retry_count": 0, **data}
    return event(number, at, "stage.completed", **facts)


FAILURE = {"outcome": "failure", "failure_code": "SERVER_ERROR", "reason": REASON}


def a_failed_call() -> list[Event]:
    return [
        event(0, 10, "call.started", direction="inbound"),
        event(1, 10, "participant_active", participant="the caller"),
        stage(2, 11, "carrier", 900, outcome="failure", failure_code="NETWORK_ERROR"),
        event(3, 12, "call.turn", turn=1),
        stage(4, 12.5, "llm", 400, first_ms=100.0, retry_count=2),
        stage(5, 14.5, "tts", 2_000, first_ms=250.0),
        event(6, 15, "tool.end", latency_ms=100.0),
        event(7, 16, "call.turn", turn=2),
        event(8, 16, "stage.initiated", stage="eou", stage_id="open"),
        stage(9, 18, "stt", 1_500, **FAILURE),
        event(10, 18, "call.ended", outcome="error", error_layer="stt", error_code="stt_down"),
    ]


def text(columns: int, events: list[Event] | None = None) -> str:
    return "\n".join(render(waterfall(a_failed_call() if events is None else events), columns))


def test_the_reason_stands_first_and_whole() -> None:
    lines = text(80).splitlines()
    assert lines[0].startswith("call mine")
    assert lines[1].startswith("failed: stt_down, in the layer stt: stt failed, SERVER_ERROR")
    head = " ".join(line.strip() for line in lines[1 : lines.index("") if "" in lines else None])
    assert REASON.strip() in head.partition("direction=")[0]


@pytest.mark.parametrize("columns", [20, 30, 40, 59, 60, 80, 200])
def test_nothing_is_cut_off_and_no_line_is_too_long(columns: int) -> None:
    shown = text(columns)
    assert max(map(len, shown.splitlines())) <= max(30, columns)
    assert REASON.replace(" ", "") in re.sub(r"\s+", "", shown.replace("\n", ""))
    for name in ("carrier", "stt", "llm", "tts", "tool", "turn 2"):
        assert re.search(rf"^{name} ", shown, re.MULTILINE)


def test_a_word_longer_than_the_line_is_wrapped() -> None:
    events = [
        Event("call.started", "i" * 300, "call", SECOND, 0, {}),
        Event("call.ended", "i" * 300, "x", SECOND, 1, {"outcome": "failed", "message": "x" * 300}),
    ]
    shown = render(waterfall(events), 40)
    assert max(map(len, shown)) <= 40
    assert "x" * 300 in "".join(line.strip() for line in shown)


@pytest.mark.parametrize(
    ("ended", "says"),
    [
        ({"outcome": "error", "error_layer": "carrier"}, "carrier failed, NETWORK_ERROR"),
        ({"outcome": "failed", "error_layer": "other"}, "carrier failed, NETWORK_ERROR"),
        ({"outcome": "error", "error_layer": "stt", "error_code": "mine"}, "failed: mine, in the"),
        ({"outcome": "completed", "error_layer": "none"}, None),
        ({"outcome": "busy", "error_layer": "none"}, None),
    ],
)
def test_the_stage_to_blame_is_named(ended: dict[str, object], says: str | None) -> None:
    shown = text(200, [*a_failed_call()[:-1], event(10, 18, "call.ended", **ended)])
    if says is None:
        assert "failed: " not in shown
    else:
        assert says in shown.splitlines()[1]


def test_no_mark_means_two_things_and_each_is_explained() -> None:
    shown = text(100)
    legend = shown.partition("█ succeeded")[2]
    meanings = {
        "after its first byte": "▒",
        "failed": "▓",
        "still open": "░",
        "span of your own": "▄",
        "a participant is there": "─",
        "a moment": "│",
    }
    for meaning, mark in meanings.items():
        assert f"{mark} {meaning}" in legend
    (own,) = re.findall(r"^tool .*$", shown, re.MULTILINE)
    assert set(own) & set(meanings.values()) == {"▄"}


def test_a_legend_names_only_what_is_there() -> None:
    shown = text(100, [event(0, 1, "call.started"), stage(1, 2, "stt", 500)])
    assert "█ succeeded" in shown
    assert "failed" not in shown
    assert "answer" not in shown


def test_retries_of_a_success_are_told() -> None:
    lines = text(100).splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("llm "))
    assert lines[place + 1].strip() == "+ retry_count=2"


def test_each_turn_tells_how_long_it_took_and_how_long_the_caller_waited() -> None:
    shown = text(100)
    assert re.search(r"^1 +4,000\.0 ms +750\.0 ms$", shown, re.MULTILINE)
    assert re.search(r"^2 +2,000\.0 ms +-$", shown, re.MULTILINE)


def test_a_tts_that_tells_no_first_byte_is_an_upper_bound() -> None:
    events = [event(0, 1, "call.turn", turn=1), stage(1, 3, "tts", 1_000)]
    shown = text(80, events)
    assert "<= 2,000.0 ms" in shown
    assert "<=: to the end of a tts stage without a first byte" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("events", "answers"),
    [
        # Speech that was still going on when the caller broke in answers nothing.
        ([event(0, 1, "call.turn"), stage(1, 5, "tts", 3_500, first_ms=100),
          event(2, 4, "call.turn"), stage(3, 6, "tts", 500, first_ms=50)], [600.0, 1_550.0]),
        # The first of several.
        ([event(0, 1, "call.turn"), stage(1, 3, "tts", 1_000, first_ms=10),
          stage(2, 4, "tts", 900, first_ms=10)], [1_010.0]),
        # Speech before any turn: a greeting.
        ([stage(0, 1, "tts", 500, first_ms=10), event(1, 2, "call.turn")], [None]),
        ([event(0, 1, "call.turn"), stage(1, 2, "tts", 500, outcome="failure")], [None]),
    ],
)  # fmt: skip
def test_the_answer_of_a_turn(events: list[Event], answers: list[float | None]) -> None:
    assert [turn.answer for turn in turns(events)] == answers


def test_the_page_tells_the_same() -> None:
    drawn = waterfall(a_failed_call())
    shown = page(drawn, a_failed_call())
    assert (
        f"<b>Failed:</b> stt_down, in the layer stt: stt failed, SERVER_ERROR - {REASON}" in shown
    )
    assert "retry_count=2" in shown
    assert "<td>750.0 ms</td>" in shown
    assert shown.count('class="row failed"') == 3
    assert shown.count('<tr class="failed">') == 3
    assert 'name="viewport"' in shown


@pytest.fixture
def written(tmp_path: Path) -> Callable[[], Path]:
    def write() -> Path:
        path = tmp_path / "calls.jsonl"
        path.write_text("".join(json.dumps(e.as_dict()) + "\n" for e in a_failed_call()))
        return path

    return write


@pytest.mark.parametrize("before", [None, 0o644, 0o666])
def test_the_page_is_for_this_user_alone(
    tmp_path: Path, written: Any, capsys: Any, before: int | None
) -> None:
    out = tmp_path / "call.html"
    if before is not None:
        out.write_text("x" * 1_000_000)
        out.chmod(before)
    umask = os.umask(0)
    try:
        assert main(["calls", "show", str(written()), "--html", str(out)]) == 0
    finally:
        os.umask(umask)
    assert capsys.readouterr().out == f"written: {out}\n"
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert out.read_text("utf-8").endswith("</html>\n")


def test_a_page_in_place_of_its_own_source_is_refused(written: Any, capsys: Any) -> None:
    path = written()
    before = path.read_bytes()
    assert main(["calls", "show", str(path), "--html", str(path)]) == 2
    assert "is the file of the calls" in capsys.readouterr().err
    assert path.read_bytes() == before
