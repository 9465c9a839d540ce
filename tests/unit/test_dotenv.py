"""A `.env` that cannot be read, or not in full: what may be an opt-out is one."""

import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import time_machine
from conftest import Run

from getpatter.telemetry import consent

LINE = "DO_NOT_TRACK=1\n"


@pytest.fixture
def dotenv(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of the `.env` of the working directory, which is not there yet."""
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".env"


def decided(home: Path) -> consent.Rule:
    asked = consent.Consent({"HOME": str(home)})
    rule = consent.decide(asked.rules())
    assert rule.off is (asked.settings() is None)
    return rule


@pytest.mark.parametrize("line", [LINE, "OTHER=1\n", "DO_NOT_TRACK=0\n"])
def test_one_that_is_too_long_may_say_off(home: Path, dotenv: Path, line: str) -> None:
    dotenv.write_text(line + "#" * 65_537)
    rule = decided(home)
    assert (rule.name, rule.off) == ("DO_NOT_TRACK", True)
    assert rule.why == f"may be set: {dotenv} cannot be read (it is longer than 64 KiB)"


def test_one_that_is_a_loop_of_links_may_say_off(home: Path, dotenv: Path) -> None:
    dotenv.symlink_to(".env")
    assert str(dotenv) in decided(home).why


@pytest.mark.parametrize("kind", ["missing", "dangling link", "directory", "pipe", "device"])
def test_one_that_is_no_file_says_nothing(home: Path, dotenv: Path, kind: str) -> None:
    if kind == "directory":
        dotenv.mkdir()
    elif kind == "pipe":
        os.mkfifo(dotenv)
    elif kind != "missing":
        dotenv.symlink_to("/dev/zero" if kind == "device" else "nowhere")
    assert decided(home).off is False


@pytest.mark.parametrize("closed", ["file", "directory"])
def test_one_that_this_user_may_not_read_may_say_off(run: Run, tmp_path: Path, closed: str) -> None:
    """A program that gives its rights away, in the directory that it was started in."""
    place = tmp_path / "theirs"
    place.mkdir(mode=0o700)
    (place / ".env").write_text("OTHER=1\n")
    (place / ".env").chmod(0)
    tmp_path.chmod(0o755)
    code = """
import os
from getpatter.telemetry import consent
asked = consent.Consent({"HOME": "/"})
asked.places
os.chmod(".", MODE)
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(54321); os.setuid(54321)
print(consent.decide(asked.rules()).why)
""".replace("MODE", "0o755" if closed == "file" else "0")
    done = run(code, cwd=place)
    place.chmod(0o700)
    assert done.stdout == f"may be set: {place}/.env cannot be read (Permission denied)\n"
    assert done.stderr == ""


def test_status_says_which_file_and_why(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "work" / ".env"
    path.write_text("#" * 70_000)
    done = run("from getpatter.cli import main; main(['telemetry', 'status'])")
    said = f"may be set: {path} cannot be read (it is longer than 64 KiB)"
    assert done.stdout.startswith(f"Telemetry is off: DO_NOT_TRACK ({said}).\n")


@pytest.mark.parametrize(
    "text",
    [
        'KEY="open\nDO_NOT_TRACK=1\n',
        "KEY='open\nDO_NOT_TRACK=1\n",
        'KEY="open\nDO_NOT_TRACK=1\nOTHER="closed"\n',
        "KEY='it\nOTHER=2\nPATTER_TELEMETRY=0\nNAME='Ann'\n",
        'KEY="open\nexport PATTER_TELEMETRY_DISABLED=true\nOTHER=""\n',
        'KEY="open\r\nDO_NOT_TRACK = 1\r\nOTHER="closed"\r\n',
        'KEY="open\rDO_NOT_TRACK=1\rOTHER="closed"\r',
        'DO_NOT_TRACK=0\nKEY="open\nDO_NOT_TRACK=1\nOTHER="closed"\n',
        "DO_NOT_TRACK='1\n",
        'DO_NOT_TRACK="1\nOTHER=1\n',
        "DO_NOT_TRACK: 1\n",
        "set DO_NOT_TRACK=1\n",
        'KEY="a valid value\nDO_NOT_TRACK=1\nthat is long"\n',
    ],
)
def test_an_opt_out_that_a_quote_hides_is_one(home: Path, dotenv: Path, text: str) -> None:
    dotenv.write_bytes(text.encode())
    assert decided(home).off is True


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("DO_NOT_TRACK: 1\n", "it is not NAME=value"),
        ("set DO_NOT_TRACK=1\n", "it is not NAME=value"),
        (
            "DO_NOT_TRACK='1\n",
            "a quote in it or above it may not be closed, or the file is not UTF-8",
        ),
        (
            'KEY="open\nDO_NOT_TRACK=1\nX="\n',
            "a quote in it or above it may not be closed, or the file is not UTF-8",
        ),
        (
            'KEY="open\nDO_NOT_TRACK: 1\nX="\n',
            "a quote in it or above it may not be closed, or the file is not UTF-8",
        ),
    ],
)
def test_why_its_line_cannot_be_read_is_said(home: Path, dotenv: Path, text: str, why: str) -> None:
    dotenv.write_text(text)
    assert decided(home).why == f"set in .env, in a line that cannot be read ({why})"


@pytest.mark.parametrize(
    "text",
    [
        'KEY="open\nOTHER=1\n',
        'KEY="open\nDO_NOT_TRACK=0\nOTHER="closed"\n',
        'KEY="open\n# DO_NOT_TRACK=1\nOTHER="closed"\n',
        'KEY="open\nPATTER_TELEMETRY=yes\n',
        'KEY="open\nMY_DO_NOT_TRACK=1\nOTHER="closed"\n',
        "# DO_NOT_TRACK=1\nKEY='a\nb'\n",
    ],
)
def test_what_a_quote_hides_and_says_no_opt_out_is_none(
    home: Path, dotenv: Path, text: str
) -> None:
    dotenv.write_text(text)
    assert decided(home).off is False


INVISIBLE: dict[str, Callable[[str], bytes]] = {
    "UTF-16 without its mark": lambda line: f"OTHER=1\n{line}\n".encode("utf-16-le"),
    "the other one": lambda line: f"OTHER=1\n{line}\n".encode("utf-16-be"),
    "UTF-32": lambda line: f"OTHER=1\n{line}\n".encode("utf-32"),
    "two files with a mark each": lambda line: f"\ufeffOTHER=1\n\ufeff{line}\n".encode(),
    "a space without a width": lambda line: f"OTHER=1\n\u200b{line}\n".encode(),
    "behind the name": lambda line: line.replace("=", "\u2060=").encode(),
    "NUL": lambda line: f"OTHER=1\0\n\0{line}\n".encode(),
}


@pytest.mark.parametrize(("line", "is_off"), [("DO_NOT_TRACK=1", True), ("DO_NOT_TRACK=0", False)])
@pytest.mark.parametrize("written", INVISIBLE.values(), ids=INVISIBLE)
def test_an_opt_out_beside_what_no_editor_shows_is_one(
    home: Path, dotenv: Path, written: Callable[[str], bytes], line: str, *, is_off: bool
) -> None:
    dotenv.write_bytes(written(line))
    assert decided(home).off is is_off


def test_nothing_but_an_opt_out_counts_below_an_open_quote(home: Path, dotenv: Path) -> None:
    dotenv.write_text('KEY="open\nPATTER_TELEMETRY_SAMPLE=0.5\nOTHER="closed"\n')
    settings = consent.Consent({"HOME": str(home)}).settings()
    assert settings is not None
    assert settings.sample_rate == 1.0


@contextmanager
def without_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_run_that_has_no_descriptor_left_knows_what_it_read(home: Path, dotenv: Path) -> None:
    dotenv.write_text("PATTER_TELEMETRY_SAMPLE=0.5\n")
    asked, late = (consent.Consent({"HOME": str(home)}) for _ in range(2))
    assert asked.settings() is not None
    with without_descriptors():
        known, unknown = asked.settings(), late.settings()
        dotenv.rename(dotenv.with_name("away"))
        away = late.settings()
    assert known is not None
    assert known.sample_rate == 0.5
    assert unknown is None, "it may say off"
    assert away is not None


def test_a_file_that_has_changed_where_no_descriptor_is_left_may_say_off(
    home: Path, dotenv: Path
) -> None:
    dotenv.write_text("PATTER_TELEMETRY_SAMPLE=0.5\n")
    asked = consent.Consent({"HOME": str(home)})
    assert asked.settings() is not None
    dotenv.with_name("new").write_text(LINE)
    dotenv.with_name("new").rename(dotenv)
    with without_descriptors():
        settings = asked.settings()
    assert settings is None


def a_tick_later(dotenv: Path) -> None:
    """Wait until the clock that dates files has gone on, a few milliseconds."""
    probe = dotenv.with_name("probe")
    probe.touch()
    while probe.stat().st_ctime_ns == dotenv.stat().st_ctime_ns:
        probe.write_text("x")


def in_place(dotenv: Path, text: str) -> None:
    dotenv.write_text(text)


def with_its_old_date(dotenv: Path, text: str) -> None:
    before = dotenv.stat()
    dotenv.write_text(text)
    os.utime(dotenv, ns=(before.st_atime_ns, before.st_mtime_ns))


def by_another_file(dotenv: Path, text: str) -> None:
    other = dotenv.with_name("other")
    other.write_text(text)
    other.replace(dotenv)


@pytest.mark.parametrize("hours", [0, 1, -1], ids=["now", "later", "a clock that was set back"])
@pytest.mark.parametrize("changed", [in_place, with_its_old_date, by_another_file])
def test_an_opt_out_counts_however_the_file_comes_to_say_so(
    home: Path, dotenv: Path, changed: Callable[[Path, str], None], hours: int
) -> None:
    """Also where it is as long as what it replaces, and read again and again."""
    dotenv.write_text("DO_NOT_TRACK=0\n")
    asked = consent.Consent({"HOME": str(home)})
    with time_machine.travel(time.time() + hours * 3_600, tick=True):
        assert all(asked.settings() is not None for _ in range(3))
        a_tick_later(dotenv)
        changed(dotenv, "DO_NOT_TRACK=1\n")
        assert asked.settings() is None
        dotenv.unlink()
        assert asked.settings() is not None
        dotenv.write_text("DO_NOT_TRACK=1\n")
        assert asked.settings() is None
