"""The whole truth table of consent: which rule decides, whatever the others say.

pytest itself is a test run, so the rules are asked with an environment made from scratch; what
needs the process's own environment runs in a child process.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Run, tree

from getpatter.telemetry import consent, env
from getpatter.telemetry.places import Places

MARKER = "telemetry-disabled"

# How people write yes and no, and what else can stand in a variable.
TRUTHY = (
    "1",
    "true",
    "True",
    "TRUE",
    "yes",
    "on",
    "y",
    "t",
    "2",
    "-1",
    " 1 ",
    "\ttrue\n",
    "x",
    "no!",
)
FALSY = (
    "",
    "0",
    "false",
    "False",
    "FALSE",
    "no",
    "No",
    "off",
    "OFF",
    " 0 ",
    "\tfalse\n",
    " ",
    "\n",
)
# `PATTER_TELEMETRY` alone reads it the other way round: only a clear yes is one.
YES = (
    "",
    "1",
    "true",
    "True",
    "TRUE",
    "yes",
    "Yes",
    "on",
    "ON",
    "y",
    "Y",
    "t",
    "T",
    " 1 ",
    "\tyes\n",
    " ",
)
NO = (
    "0",
    "false",
    "no",
    "off",
    "n",
    "f",
    "False",
    "OFF",
    " 0 ",
    "2",
    "-1",
    "disabled",
    "maybe",
    "1.",
    "yess",
)

CI_VARIABLES = (
    "CI",
    "CONTINUOUS_INTEGRATION",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "TRAVIS",
    "CIRCLECI",
    "APPVEYOR",
    "TF_BUILD",
    "TEAMCITY_VERSION",
    "BUILDKITE",
    "DRONE",
    "JENKINS_URL",
    "HUDSON_URL",
    "BAMBOO_BUILDKEY",
    "CODEBUILD_BUILD_ID",
)

Decide = Callable[..., tuple[bool, str]]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    directory = tmp_path / "work"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


@pytest.fixture
def decide(home: Path, monkeypatch: pytest.MonkeyPatch, work: Path) -> Decide:
    """Answer (is on, the rule that decides) for `decide(flag, NAME="value")`."""
    assert not list(work.iterdir())
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)

    def ask(flag: bool | None = None, **variables: str) -> tuple[bool, str]:
        environ = {"HOME": str(home), **variables}
        rules = consent.judge(env.Settings.load(environ), flag, Places.of(environ).opt_out())
        decided = consent.decide(rules)
        is_on = consent.resolve(environ, flag) is not None
        # What the client asks and what `status` shows are two ways to the same answer.
        assert is_on is not decided.off
        return is_on, decided.name

    return ask


def test_nothing_set_is_on(decide: Decide) -> None:
    assert decide() == (True, "default")


@pytest.mark.parametrize("name", ["DO_NOT_TRACK", "PATTER_TELEMETRY_DISABLED"])
@pytest.mark.parametrize("value", TRUTHY)
def test_truthy_opt_out_is_off(decide: Decide, name: str, value: str) -> None:
    assert decide(**{name: value}) == (False, name)


@pytest.mark.parametrize("name", ["DO_NOT_TRACK", "PATTER_TELEMETRY_DISABLED"])
@pytest.mark.parametrize("value", FALSY)
def test_falsy_opt_out_says_nothing(decide: Decide, name: str, value: str) -> None:
    assert decide(**{name: value}) == (True, "default")


@pytest.mark.parametrize("value", NO)
def test_patter_telemetry_that_is_no_clear_yes_is_off(decide: Decide, value: str) -> None:
    assert decide(PATTER_TELEMETRY=value) == (False, "PATTER_TELEMETRY")


@pytest.mark.parametrize("value", YES)
def test_patter_telemetry_that_is_yes_says_nothing(decide: Decide, value: str) -> None:
    assert decide(PATTER_TELEMETRY=value) == (True, "default")


@pytest.mark.parametrize("name", CI_VARIABLES)
@pytest.mark.parametrize("value", ["true", "1", "https://ci.example/"])
def test_each_ci_variable_is_off(decide: Decide, name: str, value: str) -> None:
    assert decide(**{name: value}) == (False, "CI or test run")


@pytest.mark.parametrize("name", CI_VARIABLES)
@pytest.mark.parametrize("value", ["", "0", "False", " no "])
def test_falsy_ci_variable_says_nothing(decide: Decide, name: str, value: str) -> None:
    assert decide(**{name: value}) == (True, "default")


@pytest.mark.parametrize("name", ["PYTEST_CURRENT_TEST", "PYTEST_VERSION"])
@pytest.mark.parametrize("value", ["tests/test_x.py::test (call)", "8.3", "", "0"])
def test_pytest_variable_that_is_present_is_off(decide: Decide, name: str, value: str) -> None:
    assert decide(**{name: value}) == (False, "CI or test run")


@pytest.mark.parametrize("name", ["PATTER_ENV", "NODE_ENV"])
def test_environment_named_test_is_off(decide: Decide, name: str) -> None:
    assert decide(**{name: "test"}) == (False, "CI or test run")
    assert decide(**{name: " Test "}) == (False, "CI or test run")
    for other in ("", "production", "testing", "tests", "1"):
        assert decide(**{name: other}) == (True, "default")


def test_flag_false_is_off(decide: Decide) -> None:
    assert decide(False) == (False, "telemetry=False")


@pytest.mark.parametrize(
    ("variables", "rule"),
    [
        ({"DO_NOT_TRACK": "1"}, "DO_NOT_TRACK"),
        ({"PATTER_TELEMETRY": "0"}, "PATTER_TELEMETRY"),
        ({"PATTER_TELEMETRY_DISABLED": "1"}, "PATTER_TELEMETRY_DISABLED"),
        ({"CI": "1"}, "CI or test run"),
        ({"PYTEST_VERSION": "8"}, "CI or test run"),
    ],
)
def test_a_yes_overrides_nothing(decide: Decide, variables: dict[str, str], rule: str) -> None:
    assert decide(True, **variables) == (False, rule)
    assert decide(True, **{"PATTER_TELEMETRY": "1", **variables}) == (False, rule)


def test_a_yes_does_not_override_marker_and_flag(decide: Decide, home: Path) -> None:
    assert decide(False, PATTER_TELEMETRY="1") == (False, "telemetry=False")
    put_marker(home / ".getpatter")
    assert decide(True, PATTER_TELEMETRY="1") == (False, "opt-out marker")


def test_first_rule_that_says_off_is_named(decide: Decide, home: Path) -> None:
    """Everything says off; then one after the other is taken away, from the first on."""
    put_marker(home / ".getpatter")
    variables = {
        "DO_NOT_TRACK": "1",
        "PATTER_TELEMETRY": "0",
        "PATTER_TELEMETRY_DISABLED": "1",
        "CI": "1",
    }
    for rule in ("DO_NOT_TRACK", "PATTER_TELEMETRY", "PATTER_TELEMETRY_DISABLED"):
        assert decide(False, **variables) == (False, rule)
        del variables[rule]
    assert decide(False, **variables) == (False, "opt-out marker")
    (home / ".getpatter" / MARKER).unlink()
    assert decide(False, **variables) == (False, "telemetry=False")
    assert decide(**variables) == (False, "CI or test run")
    del variables["CI"]
    assert decide(**variables) == (True, "default")


def test_every_rule_is_judged_in_order() -> None:
    rules = consent.judge(env.Settings({"DO_NOT_TRACK": "1", "CI": "1"}, {}), False, None)
    assert [(rule.name, rule.off) for rule in rules] == [
        ("DO_NOT_TRACK", True),
        ("PATTER_TELEMETRY", False),
        ("PATTER_TELEMETRY_DISABLED", False),
        ("opt-out marker", False),
        ("telemetry=False", True),
        ("CI or test run", True),
    ]


# .env


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("DO_NOT_TRACK=1", "DO_NOT_TRACK"),
        ("export DO_NOT_TRACK = ' Yes '", "DO_NOT_TRACK"),
        ("PATTER_TELEMETRY=0", "PATTER_TELEMETRY"),
        ('PATTER_TELEMETRY="maybe"', "PATTER_TELEMETRY"),
        ("PATTER_TELEMETRY_DISABLED=true # please", "PATTER_TELEMETRY_DISABLED"),
    ],
)
def test_opt_out_in_dotenv_is_off(decide: Decide, work: Path, line: str, rule: str) -> None:
    (work / ".env").write_text(f"OTHER=1\n{line}\n")
    assert decide() == (False, rule)


@pytest.mark.parametrize(
    ("name", "no", "yes"),
    [
        ("DO_NOT_TRACK", "1", "0"),
        ("PATTER_TELEMETRY", "0", "1"),
        ("PATTER_TELEMETRY_DISABLED", "1", "0"),
    ],
)
def test_opt_out_in_either_place_is_an_opt_out(
    decide: Decide, work: Path, name: str, no: str, yes: str
) -> None:
    (work / ".env").write_text(f"{name}={no}\n")
    assert decide(**{name: yes}) == (False, name)
    (work / ".env").write_text(f"{name}={yes}\n")
    assert decide(**{name: no}) == (False, name)
    assert decide(**{name: yes}) == (True, "default")


def test_earlier_rule_in_dotenv_wins_over_later_in_environment(decide: Decide, work: Path) -> None:
    (work / ".env").write_text("DO_NOT_TRACK=1\n")
    assert decide(PATTER_TELEMETRY="0") == (False, "DO_NOT_TRACK")


def test_ci_and_test_variables_do_not_count_in_dotenv(decide: Decide, work: Path) -> None:
    (work / ".env").write_text("CI=1\nPYTEST_VERSION=8\nNODE_ENV=test\n")
    assert decide() == (True, "default")


# the stored opt-out


def put_marker(place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    (place / MARKER).touch()


def test_marker_wins_over_flag(decide: Decide, home: Path) -> None:
    put_marker(home / ".getpatter")
    for flag in (None, True, False):
        assert decide(flag) == (False, "opt-out marker")


@pytest.mark.parametrize("place", ["xdg/getpatter", "xdg", "home/.getpatter", "own"])
@pytest.mark.parametrize("is_moved", [False, True])
def test_marker_counts_in_every_known_place(
    decide: Decide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, is_moved: bool
) -> None:
    """Whatever the state directory is set to."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    variables = {"XDG_STATE_HOME": str(tmp_path / "xdg")}
    if is_moved:
        variables["PATTER_TELEMETRY_STATE_DIR"] = str(tmp_path / "elsewhere")
    elif place == "own":
        variables["PATTER_TELEMETRY_STATE_DIR"] = str(tmp_path / "own")
    assert decide(**variables) == (True, "default")
    put_marker(tmp_path / place)
    expected = (True, "default") if is_moved and place == "own" else (False, "opt-out marker")
    assert decide(**variables) == expected


def test_marker_counts_in_the_default_place_while_state_is_elsewhere(
    run: Run, home: Path, tmp_path: Path
) -> None:
    place = run(
        "import platformdirs; print(platformdirs.user_state_dir('getpatter', appauthor=False))"
    ).stdout.strip()
    assert Path(place).is_relative_to(home)
    put_marker(Path(place))
    assert is_enabled(run, PATTER_TELEMETRY_STATE_DIR=str(tmp_path / "elsewhere")) is False


@pytest.mark.parametrize("kind", ["empty", "text", "directory", "dangling link", "loop"])
def test_marker_counts_whatever_it_is(decide: Decide, home: Path, kind: str) -> None:
    place = home / ".getpatter"
    place.mkdir()
    marker = place / MARKER
    if kind == "directory":
        marker.mkdir()
    elif kind == "dangling link":
        marker.symlink_to("nowhere")
    elif kind == "loop":
        marker.symlink_to(marker)
    else:
        marker.write_text("false" if kind == "text" else "")
    assert decide() == (False, "opt-out marker")


def test_place_that_is_a_file_holds_no_marker(decide: Decide, home: Path) -> None:
    (home / ".getpatter").write_text("")
    assert decide() == (True, "default")


def test_place_that_is_a_loop_cannot_be_known_and_is_off(decide: Decide, home: Path) -> None:
    (home / ".getpatter").symlink_to(".getpatter")
    assert decide() == (False, "opt-out marker")


def test_place_with_too_long_a_name_cannot_be_known_and_is_off(decide: Decide, home: Path) -> None:
    assert decide(PATTER_TELEMETRY_STATE_DIR=str(home / ("x" * 300))) == (False, "opt-out marker")
    assert decide(XDG_STATE_HOME=str(home / ("x" * 300))) == (False, "opt-out marker")


def test_place_of_someone_else_cannot_be_known_and_is_off(home: Path) -> None:
    """Root may look anywhere, so a child process gives its rights away first."""
    home.chmod(0o700)
    code = f"""
import os
os.environ.clear()
os.environ["HOME"] = {str(home)!r}
from getpatter.telemetry import consent, env
from getpatter.telemetry.places import Places
import platformdirs
os.chdir("/")
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(54321); os.setuid(54321)
else:
    os.chmod({str(home)!r}, 0)
print(consent.is_enabled())
print(Places.of(os.environ).opt_out())
"""
    result = run_plain(code)
    home.chmod(0o700)
    assert result.stderr == ""
    answer, why = result.stdout.splitlines()
    assert answer == "False"
    assert why.endswith("cannot be looked at")


def run_plain(code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=30
    )


# where a run asks


def test_a_run_asks_where_it_asked_at_its_start(
    home: Path, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program has changed its directory and its HOME since."""
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    environ = {"HOME": str(home), "PATTER_TELEMETRY_STATE_DIR": "relative"}
    for place in ("home/.getpatter", "work/relative", "home/.local/state/getpatter"):
        run_consent = consent.Consent(environ)
        assert run_consent.settings() is not None
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", "/nowhere")
        environ["HOME"] = "/nowhere"
        put_marker(tmp_path / place)
        assert run_consent.settings() is None, place
        (tmp_path / place / MARKER).unlink()
        assert run_consent.settings() is not None
        monkeypatch.chdir(work)
        monkeypatch.setenv("HOME", str(home))
        environ["HOME"] = str(home)


def test_a_run_reads_the_dotenv_of_its_start(
    home: Path, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_consent = consent.Consent({"HOME": str(home)})
    assert run_consent.settings() is not None
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("DO_NOT_TRACK=1\n")
    assert run_consent.settings() is not None
    (work / ".env").write_text("PATTER_TELEMETRY_SAMPLE=0.25\n")
    settings = run_consent.settings()
    assert settings is not None
    assert settings.sample_rate == 0.25
    (work / ".env").write_text("DO_NOT_TRACK=1\n")
    assert run_consent.settings() is None


def test_a_process_that_goes_on_for_another_asks_where_that_did(
    home: Path, work: Path, tmp_path: Path
) -> None:
    environ = {"HOME": str(home)}
    theirs, directory = tmp_path / "theirs.env", tmp_path / "state"
    (work / ".env").write_text("DO_NOT_TRACK=1\n")
    asked = consent.Consent(environ, dotenv=str(theirs), directory=str(directory))
    assert asked.settings() is not None
    put_marker(directory)
    assert asked.settings() is None
    (directory / MARKER).unlink()
    theirs.write_text("PATTER_TELEMETRY=0\n")
    assert asked.settings() is None
    assert consent.Consent(environ, dotenv="").settings() is not None


def test_the_environment_of_a_run_is_asked_anew(home: Path, work: Path) -> None:
    assert not list(work.iterdir())
    environ = {"HOME": str(home)}
    asked = consent.Consent(environ)
    assert asked.settings() is not None
    environ["DO_NOT_TRACK"] = "1"
    assert asked.settings() is None
    assert [rule.name for rule in asked.rules() if rule.off] == ["DO_NOT_TRACK"]
    del environ["DO_NOT_TRACK"]
    assert asked.settings() is not None
    assert consent.Consent(environ, False).settings() is None


# the process's own environment


def is_enabled(run: Run, argument: str = "", **variables: str | None) -> bool:
    code = f"from getpatter.telemetry import is_enabled; print(is_enabled({argument}))"
    result = run(code, **variables)
    assert result.stderr == ""
    return {"True": True, "False": False}[result.stdout.strip()]


def test_is_enabled_reads_the_environment_of_the_process(run: Run, home: Path) -> None:
    assert is_enabled(run) is True
    assert is_enabled(run, "True") is True
    assert is_enabled(run, "False") is False
    assert is_enabled(run, "flag=False") is False
    assert is_enabled(run, "True", DO_NOT_TRACK="1") is False
    assert is_enabled(run, "True", CI="true") is False
    put_marker(home / ".getpatter")
    assert is_enabled(run, "True") is False


def test_is_enabled_writes_nothing(run: Run, tmp_path: Path) -> None:
    is_enabled(run)
    before = tree(tmp_path)
    assert is_enabled(run) is True
    assert tree(tmp_path) == before
    assert [name for name in before if name not in {"home", "work"}] == []


def test_pytest_itself_is_a_test_run() -> None:
    assert consent.is_enabled() is False
    assert consent.is_enabled(True) is False


OFF = [
    {"DO_NOT_TRACK": "1"},
    {"PATTER_TELEMETRY": "0"},
    {"PATTER_TELEMETRY_DISABLED": "1"},
    {"CI": "1"},
    {"PYTEST_VERSION": ""},
    {"NODE_ENV": "test"},
]


@pytest.mark.parametrize("variables", OFF, ids=lambda variables: next(iter(variables)))
def test_off_by_environment_touches_no_file(
    run: Run, tmp_path: Path, variables: dict[str, str]
) -> None:
    """Neither the `.env` nor a marker is even looked at, and no third-party package is loaded."""
    before = tree(tmp_path)
    assert asked_paths(run, "None", **variables) == []
    assert {name: fact for name, fact in tree(tmp_path).items() if name in before} == before


def test_off_by_flag_touches_no_file(run: Run) -> None:
    assert asked_paths(run, "False") == []


def test_who_is_not_off_looks_for_dotenv_and_markers(run: Run) -> None:
    """That the two tests above would notice."""
    asked = asked_paths(run, "None")
    assert any(path.endswith("/.env") for path in asked)
    assert any(path.endswith(MARKER) for path in asked)


def asked_paths(run: Run, flag: str, **variables: str) -> list[str]:
    """Return the paths that a decision asks the operating system for, imports of ours excluded."""
    code = f"""
import json, os, sys
from getpatter.telemetry import consent
asked = []
def spy(name, real):
    def asking(path, *rest, **more):
        asked.append(os.fspath(path) if not isinstance(path, int) else str(path))
        return real(path, *rest, **more)
    setattr(os, name, asking)
for name in ("open", "stat", "lstat", "listdir", "scandir", "mkdir", "makedirs"):
    spy(name, getattr(os, name))
consent.is_enabled({flag})
foreign = sorted(name for name in ("dotenv", "platformdirs", "requests", "jsonschema")
                 if name in sys.modules)
print(json.dumps([asked, foreign]))
"""
    result = run(code, **variables)
    assert result.stderr == ""
    asked, foreign = json.loads(result.stdout)
    return [*asked, *foreign]
