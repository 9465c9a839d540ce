"""What is read from the environment and from a `.env`, and what is left alone."""

import logging
import os
import stat
import threading
from pathlib import Path

import pytest
from conftest import Run

from getpatter.telemetry import env

FIVE = {
    "DO_NOT_TRACK": "0",
    "PATTER_TELEMETRY": "1",
    "PATTER_TELEMETRY_DISABLED": "no",
    "PATTER_TELEMETRY_SAMPLE": "0.25",
    "PATTER_TELEMETRY_DEBUG": "1",
}
KIBIBYTES_64 = 65_536


@pytest.fixture
def dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of the `.env` of the working directory, which is not there yet."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".env"


def test_only_five_variables_count(dotenv: Path) -> None:
    """An untrusted folder must not redirect data or move state."""
    others = {
        "PATTER_TELEMETRY_ENDPOINT": "https://evil.example",
        "PATTER_TELEMETRY_STATE_DIR": "elsewhere",
        "PATTER_TELEMETRY_EXIT": "wait",
        "CI": "1",
        "HTTPS_PROXY": "http://evil.example",
        "DO_NOT_TRACK_ME": "1",
        "track": "0",
    }
    dotenv.write_text("".join(f"{name}={value}\n" for name, value in {**FIVE, **others}.items()))
    settings = env.Settings.load({})
    assert settings.dotenv == FIVE
    assert settings.endpoint is None
    assert settings.debug is True
    assert settings.sample_rate == 0.25
    for name in others:
        assert settings.get(name) is None


def test_endpoint_comes_from_the_environment_and_empty_is_unset() -> None:
    assert env.Settings({"PATTER_TELEMETRY_ENDPOINT": "x"}, {}).endpoint == "x"
    assert env.Settings({"PATTER_TELEMETRY_ENDPOINT": ""}, {}).endpoint is None
    assert env.Settings({}, {"PATTER_TELEMETRY_ENDPOINT": "x"}).endpoint is None


def test_environment_wins_over_dotenv() -> None:
    settings = env.Settings(
        {"PATTER_TELEMETRY_SAMPLE": "0.5", "PATTER_TELEMETRY_DEBUG": ""},
        {"PATTER_TELEMETRY_SAMPLE": "0.25", "PATTER_TELEMETRY_DEBUG": "1"},
    )
    assert settings.sample_rate == 0.5
    assert settings.debug is False


def test_environ_is_not_changed(dotenv: Path, run: Run, tmp_path: Path) -> None:
    dotenv.write_text("".join(f"{name}={value}\n" for name, value in FIVE.items()))
    code = """
import os
before = dict(os.environ)
from getpatter.telemetry import env, is_enabled
assert env.sample_rate() == 0.25
assert env.Settings.load().debug
is_enabled()
assert dict(os.environ) == before
"""
    assert run(code, cwd=tmp_path).stderr == ""


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("DO_NOT_TRACK=1", "1"),
        ("DO_NOT_TRACK=1\r", "1"),
        ("  DO_NOT_TRACK  =  1  ", "1"),
        ("export DO_NOT_TRACK=1", "1"),
        ("'DO_NOT_TRACK'=1", "1"),
        ("DO_NOT_TRACK='1'", "1"),
        ('DO_NOT_TRACK="1"', "1"),
        ('DO_NOT_TRACK="a\\nb"', "a\nb"),
        ("DO_NOT_TRACK=1 # why", "1"),
        ("DO_NOT_TRACK='1' # why", "1"),
        ("DO_NOT_TRACK=", ""),
        ("DO_NOT_TRACK", ""),
        ("DO_NOT_TRACK=0\nDO_NOT_TRACK=1", "1"),
        ("DO_NOT_TRACK=${HOME}", "${HOME}"),  # nothing is filled in
        ("DO_NOT_TRACK=日本", "日本"),
        ("DO_NOT_TRACK=a\x00b", "a\x00b"),
    ],
)
def test_spellings_of_a_line(dotenv: Path, line: str, value: str) -> None:
    dotenv.write_bytes(f"# first\n{line}\nLAST=1\n".encode())
    assert env.read_dotenv(".env") == {"DO_NOT_TRACK": value, "LAST": "1"}


@pytest.mark.parametrize(
    "odd",
    [
        "=",
        "=1",
        "a b c",
        "'",
        '"',
        "DO_NOT_TRACK='1",
        'X="1',
        "\\",
        "{}",
        "X='a'b",
        "\x00",
        "\xff",
        "export",
    ],
)
def test_odd_line_loses_itself_only(dotenv: Path, odd: str) -> None:
    dotenv.write_bytes(b"FIRST=1\n" + odd.encode("latin-1") + b"\nLAST=1\n")
    found = env.read_dotenv(".env")
    assert found["FIRST"] == "1"
    assert found["LAST"] == "1"


def test_odd_lines_are_not_logged(
    dotenv: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    dotenv.write_text("=\n'\na b c\nDO_NOT_TRACK='1\n")
    with caplog.at_level(logging.DEBUG):
        env.read_dotenv(".env")
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_byte_order_mark_hides_nothing(dotenv: Path, encoding: str) -> None:
    """Windows shells write UTF-16: an opt-out in it counts."""
    mark = "\ufeff" if encoding in {"utf-16-le", "utf-16-be"} else ""
    dotenv.write_bytes((mark + "DO_NOT_TRACK=1\r\n").encode(encoding))
    assert env.read_dotenv(".env") == {"DO_NOT_TRACK": "1"}


def test_missing_file_sets_nothing(dotenv: Path) -> None:
    assert env.read_dotenv(".env") == {}
    dotenv.symlink_to("nowhere")
    assert env.read_dotenv(".env") == {}
    assert env.read_dotenv("a\x00b") == {}
    assert env.read_dotenv("x" * 5_000) == {}


def test_link_to_a_regular_file_counts(dotenv: Path, tmp_path: Path) -> None:
    (tmp_path / "shared").write_text("DO_NOT_TRACK=1\n")
    dotenv.symlink_to("shared")
    assert env.read_dotenv(".env") == {"DO_NOT_TRACK": "1"}


def test_directory_is_ignored(dotenv: Path) -> None:
    dotenv.mkdir()
    assert env.read_dotenv(".env") == {}


def test_device_is_ignored(dotenv: Path) -> None:
    dotenv.symlink_to("/dev/zero")
    assert env.read_dotenv(".env") == {}


def test_named_pipe_is_ignored_and_its_writer_left_waiting(dotenv: Path) -> None:
    """Some secret stores serve a `.env` through a named pipe, to one reader at a time: opening it
    would take that place away.
    """
    os.mkfifo(dotenv)
    opened = threading.Event()

    def write() -> None:
        with dotenv.open("wb") as pipe:  # waits until somebody opens it for reading
            opened.set()
            pipe.write(b"DO_NOT_TRACK=1\n")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(100):
            assert env.read_dotenv(".env") == {}
        assert not opened.is_set()
    finally:
        assert dotenv.read_text() == "DO_NOT_TRACK=1\n"
        writer.join(10)
    assert stat.S_ISFIFO(dotenv.stat().st_mode)


def test_64_kibibytes_are_read_and_one_byte_more_is_not(dotenv: Path) -> None:
    line = b"DO_NOT_TRACK=1\n"
    dotenv.write_bytes(b"#" * (KIBIBYTES_64 - len(line) - 1) + b"\n" + line)
    assert dotenv.stat().st_size == KIBIBYTES_64
    assert env.read_dotenv(".env") == {"DO_NOT_TRACK": "1"}
    dotenv.write_bytes(line + b"#" * (KIBIBYTES_64 - len(line)) + b"\n")
    assert dotenv.stat().st_size == KIBIBYTES_64 + 1
    assert env.read_dotenv(".env") == {}


def test_working_directory_that_is_gone_has_no_dotenv(run: Run, tmp_path: Path) -> None:
    code = """
import os
from getpatter.telemetry import env, is_enabled
os.mkdir("gone"); os.chdir("gone"); os.rmdir(os.getcwd())
assert env.read_dotenv(".env") == {}
os.environ["PATTER_TELEMETRY_STATE_DIR"] = "relative"
assert is_enabled()
"""
    assert run(code, cwd=tmp_path).stderr == ""


@pytest.mark.parametrize(
    ("value", "rate", "is_understood"),
    [
        (None, 1.0, True),
        ("", 1.0, True),
        ("  ", 1.0, True),
        ("0", 0.0, True),
        ("0.0", 0.0, True),
        ("-0", 0.0, True),
        ("0.5", 0.5, True),
        (" .5 ", 0.5, True),
        ("\t0.5\n", 0.5, True),
        ("1e-2", 0.01, True),
        ("1E-2", 0.01, True),
        ("+1", 1.0, True),
        ("1", 1.0, True),
        ("1.", 1.0, True),
        ("1.0001", 1.0, False),
        ("-0.1", 1.0, False),
        ("2", 1.0, False),
        ("10%", 0.1, True),
        ("0,5", 0.5, True),
        ("12,5 %", 0.125, True),
        ("100%", 1.0, True),
        ("150%", 1.0, False),
        ("1,000.5", 1.0, False),
        ("10%%", 1.0, False),
        ("\uff10.\uff15", 1.0, False),
        ("nan", 1.0, False),
        ("inf", 1.0, False),
        ("-inf", 1.0, False),
        ("infinity", 1.0, False),
        ("1e999", 1.0, False),
        ("1_0", 1.0, False),
        ("0_1", 1.0, False),
        ("0.1_0", 1.0, False),
        ("\u0660.\u0665", 1.0, False),  # Arabic digits
        ("0x1", 1.0, False),
        ("true", 1.0, False),
        ("half", 1.0, False),
        ("0.5 0.5", 1.0, False),
        ("e", 1.0, False),
    ],
)
def test_spellings_of_a_sample_rate(value: str | None, rate: float, is_understood: bool) -> None:
    assert env.parse_sample_rate(value) == (rate, is_understood)
    environ = {} if value is None else {"PATTER_TELEMETRY_SAMPLE": value}
    assert env.Settings(environ, {}).sample_rate == rate


def test_sample_rate_zero_has_no_sign() -> None:
    """A header shows it."""
    assert repr(env.parse_sample_rate("-0")[0]) == "0.0"


@pytest.mark.parametrize(
    ("value", "seconds", "is_understood"),
    [
        (None, 30.0, True),
        ("", 30.0, True),
        ("0", 30.0, True),
        ("29.5", 30.0, True),
        ("60", 60.0, True),
        (" 1e2 ", 100.0, True),
        ("-1", 30.0, False),
        ("nan", 30.0, False),
        ("inf", 30.0, False),
        ("1e999", 30.0, False),
        ("60s", 30.0, False),
        ("1_0_0", 30.0, False),
    ],
)
def test_the_grace_can_only_be_lengthened(
    value: str | None, seconds: float, is_understood: bool
) -> None:
    environ = {} if value is None else {"PATTER_TELEMETRY_GRACE": value}
    settings = env.Settings(environ, {"PATTER_TELEMETRY_GRACE": "99"})
    assert settings.grace(is_loopback=False) == seconds
    asked, understood = env.parse_grace(value)
    assert settings.grace(is_loopback=True) == asked
    assert understood is is_understood
    assert seconds == max(30.0, asked)


def test_functions_of_the_process_read_its_environment(run: Run) -> None:
    code = """
from getpatter.telemetry import env
print(env.sample_rate(), env.is_ci(), env.is_test(), env.process_environment()["HOME"] != "")
"""
    assert run(code).stdout == "1.0 False False True\n"
    assert run(code, PATTER_TELEMETRY_SAMPLE="0.1", CI="1", NODE_ENV="test").stdout == (
        "0.1 True True True\n"
    )


@pytest.mark.parametrize("value", ["1", "true", " Yes ", "x", "-", "\u0660"])
def test_is_truthy(value: str) -> None:
    assert env.is_truthy(value) is True


@pytest.mark.parametrize("value", [None, "", " ", "0", "false", "no", "off", " OFF\n"])
def test_is_not_truthy(value: str | None) -> None:
    assert env.is_truthy(value) is False
