"""An opt-out under a name that there is not: it counts, and one line says so, once a process."""

from pathlib import Path

import pytest
from conftest import Run, tree

from getpatter.telemetry import consent, env
from getpatter.telemetry.testing import Receiver

START = "from getpatter import Patter\nfor _ in range(3): Patter(carrier='none')\n"


def decided(environ: dict[str, str], dotenv: dict[str, str] | None = None) -> consent.Rule:
    settings = env.Settings(environ, dotenv or {})
    return consent.decide(consent.judge(settings, None, None))


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("PATTER_TELEMTRY", "0", "PATTER_TELEMETRY"),
        ("PATTER_TELEMETY", "false", "PATTER_TELEMETRY"),
        ("PATTER_TELMETRY", "no", "PATTER_TELEMETRY"),
        ("PATTER_TELEMETRY_ENABLED", " Off ", "PATTER_TELEMETRY"),
        ("PATTER_ENABLE_TELEMETRY", "0", "PATTER_TELEMETRY"),
        ("patter_telemetry", "0", "PATTER_TELEMETRY"),
        ("GETPATTER_TELEMETRY", "disabled", "PATTER_TELEMETRY"),
        ("PATTER_TELEMETRY_DISABLE", "1", "PATTER_TELEMETRY_DISABLED"),
        ("PATTER_TELEMTRY_DISABLED", "true", "PATTER_TELEMETRY_DISABLED"),
        ("PATTER_DISABLE_TELEMETRY", "yes", "PATTER_TELEMETRY_DISABLED"),
        ("PATTER_NO_TELEMETRY", "1", "PATTER_TELEMETRY_DISABLED"),
        ("PATTER_TELEMETRY_OPT_OUT", "1", "PATTER_TELEMETRY_DISABLED"),
        ("PATTER_TELEMETRY_OPTOUT", "on", "PATTER_TELEMETRY_DISABLED"),
        ("PATTER_TELEMETRY_OFF", "x", "PATTER_TELEMETRY_DISABLED"),
        ("PATER_TELEMETRY", "0", "PATTER_TELEMETRY"),
        ("PATTERR_TELEMETRY", "off", "PATTER_TELEMETRY"),
        ("PATTER-TELEMETRY", "0", "PATTER_TELEMETRY"),
        ("PATTER_TEELMETRY", "0", "PATTER_TELEMETRY"),
        ("PATTER_ETLEMETRY", "0", "PATTER_TELEMETRY"),
        ("PATER_TELEMETRY_DISABLED", "1", "PATTER_TELEMETRY_DISABLED"),
        ("DO_NOT_TRAK", "1", "DO_NOT_TRACK"),
        ("DO_NOT_TRACKS", "1", "DO_NOT_TRACK"),
        ("DO_NOT_TARCK", "true", "DO_NOT_TRACK"),
        ("DO_NOT-TRACK", "1", "DO_NOT_TRACK"),
        ("DONOT_TRACK", "1", "DO_NOT_TRACK"),
        ("O_NOT_TRACK", "1", "DO_NOT_TRACK"),
        ("do_not_track", "1", "DO_NOT_TRACK"),
    ],
)
def test_what_looks_like_an_opt_out_is_one(name: str, value: str, meant: str) -> None:
    for rule in (decided({name: value}), decided({}, {name: value})):
        assert (rule.off, rule.name) == (True, meant)
        assert f"as {name}. Did you mean {meant}?" in rule.why


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PATTER_TELEMTRY", "1"),
        ("PATTER_TELEMTRY", ""),
        ("PATTER_TELEMTRY", "maybe"),
        ("PATTER_TELEMETRY_DISABLE", "0"),
        ("PATTER_NO_TELEMETRY", "false"),
        ("PATTER_TELEMETRY_SAMPLE", "0"),
        ("PATTER_TELEMETRY_EXIT", "none"),
        ("PATTER_TELEMETRY_DEBUG", "0"),
        ("PATTER_TELNYX_DISABLED", "1"),
        ("PATTER_TEMPLATE", "0"),
        ("OTHER_TELEMETRY", "0"),
        ("OTHER_TELEMETRY_DISABLED", "1"),
        ("PATER_TELEMETRY", "1"),
        ("DO_NOT_TRAK", "0"),
        ("DO_NOT_TRAK", "false"),
        ("DO_NOT_TASK", "1"),
        ("DO_NOT_TRACK_ME", "1"),
        ("DONT_TRACK", "1"),
        ("NOT_TRACK", "1"),
    ],
)
def test_what_does_not_is_none(name: str, value: str) -> None:
    assert decided({name: value}).name == "default"
    assert decided({}, {name: value}).name == "default"


def test_a_name_that_would_act_on_a_terminal_is_written_out() -> None:
    rule = decided({"PATTER_TELEMETRY\x1b[2J" + "X" * 5_000: "0"})
    assert rule.off
    assert rule.why.isprintable()
    assert len(rule.why) < 200


def test_a_start_says_so_once_and_touches_nothing(run: Run, receiver: Receiver, home: Path) -> None:
    before = tree(home)
    done = run(START, catch_up=False, PATTER_TELEMTRY="0")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == (
        "getpatter: PATTER_TELEMTRY is not a known variable; it reads as an opt-out, so telemetry "
        "is off. Did you mean PATTER_TELEMETRY?\n"
    )
    assert receiver.requests == []
    assert tree(home) == before


def test_also_in_dotenv(run: Run, receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "work" / ".env").write_text("PATTER_TELEMETRY_DISABLE=1\n")
    done = run(START, catch_up=False)
    assert done.stderr.count("Did you mean PATTER_TELEMETRY_DISABLED?") == 1
    assert len(done.stderr.splitlines()) == 1
    assert receiver.requests == []


def test_nothing_is_said_where_it_does_not_decide(run: Run) -> None:
    assert run(START, catch_up=False, PATTER_TELEMTRY="0", DO_NOT_TRACK="1").stderr == ""
    assert run(START, catch_up=False, PATTER_TELEMTRY="0", CI="1").stderr == ""
    flag = START.replace("'none'", "'none', telemetry=False")
    assert run(flag, catch_up=False, PATTER_TELEMTRY="0").stderr == ""


def test_a_stderr_that_is_gone_is_no_error(run: Run) -> None:
    code = "import sys; sys.stderr = None\n" + START
    assert run(code, catch_up=False, PATTER_TELEMTRY="0").returncode == 0
