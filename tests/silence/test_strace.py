"""Off is silent, as the kernel sees it: the whole opt-out table under strace.

The program imports the telemetry, makes a client, records every event there is in every way there
is, closes it and ends. Telemetry that is on is the control: it shows that each check can fail.
"""

from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import tree
from strace import HARMLESS, MARK, Call, Strace, made_by, parse

import getpatter
from getpatter.telemetry.testing import Receiver

CLIENT = """
import getpatter.telemetry
from getpatter.telemetry import TelemetryClient
from getpatter.telemetry._tables import EVENT_NAMES
from getpatter.telemetry.call_metrics import record_call_completed, record_call_started

def use(client):
    assert client.enabled is EXPECTED
    for name in EVENT_NAMES:
        client.record(name)
    record_call_started(client, provider_mode="pipeline", direction="inbound")
    record_call_completed(client, outcome="completed")
    client.flush_pending()
    client.flush(5)
    for coroutine in (client.drain, client.aclose):
        asyncio.run(coroutine()) if client.enabled else run_without_a_loop(coroutine())
    client.stats()
    client.close()

def run_without_a_loop(coroutine):
    # It never waits, so it needs none; a loop of its own would make a socket pair.
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise AssertionError

use(TelemetryClient(sdk_version="1", flag=FLAG))
gc.collect()
"""

# How people write it; the same words as in the truth table of consent.
TRUTHY = ("1", "true", "TRUE", "yes", "on", "y", "t", "2", "-1", " 1 ", "\ttrue\n", "x", "no!")
NO = ("0", "false", "no", "off", "n", "f", "OFF", " 0 ", "2", "-1", "disabled", "maybe", "yess")
CI = (
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
ENVIRONMENTS = [
    *({"DO_NOT_TRACK": value} for value in TRUTHY),
    *({"PATTER_TELEMETRY_DISABLED": value} for value in TRUTHY),
    *({"PATTER_TELEMETRY": value} for value in NO),
    *({name: "true"} for name in CI),
    {"PYTEST_CURRENT_TEST": "test_x.py::test (call)"},
    {"PYTEST_VERSION": "8"},
    {"PATTER_ENV": "test"},
    {"NODE_ENV": "test"},
    # What says on overrides nothing, and what names a place is not looked at.
    {"DO_NOT_TRACK": "1", "PATTER_TELEMETRY": "1", "PATTER_TELEMETRY_DEBUG": "1"},
    {"DO_NOT_TRACK": "1", "PATTER_TELEMETRY_STATE_DIR": "/nowhere", "XDG_STATE_HOME": "/no"},
]
DOTENV = (
    "DO_NOT_TRACK=1",
    "export PATTER_TELEMETRY='off'",
    "# ours\nPATTER_TELEMETRY_DISABLED=yes # no thanks",
)
MARKER_PLACES = {
    "default": (".local/state/getpatter", {}),
    "release": (".getpatter", {}),
    "XDG": ("xdg/getpatter", {"XDG_STATE_HOME": "{home}/xdg"}),
    "bare XDG": ("xdg", {"XDG_STATE_HOME": "{home}/xdg"}),
    "named": ("named", {"PATTER_TELEMETRY_STATE_DIR": "{home}/named"}),
    "default, another named": (
        ".local/state/getpatter",
        {"PATTER_TELEMETRY_STATE_DIR": "{home}/named"},
    ),
    "release, another named": (".getpatter", {"PATTER_TELEMETRY_STATE_DIR": "{home}/named"}),
}
PACKAGE = Path(getpatter.__file__).parent


@pytest.fixture(scope="session")
def strace(tmp_path_factory: pytest.TempPathFactory) -> Strace:
    return Strace(tmp_path_factory.mktemp("strace"))


@pytest.fixture
def environment(child_environment: dict[str, str], receiver: Receiver) -> dict[str, str]:
    """A user's environment; even what goes wrong goes no further than this machine."""
    assert child_environment["PATTER_TELEMETRY_ENDPOINT"] == receiver.endpoint
    return child_environment


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The working directory."""
    directory = tmp_path / "work"
    directory.mkdir()
    return directory


def program(*, enabled: bool = False, flag: str = "None") -> str:
    return f"EXPECTED, FLAG = {enabled}, {flag}\n{CLIENT}"


def off(
    strace: Strace, environment: Mapping[str, str], work: Path, *, flag: str = "None"
) -> list[Call]:
    """Return what a program with telemetry that is off does, after what always holds is checked."""
    made = strace.doing_of(program(flag=flag), environment, work)
    assert [call for call in made if call.kind not in HARMLESS] == []
    # Something was seen at all: at the least our modules were loaded.
    assert any(is_ours(call) and call.kind == "read" for call in made)
    return made


def is_ours(call: Call) -> bool:
    """Return whether the call concerns our package's own code."""
    return call.path is not None and (
        Path(call.path) == PACKAGE or PACKAGE in Path(call.path).parents
    )


def assert_loads_our_modules_only(strace: Strace, made: list[Call]) -> None:
    """Nothing is opened or looked at but our code, and what Python asks to find that."""
    for call in made:
        asks_open_file = call.kind == "look" and call.path == ""  # by its descriptor
        asks_where = call.kind == "look" and call.path in strace.import_path
        assert is_ours(call) or asks_open_file or asks_where, call


@pytest.mark.parametrize("variables", ENVIRONMENTS, ids=repr)
def test_off_by_the_environment_loads_our_modules_only(
    strace: Strace, environment: dict[str, str], work: Path, variables: dict[str, str]
) -> None:
    (work / ".env").write_text("PATTER_TELEMETRY_DEBUG=1\n", encoding="utf-8")
    assert_loads_our_modules_only(strace, off(strace, {**environment, **variables}, work))


@pytest.mark.parametrize("flag", ["False", "0", "''"])
def test_off_in_code_loads_our_modules_only(
    strace: Strace, environment: dict[str, str], work: Path, flag: str
) -> None:
    (work / ".env").write_text("PATTER_TELEMETRY_DEBUG=1\n", encoding="utf-8")
    assert_loads_our_modules_only(strace, off(strace, environment, work, flag=flag))


def test_a_yes_in_code_overrides_no_opt_out(
    strace: Strace, environment: dict[str, str], work: Path
) -> None:
    assert_loads_our_modules_only(
        strace, off(strace, {**environment, "DO_NOT_TRACK": "1"}, work, flag="True")
    )


def test_is_enabled_under_an_opt_out_loads_our_modules_only(
    strace: Strace, environment: dict[str, str], work: Path
) -> None:
    code = "from getpatter.telemetry import is_enabled\nassert not is_enabled()\n"
    made = strace.doing_of(code, {**environment, "DO_NOT_TRACK": "1"}, work)
    assert made
    assert_loads_our_modules_only(strace, made)


def test_importing_loads_our_modules_only(
    strace: Strace, environment: dict[str, str], work: Path
) -> None:
    """With nothing that says off: importing has no effect at all."""
    made = strace.doing_of("import getpatter, getpatter.telemetry\n", environment, work)
    assert made
    assert_loads_our_modules_only(strace, made)


@pytest.mark.parametrize("content", DOTENV, ids=repr)
def test_off_by_a_dotenv_only_reads(
    strace: Strace, environment: dict[str, str], work: Path, content: str
) -> None:
    (work / ".env").write_text(content, encoding="utf-8")
    made = off(strace, environment, work)
    assert str(work / ".env") in {call.path for call in made if call.kind == "read"}
    # The state is not even looked for.
    assert not [call for call in made if str(call.path).startswith(environment["HOME"])]
    assert not [call for call in made if "platformdirs" in str(call.path)]


@pytest.mark.parametrize(("place", "variables"), MARKER_PLACES.values(), ids=MARKER_PLACES)
def test_off_by_a_stored_opt_out_only_looks(
    strace: Strace, environment: dict[str, str], work: Path, place: str, variables: dict[str, str]
) -> None:
    home = Path(environment["HOME"])
    (home / place).mkdir(parents=True)
    (home / place / "telemetry-disabled").touch()
    for name, value in variables.items():
        environment[name] = value.format(home=home)
    before = tree(home)
    made = off(strace, environment, work)
    assert tree(home) == before
    in_home = [call for call in made if str(call.path).startswith(str(home))]
    assert str(home / place / "telemetry-disabled") in {call.path for call in in_home}
    assert {call.kind for call in in_home} == {"look"}, "only its presence counts"
    assert not [call for call in made if "requests" in Path(str(call.path)).parts]


def test_off_because_a_place_cannot_be_looked_into_only_looks(
    strace: Strace, environment: dict[str, str], work: Path
) -> None:
    unusable = "/" + 300 * "x"  # no file system takes so long a name
    made = off(strace, {**environment, "XDG_STATE_HOME": unusable}, work)
    asked = [call for call in made if str(call.path).startswith(unusable)]
    assert {call.kind for call in asked} == {"look"}
    assert tree(Path(environment["HOME"])) == {}


# the control


def test_telemetry_that_is_on_does_all_that_silence_excludes(
    strace: Strace, environment: dict[str, str], work: Path, receiver: Receiver
) -> None:
    """A thread, a socket, files written and packages loaded: the same checks see each of them."""
    made = strace.doing_of(program(enabled=True), environment, work)
    assert receiver.events, "it was really on"
    assert {"network", "process", "write", "read", "look"} <= {call.kind for call in made}
    names = {call.name for call in made}
    assert "connect" in names
    assert names & {"clone", "clone3"}, "the worker's thread"
    assert any("requests" in Path(str(call.path)).parts for call in made)
    with pytest.raises(AssertionError):
        assert_loads_our_modules_only(strace, made)


def test_python_itself_only_ends_after_the_mark(
    strace: Strace, environment: dict[str, str], work: Path
) -> None:
    """So what is taken off hides nothing."""
    assert {call.kind for call in strace.calls("pass\n", environment, work)} == {"end"}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("import socket; socket.socket().close()", "network"),
        ("import threading; threading.Thread(target=int).start()", "process"),
        ("os.waitpid(os.fork() or os._exit(0), 0)", "process"),
        ("os.posix_spawn('/bin/true', ['true'], {})", "process"),
        ("os.mkdir('new')", "write"),
        ("open('new', 'w').close()", "write"),
        ("open('old', 'a').close()", "write"),
        ("os.close(os.open('old', os.O_RDWR))", "write"),
        ("os.unlink('old')", "write"),
        ("os.rename('old', 'new')", "write"),
        ("os.link('old', 'new')", "write"),
        ("os.chmod('old', 0o600)", "write"),
        ("os.utime('old')", "write"),
        ("open('old').close()", "read"),
        ("os.path.lexists('old')", "look"),
    ],
)
def test_each_kind_of_doing_is_seen(
    strace: Strace, environment: dict[str, str], work: Path, code: str, kind: str
) -> None:
    (work / "old").touch()
    made = strace.doing_of(f"{code}\n", environment, work)
    assert kind in {call.kind for call in made}
    with pytest.raises(AssertionError):
        assert_loads_our_modules_only(strace, made)


def test_the_trace_is_read_as_strace_writes_it() -> None:
    begin = f'7 access("{MARK}", F_OK) = -1 ENOENT (No such file or directory)'
    before = '7 openat(AT_FDCWD, "/before", O_RDONLY) = 3'
    seen = [
        '7 openat(AT_FDCWD, "/a = b", O_RDONLY|O_CLOEXEC) = 3',
        '7 openat(AT_FDCWD, "/c", O_WRONLY|O_CREAT|O_CLOEXEC, 0666 <unfinished ...>',
        "8 clone3({flags=CLONE_VM}, 88 <unfinished ...>",
        "8 <... openat resumed>) = 4",
        '7 renameat2(AT_FDCWD, "/c", AT_FDCWD, "/d", 0) = 0',
        "7 exit_group(0) = ?",
    ]
    calls = parse([before, begin, *seen])
    assert [(call.kind, call.path) for call in calls] == [
        ("read", "/a = b"),
        ("write", "/c"),
        ("process", None),
        ("write", "/c"),
        ("end", None),
    ]
    assert made_by([*calls, calls[0]], calls) == [calls[0]]
    with pytest.raises(AssertionError, match="mark"):
        parse([before])
