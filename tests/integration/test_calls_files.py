"""The file of the JSON lines sink: this user's alone, and shared by processes."""

from __future__ import annotations

import collections
import json
import os
import resource
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from getpatter.calls import Event, EventsLost, Hub, JsonLinesSink
from getpatter.calls.view.follow import follow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONG = 60.0


def event(number: int, text: str = "") -> Event:
    return Event("event", "mine", "node", 1, number, {"text": text})


def numbers(*paths: Path) -> list[int]:
    return [
        json.loads(line)["sequence"] for path in paths for line in path.read_bytes().splitlines()
    ]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture
def umask() -> Iterator[Any]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


# whose file it is


@pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o777])
def test_a_new_file_and_its_parts_are_this_users_alone(
    tmp_path: Path, umask: Any, mask: int
) -> None:
    umask(mask)
    sink = JsonLinesSink(tmp_path / "calls.jsonl", max_bytes=1_000, files=3)
    sink.write([event(number, "x" * 100) for number in range(40)])
    assert {mode(file) for file in tmp_path.iterdir()} == {0o600}
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("before", [0o644, 0o666, 0o640, 0o606])
def test_an_existing_file_becomes_this_users_alone(tmp_path: Path, before: int) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b'{"earlier": 1}\n')
    path.chmod(before)
    sink = JsonLinesSink(path)
    assert mode(path) == 0o600
    path.chmod(before)  # and again, whoever changes it meanwhile
    sink.write([event(0)])
    assert mode(path) == 0o600
    assert len(path.read_bytes().splitlines()) == 2


def make_link(path: Path) -> None:
    target = path.with_name("target")
    target.touch()
    path.symlink_to(target)


def make_dangling_link(path: Path) -> None:
    path.symlink_to(path.with_name("nothing"))


def make_link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/null")


@pytest.mark.parametrize(
    "make",
    [make_link, make_dangling_link, make_link_to_a_device, os.mkfifo, os.mkdir],
)
def test_what_is_no_file_of_ones_own_is_an_error_at_once(tmp_path: Path, make: Any) -> None:
    """A FIFO that nobody reads, too: the constructor does not wait."""
    path = tmp_path / "calls.jsonl"
    make(path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OSError, match=r"calls\.jsonl"):
        JsonLinesSink(path)
    assert sorted(tmp_path.iterdir()) == before


def test_a_fifo_that_somebody_reads_is_an_error_too(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(OSError, match="no regular file"):
            JsonLinesSink(path)
    finally:
        os.close(reader)


@pytest.mark.parametrize("path", ["/dev/null", "/dev/full", "/proc/self/comm"])
def test_a_device_or_a_file_of_the_system_is_refused(path: str) -> None:
    with pytest.raises(OSError, match=path):
        JsonLinesSink(path)


OTHERS = """
import os, sys
from getpatter.calls import JsonLinesSink
open(sys.argv[1], "w").close()
os.chmod(sys.argv[1], 0o666)
if os.geteuid() == 0:
    os.chown(sys.argv[1], 12345, 12345)
    try:
        JsonLinesSink(sys.argv[1])
    except PermissionError as error:
        assert error.filename == sys.argv[1], error
    else:
        sys.exit("it was taken")
"""


def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    """Only root can make one; for others it is the error that the system gives."""
    command = [sys.executable, "-c", OTHERS, str(tmp_path / "calls.jsonl")]
    assert subprocess.run(command, check=False, timeout=LONG).returncode == 0


# where it is


def test_the_path_is_that_of_the_start_wherever_the_program_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    sink = JsonLinesSink("calls.jsonl", max_bytes=1_000)
    monkeypatch.chdir(tmp_path / "elsewhere")
    sink.write([event(number, "x" * 100) for number in range(20)])
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert (tmp_path / "calls.jsonl.1").exists()


@pytest.mark.parametrize("name", ["calls.jsonl", b"calls.jsonl"])
def test_a_path_may_be_bytes(tmp_path: Path, monkeypatch: Any, name: Any) -> None:
    monkeypatch.chdir(tmp_path)
    sink = JsonLinesSink(name, max_bytes=1_000)
    sink.write([event(number, "x" * 100) for number in range(20)])
    assert (tmp_path / "calls.jsonl.1").exists()


def test_a_directory_that_was_away_costs_what_came_meanwhile_and_nothing_else(
    tmp_path: Path,
) -> None:
    directory = tmp_path / "logs"
    directory.mkdir()
    hub = Hub()
    hub.attach(JsonLinesSink(directory / "calls.jsonl"), "file")
    emitter = hub.emitter("x", hub.session("mine"))

    def emit() -> None:
        emitter.emit("event", {})
        assert hub.flush(LONG)

    emit()
    directory.rename(tmp_path / "away")
    emit()
    emit()
    directory.mkdir()
    emit()
    stats: Any = hub.stats()
    assert stats["sinks"]["file"] == {"delivered": 2, "waiting": 0, "lost": {"sink_failed": 2}}
    assert numbers(tmp_path / "away" / "calls.jsonl") == [0]
    assert 3 in numbers(directory / "calls.jsonl")
    hub.close(LONG)


FULL = """
import resource, signal, sys
from getpatter.calls import Event, EventsLost, JsonLinesSink
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, resource.RLIM_INFINITY))
sink = JsonLinesSink(sys.argv[1])
events = [Event("event", "mine", "node", 1, n, {"text": "x" * 100}) for n in range(20)]
for first in (0, 10):
    try:
        sink.write(events[first:first + 10])
    except EventsLost as lost:
        print(lost.lost, lost)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
sink.write(events[:1])
"""


def test_a_disk_that_is_full_loses_what_does_not_fit_and_says_so(tmp_path: Path) -> None:
    """Played by a limit of the process: the first write fits in part, the second not at all."""
    path = tmp_path / "calls.jsonl"
    command = [sys.executable, "-c", FULL, str(path)]
    done = subprocess.run(command, check=False, timeout=LONG, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    *whole, part, last = path.read_text().splitlines()
    assert first == f"{10 - len(whole)} the disk is full"
    assert second == "10 OSError: File too large"
    assert [json.loads(line)["sequence"] for line in [*whole, last]] == [*range(len(whole)), 0]
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads(part)


def test_without_a_free_descriptor_events_wait(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    sink = JsonLinesSink(path)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        pause = sink.write([event(0)])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert pause is not None
    assert sink.write([event(0)]) is None
    assert numbers(path) == [0]


# the host's descriptors

CLOSED = """
import os, sys
from getpatter.calls import Hub, JsonLinesSink
path, which = sys.argv[1], int(sys.argv[2])
if which < 3:
    os.closerange(which, 3)
hub = Hub(JsonLinesSink(path))
emitter = hub.emitter("x", hub.session("mine"))
for number in range(20):
    emitter.emit("event", {})
    assert hub.flush(60)
    if which == 3:
        os.closerange(3, 50)
        mine = os.open("/dev/null", os.O_RDWR)
    for descriptor in (1, 2):
        try:
            os.write(descriptor, b"card 4111111111111111")
        except OSError:
            pass
    if which == 3:
        os.fstat(mine)
hub.close(60)
if which == 3:
    os.fstat(mine)
"""


@pytest.mark.parametrize("which", [0, 1, 2, 3])
def test_no_descriptor_of_the_host_is_taken_or_closed(tmp_path: Path, which: int) -> None:
    """Started without stdin, stdout and stderr; a host that closes what is not its own."""
    path = tmp_path / "calls.jsonl"
    command = [sys.executable, "-c", CLOSED, str(path), str(which)]
    done = subprocess.run(command, check=False, timeout=LONG, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"card" not in path.read_bytes()  # digits may be those of a time
    assert numbers(path) == list(range(20))


def test_nothing_is_held_open_between_two_writes(tmp_path: Path) -> None:
    before = sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else []
    sink = JsonLinesSink(tmp_path / "calls.jsonl")
    sink.write([event(0)])
    after = sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else []
    assert after == before


# several processes

WRITER = """
import sys
from getpatter.calls import Event, EventsLost, JsonLinesSink
path, name, size, lines = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
sink = JsonLinesSink(path, max_bytes=size, files=1_000)
print("ready", flush=True)
sys.stdin.readline()
for number in range(0, lines, 5):
    numbers = range(number, number + 5)
    sink.write([Event("e", name, "n", 1, n, {"text": "x" * 100}) for n in numbers])
"""


def start(path: Path, name: str, size: int, lines: int) -> subprocess.Popen[str]:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(size), str(lines)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    return writer


def go(writers: list[subprocess.Popen[str]]) -> None:
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()


def end(writers: list[subprocess.Popen[str]]) -> list[int]:
    ended = [writer.wait(LONG) for writer in writers]
    for writer in writers:
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdin.close()
        writer.stdout.close()
    return ended


def lines_of(directory: Path) -> collections.Counter[tuple[str, int]]:
    found: collections.Counter[tuple[str, int]] = collections.Counter()
    for path in directory.iterdir():
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue  # renamed meanwhile
        for line in content.splitlines():
            try:
                said = json.loads(line)
            except ValueError:
                continue  # the part of a line that a kill has left
            found[said["session"], said["sequence"]] += 1
    return found


@pytest.mark.parametrize(
    ("names", "size", "lines"),
    [("abc", 2_000, 600), ("abcd", 20_000, 600), ("ab", 200_000, 1_500), ("abcd", 1 << 20, 2_000)],
)
def test_processes_that_rotate_one_file_lose_no_line(
    tmp_path: Path, names: str, size: int, lines: int
) -> None:
    path = tmp_path / "calls.jsonl"
    writers = [start(path, name, size, lines) for name in names]
    go(writers)
    assert end(writers) == [0] * len(names)
    assert lines_of(tmp_path) == {(name, n): 1 for name in names for n in range(lines)}
    assert len(list(tmp_path.iterdir())) > 1, "it was rotated"
    assert max(file.stat().st_size for file in tmp_path.iterdir()) <= size


def test_a_process_that_is_killed_while_it_rotates_costs_nobody_a_line(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    steady = start(path, "steady", 2_000, 600)
    killed = [start(path, f"killed-{number}", 2_000, 1_000_000) for number in range(3)]
    go([steady, *killed])
    for number, writer in enumerate(killed):
        # Once it has written so much, at whatever it is doing then.
        while not lines_of(tmp_path)[f"killed-{number}", 20]:
            assert writer.poll() is None
        writer.send_signal(signal.SIGKILL)
    assert end(killed) == [-signal.SIGKILL] * 3
    assert end([steady]) == [0]
    found = lines_of(tmp_path)
    assert {n for name, n in found if name == "steady"} == set(range(600))
    assert set(found.values()) == {1}
    for number in range(3):
        told = [n for name, n in found if name == f"killed-{number}"]
        assert sorted(told) == list(range(len(told)))


def test_a_part_that_is_missing_costs_no_other_part(tmp_path: Path) -> None:
    """As a process leaves it that is killed between two steps of a rotation."""
    path = tmp_path / "calls.jsonl"
    for name, content in (("jsonl", "4"), ("jsonl.1", "3"), ("jsonl.3", "1")):
        (tmp_path / f"calls.{name}").write_text(content * 200 + "\n")
    JsonLinesSink(path, max_bytes=200, files=4).write([event(5)])
    contents = {file.name: file.read_text()[:1] for file in tmp_path.iterdir()}
    assert contents == {
        "calls.jsonl": "{",
        "calls.jsonl.1": "4",
        "calls.jsonl.2": "3",
        "calls.jsonl.3": "1",
    }


HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "ab")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_process_that_holds_the_lock_for_ever_holds_nobody_up(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    sink = JsonLinesSink(path, max_bytes=500)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        for number in range(6):
            assert sink.write([event(number, "x" * 100)]) is None
        holder.stdin.close()
    assert numbers(path) == list(range(6))
    sink.write([event(6)])
    assert numbers(tmp_path / "calls.jsonl.1", path) == list(range(7))


# who reads meanwhile


def follow_all(reader: Iterator[str | None]) -> list[int]:
    """Read on to where there is no more yet."""
    found = []
    for line in reader:
        if line is None:
            break
        found.append(json.loads(line)["sequence"])
    return found


@pytest.mark.parametrize("lost_parts", [0, 2])
def test_a_reader_that_was_stopped_across_rotations_goes_on_with_the_parts(
    tmp_path: Path, lost_parts: int
) -> None:
    path = tmp_path / "calls.jsonl"
    sink = JsonLinesSink(path, max_bytes=1_000, files=20)
    sink.write([event(0)])
    reader = follow(str(path))
    assert follow_all(reader) == [0]
    for number in range(1, 60):
        sink.write([event(number, "x" * 50)])
    parts = sorted(tmp_path.glob("calls.jsonl.*"), key=lambda part: int(part.suffix[1:]))
    assert len(parts) > 5
    gone = [number for part in parts[len(parts) - lost_parts :] for number in numbers(part)]
    for part in parts[len(parts) - lost_parts :]:
        part.unlink()
    found = follow_all(reader)
    # What it has open it reads to its end, though it is there no longer.
    expected = [number for number in range(1, 60) if number not in gone or number <= found[0]]
    assert found[0] == 1
    assert [number for number in found if number in expected] == expected
    assert len(set(found)) == len(found)
    sink.write([event(60)])
    assert follow_all(reader) == [60]
    reader.close()  # type: ignore[attr-defined] # a generator


def test_a_reader_of_a_file_with_a_gap_in_its_parts_goes_on_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    sink = JsonLinesSink(path, max_bytes=400, files=9)
    sink.write([event(0)])
    reader = follow(str(path))
    assert follow_all(reader) == [0]
    for number in range(1, 20):
        sink.write([event(number, "x" * 200)])
    gone = numbers(tmp_path / "calls.jsonl.3")
    (tmp_path / "calls.jsonl.3").unlink()
    left = [number for number in range(1, 20) if number not in gone]
    kept = follow_all(reader)
    assert kept == [number for number in left if number >= kept[0]]
    reader.close()  # type: ignore[attr-defined] # a generator


def test_a_line_that_does_not_fit_and_a_file_that_is_away_are_both_counted(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    sink = JsonLinesSink(tmp_path / "logs" / "calls.jsonl", max_bytes=500)
    (tmp_path / "logs" / "calls.jsonl").unlink()
    (tmp_path / "logs").rmdir()
    with pytest.raises(EventsLost, match="No such file") as raised:
        sink.write([event(0), event(1, "x" * 500), event(2)])
    assert raised.value.lost == 3
