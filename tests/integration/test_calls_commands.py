"""`getpatter calls`: real files, read by the real command."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import threading
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from lone_call import lone_call

from getpatter import Patter
from getpatter.calls import Event, Hub, JsonLinesSink

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG = 60.0


class Null:
    def record(self, name: str, /, **dimensions: object) -> None:
        """Telemetry is another matter."""


def environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.devnull, "COLUMNS": "80", "TZ": "UTC"}


def calls(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "getpatter", "calls", *map(str, arguments)],
        check=False,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONG,
    )


def have_call(hub: Hub, session: str) -> None:
    with lone_call(Null(), {"direction": "inbound"}, hub=hub, session=session) as call:
        call.turn()
        with call.stage("stt"):
            pass
        call.reporter.complete(call.reporter.begin("llm"), "SFU_ERROR", reason="<b>503</b> \x1b[2J")
        call.emitter("tool").emit("looked.up", {"text": "grüße"})
        call.hangup("remote")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Two calls, and lines that are no events."""
    path = tmp_path / "calls.jsonl"
    path.write_text('nonsense\n{"type_id": "another@1"}\n[]\n\n{"type_id"')
    with path.open("a") as out:
        out.write("\n")
    hub = Hub(JsonLinesSink(path))
    have_call(hub, "first-call")
    have_call(hub, "second-call")
    hub.close(LONG)
    return path


def test_tail_shows_a_line_an_event_and_nothing_that_acts_on_a_terminal(file: Path) -> None:
    done = calls("tail", file, "--no-follow")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 2 * 9
    assert re.match(r"\d\d:\d\d:\d\d\.\d{3} first-ca call   call\.started", lines[0])
    assert "completed llm failure" in done.stdout
    assert "failure_code=SFU_ERROR" in done.stdout
    assert "text=grüße" in done.stdout
    assert "\x1b" not in done.stdout


def test_tail_of_one_call_and_of_the_last_lines(file: Path) -> None:
    one = calls("tail", file, "--no-follow", "--call", "second")
    assert len(one.stdout.splitlines()) == 9
    assert "first-ca" not in one.stdout
    last = calls("tail", file, "--no-follow", "--lines", "1")
    (line,) = last.stdout.splitlines()
    assert "call.ended completed" in line


def test_tail_json_is_the_events_as_they_are(file: Path) -> None:
    done = calls("tail", file, "--no-follow", "--json")
    wanted = [line for line in file.read_text("utf-8").splitlines() if '"data"' in line]
    assert done.stdout.splitlines() == wanted


@pytest.mark.parametrize(
    ("environ", "has_colours"),
    [({}, True), ({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"NO_COLOR": "1"}, False)],
)
def test_tail_has_colours_on_a_terminal(
    file: Path, environ: dict[str, str], *, has_colours: bool
) -> None:
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "getpatter", "calls", "tail", str(file), "--no-follow"],
        env={**environment(), **environ},
        stdin=subprocess.DEVNULL,
        stdout=slave,
    ) as process:
        os.close(slave)
        shown = b""
        try:
            while piece := os.read(master, 65_536):
                shown += piece
        except OSError:  # what Linux says when the other side of a terminal is closed
            pass
        assert process.wait(LONG) == 0
    os.close(master)
    assert b"completed llm failure" in shown
    assert (b"\x1b[31mcompleted llm failure" in shown) is has_colours
    assert b"\x1b[2J" not in shown


def test_tail_is_live_also_over_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    sink = JsonLinesSink(path, max_bytes=500, files=20)
    sink.write([Event("event-0", "mine", "x", 1, 0, {})])
    with subprocess.Popen(
        [sys.executable, "-m", "getpatter", "calls", "tail", str(path), "--json"],
        env={**environment(), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        watchdog = threading.Timer(LONG, process.kill)
        watchdog.start()
        try:
            # Each is written once the one before has been shown: so it follows, line by line.
            for number in range(1, 20):
                assert json.loads(process.stdout.readline())["sequence"] == number - 1
                sink.write([Event(f"event-{number}", "mine", "x", 1, number, {})])
            assert (tmp_path / "calls.jsonl.1").exists()
        finally:
            process.kill()
            watchdog.cancel()
    sink.close()


def test_show_draws_the_stages_of_a_call(file: Path) -> None:
    done = calls("show", file, "--call", "first-call")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("call first-call")
    assert "direction=inbound" in done.stdout
    assert "disconnect_reason=hangup_remote" in done.stdout
    assert re.search(r"^stt +█+ .* ms$", done.stdout, re.MULTILINE)
    assert re.search(r"^llm +▓+ .* ms$", done.stdout, re.MULTILINE)
    assert "failure_code=SFU_ERROR" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "\x1b" not in done.stdout


@pytest.fixture
def met(tmp_path: Path) -> Iterator[Path]:
    """A call of two people, of whom one is still there at the end of the file."""
    path = tmp_path / "met.jsonl"
    phone = Patter(carrier="none", telemetry=False)
    phone.diagnostics.attach(JsonLinesSink(path))
    call = phone.call(direction="inbound", session="met")
    for name in ("alice <b>", "bob"):
        call.event("participant_joined", name)
        call.event("participant_active", name)
        call.sample(name, {"track": "mic", "direction": "up", "packets": 50})
    call.reporter.ice("subscriber", "checking")
    call.reporter.ice("subscriber", "connected")
    call.event("participant_left", "alice <b>")
    phone.service.flush(LONG)
    phone.diagnostics.flush(LONG)
    yield path
    call.end()
    phone.service.stop(LONG)
    phone.diagnostics.close(LONG)


def test_show_draws_who_was_there_and_whose_connection_it_was(met: Path, tmp_path: Path) -> None:
    lines = calls("show", met).stdout.splitlines()
    for name in ("alice <b>", "bob"):
        (row,) = (line for line in lines if line.startswith(f"{name} "))
        assert "─" in row
        assert row.endswith(" ms")
    assert any(line.startswith("peer_connection subscriber") and "█" in line for line in lines)
    out = tmp_path / "met.html"
    assert calls("show", met, "--html", out).returncode == 0
    page = out.read_text(encoding="utf-8")
    assert page.count('class="bar present"') == 2
    assert "alice &lt;b&gt;" in page
    assert "alice <b>" not in page


def test_tail_says_of_streams_how_many_there_are(met: Path) -> None:
    (line,) = (
        line
        for line in calls("tail", met, "--no-follow").stdout.splitlines()
        if "participant_stats" in line and "participant=alice <b>" in line
    )
    assert line.endswith(" streams=1")


def test_show_without_an_id_is_the_last_call(file: Path) -> None:
    assert calls("show", file).stdout.startswith("call second-call")


def test_show_finds_what_was_rotated_away(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    hub = Hub(JsonLinesSink(path, max_bytes=1_500, files=30))
    have_call(hub, "split")
    have_call(hub, "another")
    hub.close(LONG)
    assert (tmp_path / "calls.jsonl.1").exists()
    done = calls("show", path, "--call", "split")
    assert "disconnect_reason=hangup_remote" in done.stdout
    assert "llm" in done.stdout


class Page(HTMLParser):
    """What a browser would load or run, and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [name for name, _ in attrs if name in {"src", "href", "onclick", "onload"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_show_html_is_readable_by_this_user_only(file: Path, tmp_path: Path) -> None:
    out, link, elsewhere = (tmp_path / name for name in ("call.html", "link.html", "elsewhere"))
    out.write_text("longer than a page? " * 10_000)
    out.chmod(0o666)
    link.symlink_to(elsewhere)
    assert calls("show", file, "--html", out).returncode == 0
    assert out.stat().st_mode & 0o777 == 0o600
    assert out.read_text().rstrip().endswith("</html>")
    refused = calls("show", file, "--html", link)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert not elsewhere.exists()


def test_show_html_is_one_page_that_loads_and_runs_nothing(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "call.html"
    done = calls("show", file, "--call", "first-call", "--html", out)
    assert (done.returncode, done.stdout) == (0, f"written: {out}\n")
    page = Page()
    text = out.read_text("utf-8")
    page.feed(text)
    page.close()
    assert page.links == []
    assert not page.tags & {"script", "link", "img", "iframe", "b"}
    assert "url(" not in text
    assert "Call first-call" in page.text
    assert "<b>503</b> \\x1b[2J" in page.text  # as text
    assert text.count('class="bar ') >= 4


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("show", "{file}", "--call", "third"), "no call begins with third; there are: first-call"),
        (("show", "{file}.missing"), "there is no"),
        (("tail", "{file}.missing"), "there is no"),
        (("show", "{empty}"), "no call in"),
    ],
)
def test_what_is_not_there_is_said_in_a_line(
    file: Path, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    done = calls(*(argument.format(file=file, empty=empty) for argument in arguments))
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_of_many_calls_that_there_are_the_last_are_named(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    hub = Hub(JsonLinesSink(path))
    for number in range(11):
        have_call(hub, f"call-{number:02}")
    hub.close(LONG)
    done = calls("show", str(path), "--call", "nope")
    assert done.returncode == 2
    assert "no call begins with nope; the last 10 of 11 are: call-01, " in done.stderr


def test_an_id_that_two_calls_begin_with_is_said(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    hub = Hub(JsonLinesSink(path))
    for name in ("call", "call-1", "call-2"):
        have_call(hub, name)
    hub.close(LONG)
    assert "2 calls begin with call-" in calls("show", path, "--call", "call-").stderr
    assert calls("show", path, "--call", "call").stdout.startswith("call call ")


@pytest.mark.parametrize(
    "odd",
    [
        {"timestamp_us": 10**30},
        {"timestamp_us": -1},
        {"data": {"elapsed_ms": "x", "stage": None, "outcome": 3}},
        {"data": {"elapsed_ms": 1e300, "first_ms": -5, "stage": ["a"], "outcome": "success"}},
        {"session": "", "node": "\x1b[2J", "type": "call.\x07"},
        {"turn_id": 5, "correlation_id": []},
    ],
)
def test_events_that_nobody_of_ours_wrote_are_shown_or_left_out(
    tmp_path: Path, odd: dict[str, Any]
) -> None:
    path = tmp_path / "calls.jsonl"
    for event_type in ("stage.completed", "stage.initiated", "call.started", "x.end"):
        event = Event(event_type, "mine", "x", 1, 0, {"stage_id": "s"}).as_dict()
        with path.open("a") as out:
            out.write(json.dumps({**event, **odd}) + "\n")
    for action in (("tail", path, "--no-follow"), ("show", path), ("show", path, "--html", path)):
        done = calls(*action)
        assert done.returncode in (0, 2), done.stderr
        assert "Traceback" not in done.stderr
        assert "\x1b" not in done.stdout
        assert "\x07" not in done.stdout
