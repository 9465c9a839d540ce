"""The files of an install: whatever is found there, the library starts and works."""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import tree

from getpatter.telemetry import _clock, opt_out, state
from getpatter.telemetry.places import Places

A, B, MEMORY = "a" * 32, "b" * 32, "m" * 32
MARKER = "telemetry-disabled"
DAY = 86_400

Open = Callable[..., state.State]


@pytest.fixture(autouse=True)
def process_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked of the process itself, not of the mapping, is this test's too."""
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)


@pytest.fixture
def place(home: Path) -> Path:
    """The default state directory, which is not there yet."""
    default = Places.of({"HOME": str(home)}).default
    assert default is not None
    assert Path(default).is_relative_to(home)
    return Path(default)


@pytest.fixture
def open_state(home: Path) -> Open:
    def opening(*, writable: bool = True, **variables: str) -> state.State:
        environ = {"HOME": str(home), **variables}
        return state.State(Places.of(environ), MEMORY, writable=writable)

    return opening


def make(place: Path, **files: bytes) -> None:
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in files.items():
        (place / name.replace("_", "-")).write_bytes(content)


def test_first_start_makes_a_private_directory_and_private_files(
    place: Path, open_state: Open
) -> None:
    install = open_state()
    assert install.install_id(A) == A
    assert install.claim_first_run() is True
    assert install.swap_version("0.8.0") == ""
    install.notice.remember()
    assert install.problem is None
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    found = tree(place)
    assert set(found) == {"install-id", "install-date", "first-run", "version", "notice"}
    assert {stat.S_IMODE(mode) for mode, _ in found.values()} == {0o600}
    assert found["install-id"][1] == A.encode()


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o077)
    yield os.umask
    os.umask(before)


@pytest.mark.parametrize("mask", [0, 0o002, 0o022, 0o177, 0o777])
def test_every_directory_that_is_made_is_private_whatever_the_umask(
    home: Path, place: Path, open_state: Open, umask: Callable[[int], int], mask: int
) -> None:
    """A daemon runs with a umask of 0: `.local` must not become writable by anyone."""
    umask(mask)
    assert open_state().install_id(A) == A
    made = [folder for folder in (place, *place.parents) if home in folder.parents]
    assert len(made) == 3  # .local, state, getpatter
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in made} == {0o700}


@pytest.mark.parametrize("mask", [0, 0o777])
def test_every_directory_that_disable_makes_is_private_whatever_the_umask(
    environ: dict[str, str], tmp_path: Path, umask: Callable[[int], int], mask: int
) -> None:
    """Also below the places of released versions, none of which exists."""
    environ["XDG_STATE_HOME"] = f"{tmp_path}/far/away"
    umask(mask)
    opt_out.set_opt_out(environ, disabled=True)
    made = [folder for folder in tmp_path.rglob("*") if folder.is_dir()]
    assert {"far", "away", "getpatter"} <= {folder.name for folder in made}
    theirs = {tmp_path, *(Path(environ["HOME"]), *Path(environ["HOME"]).parents)}
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in set(made) - theirs} == {0o700}


def test_directory_that_exists_keeps_its_mode(
    home: Path, place: Path, open_state: Open, umask: Callable[[int], int]
) -> None:
    (home / ".local").mkdir()
    (home / ".local").chmod(0o755)
    umask(0)
    assert open_state().install_id(A) == A
    assert stat.S_IMODE((home / ".local").stat().st_mode) == 0o755
    assert stat.S_IMODE(place.stat().st_mode) == 0o700


def test_later_start_finds_what_the_first_left(open_state: Open) -> None:
    first = open_state()
    first.install_id(A)
    first.claim_first_run()
    first.swap_version("0.8.0")
    first.notice.remember()
    later = open_state()
    assert later.install_id(B) == A
    assert later.claim_first_run() is False
    assert later.notice.is_known() is True
    assert later.swap_version("0.9.0") == "0.8.0"
    assert later.swap_version("0.9.0") == "0.9.0"


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\x00" * 32,
        bytes(range(256)),
        A.encode()[:31],
        A.encode() + b"a",
        A.upper().encode(),
        b"g" * 32,
        "\u0660".encode() * 32,
        b"a" * 100_000,
    ],
    ids=[
        "empty",
        "zeros",
        "binary",
        "torn",
        "long",
        "upper",
        "no hex",
        "other digits",
        "oversized",
    ],
)
def test_damaged_install_id_is_replaced_once(place: Path, open_state: Open, damaged: bytes) -> None:
    make(place, install_id=damaged)
    assert open_state().install_id(B) == B
    assert open_state().install_id(A) == B
    assert (place / "install-id").read_bytes() == B.encode()


def test_trailing_newline_of_an_install_id_does_not_count(place: Path, open_state: Open) -> None:
    make(place, install_id=A.encode() + b"\n")
    assert open_state().install_id(B) == A


def test_damaged_install_id_loses_no_date(place: Path, open_state: Open) -> None:
    make(place, install_id=b"", install_date=b"1000000000")
    open_state().install_id(B)
    assert open_state().install_date() == 1_000_000_000
    assert (place / "install-id").stat().st_mtime == 1_000_000_000


def test_install_id_that_is_a_link_is_not_followed(
    place: Path, open_state: Open, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.write_text(A)
    make(place)
    (place / "install-id").symlink_to(other)
    assert open_state().install_id(B) == B
    assert other.read_text() == A
    assert open_state().install_id(A) == B


def test_install_id_that_is_a_directory_leaves_the_identity_in_memory(
    place: Path, open_state: Open
) -> None:
    make(place)
    (place / "install-id").mkdir()
    assert open_state().install_id(B) == MEMORY
    assert (place / "install-id").is_dir()


def test_install_id_that_is_a_named_pipe_is_not_waited_for(place: Path, open_state: Open) -> None:
    make(place)
    os.mkfifo(place / "install-id")
    assert open_state().install_id(B) == B


@pytest.mark.parametrize("damaged", [b"", b"\x00", b"-5", b"1e9", b"12345678901", b"x" * 1_000])
def test_damaged_install_date_is_read_from_the_install_id_and_stored(
    place: Path, open_state: Open, damaged: bytes
) -> None:
    make(place, install_id=A.encode(), install_date=damaged)
    os.utime(place / "install-id", (1_000_000_000, 1_000_000_000))
    assert open_state().install_date() == 1_000_000_000
    assert (place / "install-date").read_bytes() == b"1000000000"


def test_date_is_stored_and_no_longer_read_from_the_file(place: Path, open_state: Open) -> None:
    open_state().install_id(A)
    date = open_state().install_date()
    assert date is not None
    assert abs(date - (place / "install-id").stat().st_mtime) <= 1
    os.utime(place / "install-id", (5, 5))
    assert open_state().install_date() == date


@pytest.mark.parametrize("damaged", [b"", b"\x00\x01", b"\xff\xfe", b"0.7\n0.8", b"9" * 1_000])
def test_damaged_version_is_no_version(place: Path, open_state: Open, damaged: bytes) -> None:
    make(place, version=damaged)
    assert open_state().swap_version("0.8.0") == ""
    assert open_state().swap_version("0.9.0") == "0.8.0"


def test_odd_current_version_is_stored_without_raising(open_state: Open) -> None:
    for current in ("", "\udcff", "日本", "x" * 10_000, "a\nb"):
        open_state().swap_version(current)


def test_age_is_never_negative(place: Path, open_state: Open) -> None:
    """The clock was set back since."""
    make(place, install_id=A.encode(), install_date=b"9999999999")
    assert open_state().age_seconds() == 0


def test_age_is_the_time_since_the_date(place: Path, open_state: Open) -> None:
    make(place, install_id=A.encode(), install_date=f"{_clock.wall() - 3 * DAY:.0f}".encode())
    age = open_state().age_seconds()
    assert age is not None
    assert abs(age - 3 * DAY) < 60


def test_age_without_an_install_is_unknown(open_state: Open) -> None:
    assert open_state().age_seconds() is None
    assert open_state().install_date() is None


# the notice


def test_the_notice_is_as_old_as_its_first_showing(place: Path, open_state: Open) -> None:
    assert open_state().notice.age() is None
    open_state().notice.remember()
    age = open_state().notice.age()
    assert age is not None
    assert 0 <= age < 60
    make(place, notice=f"8 {_clock.wall() - DAY:.0f}".encode())
    open_state().notice.remember()
    age = open_state().notice.age()
    assert age is not None
    assert abs(age - DAY) < 60
    os.utime(place / "notice")
    assert (open_state().notice.age() or 0) > DAY - 60, "a modification time is no date"


def test_the_notice_of_a_clock_that_was_set_back_was_shown_just_now(
    place: Path, open_state: Open
) -> None:
    make(place, notice=b"8 9999999999")
    assert open_state().notice.age() == 0


@pytest.mark.parametrize("content", [b"7", b"7 9999999999", b"", b"torn!", b"8 x", b"8 1 2 3"])
def test_only_the_notice_of_this_version_has_an_age(
    place: Path, open_state: Open, content: bytes
) -> None:
    make(place, notice=content)
    assert open_state().notice.age() is None


def test_a_notice_without_a_date_was_shown_long_ago(place: Path, open_state: Open) -> None:
    make(place, notice=b"8")
    assert open_state().notice.age() == float("inf")
    assert open_state().notice.told_version(1e9) == 8


def test_what_is_new_is_told_when_the_grace_is_over(place: Path, open_state: Open) -> None:
    """Until then what the notice before named may leave."""
    assert open_state().notice.told_version(0) is None
    make(place, notice=b"7")
    assert open_state().notice.told_version(30) == 7
    open_state().notice.remember()
    assert open_state().notice.version() == 8
    assert open_state().notice.told_version(30) == 7
    assert open_state().notice.told_version(0) == 8
    make(place, notice=f"8 {_clock.wall() - 31:.0f} 7".encode())
    assert open_state().notice.told_version(30) == 8


def test_the_first_notice_lets_nothing_leave_until_the_grace_is_over(
    place: Path, open_state: Open
) -> None:
    open_state().notice.remember()
    assert open_state().notice.told_version(30) is None
    make(place, notice=f"8 {_clock.wall() - 31:.0f}".encode())
    assert open_state().notice.told_version(30) == 8


# earlier installs


@pytest.mark.parametrize("earlier", ["xdg/getpatter", "xdg", "home/.getpatter"])
def test_earlier_identity_and_date_migrate(
    tmp_path: Path, open_state: Open, monkeypatch: pytest.MonkeyPatch, earlier: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    place = tmp_path / earlier
    make(place, install_id=A.encode(), version=b"0.7.0", first_run=b"")
    os.utime(place / "install-id", (1_000_000_000, 1_000_000_000))
    before = tree(place)
    install = open_state(XDG_STATE_HOME=str(tmp_path / "xdg"))
    assert install.install_id(B) == A
    assert install.install_date() == 1_000_000_000
    assert install.swap_version("0.8.0") == "0.7.0"
    assert install.claim_first_run() is False
    again = open_state(XDG_STATE_HOME=str(tmp_path / "xdg"))
    assert again.install_id(B) == A
    assert again.install_date() == 1_000_000_000
    assert again.swap_version("0.8.0") == "0.8.0"
    assert install.directory is not None
    own = Path(install.directory)
    assert (own / "install-date").read_bytes() == b"1000000000"
    assert (own / "install-id").stat().st_mtime == 1_000_000_000
    assert (place / "install-id").stat().st_mtime == 1_000_000_000
    if own != place:
        assert tree(place).items() >= before.items()


def test_damaged_earlier_identity_does_not_migrate(home: Path, open_state: Open) -> None:
    make(home / ".getpatter", install_id=b"torn", version=b"\xff")
    assert open_state().install_id(B) == B
    assert open_state().swap_version("0.8.0") == ""


def test_named_directory_is_meant_alone(
    home: Path, tmp_path: Path, open_state: Open, place: Path
) -> None:
    make(home / ".getpatter", install_id=A.encode())
    make(place, install_id=A.encode())
    install = open_state(PATTER_TELEMETRY_STATE_DIR=str(tmp_path / "named"))
    assert install.directory == str(tmp_path / "named")
    assert install.install_id(B) == B


def test_named_directory_is_used_literally(
    tmp_path: Path, open_state: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_state(PATTER_TELEMETRY_STATE_DIR="~/$HOME").install_id(A) == A
    assert (tmp_path / "~" / "$HOME" / "install-id").read_text() == A


# places that must not be used


def test_open_default_directory_is_narrowed(place: Path, open_state: Open) -> None:
    make(place)
    place.chmod(0o755)
    install = open_state()
    assert install.problem is None
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert install.install_id(A) == A


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o750, 0o701, 0o704])
def test_a_named_directory_that_others_may_only_read_is_used_and_left_as_it_is(
    tmp_path: Path, open_state: Open, mode: int, umask: Callable[[int], int]
) -> None:
    """Released versions made it so; what we write there is for this user alone."""
    umask(0)
    named = tmp_path / "named"
    make(named, install_id=A.encode(), first_run=b"")
    named.chmod(mode)
    variables = {"PATTER_TELEMETRY_STATE_DIR": str(named)}
    before = tree(named)
    assert open_state(writable=False, **variables).install_id(B) == A
    assert tree(named) == before, "asking changes nothing"
    for _ in range(2):
        install = open_state(**variables)
        assert install.problem is None
        assert install.install_id(B) == A
        assert install.install_date() is not None
        assert install.claim_first_run() is False
        install.swap_version("0.8.0")
        install.notice.remember()
    assert stat.S_IMODE(named.stat().st_mode) == mode
    assert {stat.S_IMODE(mode) for mode, _ in tree(named).values()} == {0o600}


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o770, 0o720, 0o702, 0o1777, 0o707])
def test_open_named_directory_is_not_used_and_left_as_it_is(
    tmp_path: Path, open_state: Open, mode: int
) -> None:
    named = tmp_path / "named"
    named.mkdir()
    named.chmod(mode)
    install = open_state(PATTER_TELEMETRY_STATE_DIR=str(named))
    assert_in_memory(install)
    assert stat.S_IMODE(named.stat().st_mode) == mode
    assert list(named.iterdir()) == []


@pytest.mark.parametrize("is_named", [False, True])
@pytest.mark.parametrize("kind", ["file", "link", "dangling link", "loop", "pipe"])
def test_directory_that_is_none_is_not_used(
    place: Path, tmp_path: Path, open_state: Open, kind: str, is_named: bool
) -> None:
    target = tmp_path / "target"
    target.mkdir(mode=0o700)
    path = tmp_path / "named" if is_named else place
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "file":
        path.write_text(A)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        links = {"link": target, "dangling link": tmp_path / "nowhere", "loop": path}
        path.symlink_to(links[kind])
    variables = {"PATTER_TELEMETRY_STATE_DIR": str(path)} if is_named else {}
    before = tree(tmp_path)
    assert_in_memory(open_state(**variables))
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", ["x" * 300, "x/" * 3_000, "file/below", "a\x00b"])
def test_directory_that_cannot_be_made_is_not_used(
    tmp_path: Path, open_state: Open, name: str
) -> None:
    (tmp_path / "file").touch()
    assert_in_memory(open_state(PATTER_TELEMETRY_STATE_DIR=f"{tmp_path}/{name}"))


def assert_in_memory(install: state.State) -> None:
    assert install.directory is None
    assert install.problem
    assert install.install_id(B) == MEMORY
    assert install.install_id(A) == MEMORY
    assert install.age_seconds() is None
    assert install.claim_first_run() is False
    assert install.notice.is_known() is False
    install.notice.remember()
    assert install.notice.is_known() is False
    assert install.swap_version("0.8.0") == ""
    assert install.swap_version("0.8.0") == ""


def test_reading_only_changes_nothing(home: Path, open_state: Open, place: Path) -> None:
    """As debug and a run without consent do."""
    for is_damaged in (False, True):
        if is_damaged:
            make(place, install_id=b"torn", version=b"0.7.0")
        before = tree(home)
        install = open_state(writable=False)
        assert install.install_id(A) == MEMORY
        install.claim_first_run()
        install.notice.remember()
        install.swap_version("0.8.0")
        install.age_seconds()
        assert tree(home) == before


def test_reading_only_does_not_narrow_or_migrate(home: Path, open_state: Open, place: Path) -> None:
    make(place)
    make(home / ".getpatter", install_id=A.encode())
    place.chmod(0o755)
    before = tree(home)
    install = open_state(writable=False)
    assert install.install_id(B) == A
    assert install.install_date() is not None
    assert tree(home) == before


def test_reading_only_says_first_run_and_keeps_it(open_state: Open) -> None:
    assert open_state(writable=False).claim_first_run() is True
    assert open_state(writable=False).claim_first_run() is True
    assert open_state().claim_first_run() is True
    assert open_state(writable=False).claim_first_run() is False


def test_file_system_without_hard_links(
    open_state: Open, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    assert open_state().install_id(A) == A
    assert open_state().install_id(B) == A
    assert open_state().claim_first_run() is True
    assert open_state().claim_first_run() is False
    date = open_state().install_date()
    assert date is not None
    assert abs((place / "install-id").stat().st_mtime - date) <= 1
    assert not [name for name in tree(place) if name.endswith(".tmp")]


def test_file_without_hard_links_is_never_seen_before_its_content(
    open_state: Open, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    seen: set[str] = set()
    real = os.write

    def look_and_write(descriptor: int, content: bytes) -> int:
        seen.update(name for name in tree(place) if not name.endswith(".tmp"))
        return real(descriptor, content)

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "write", look_and_write)
    assert open_state().install_id(A) == A
    assert seen == {"lock", "install-date"}


def test_full_disk_leaves_no_torn_file(
    open_state: Open, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_state().swap_version("0.7.0")
    real = os.write

    def half(descriptor: int, content: bytes) -> int:
        return real(descriptor, content[: len(content) // 2])

    monkeypatch.setattr(os, "write", half)
    assert open_state().install_id(A) == MEMORY
    assert open_state().swap_version("0.8.0") == "0.7.0"
    monkeypatch.undo()
    assert {name: content for name, (_, content) in tree(place).items()} == {
        "version": b"0.7.0",
        "lock": b"",
    }


# the stored opt-out


@pytest.fixture
def environ(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    return {"HOME": str(home), "XDG_STATE_HOME": str(tmp_path / "xdg")}


def test_disable_writes_where_released_versions_look(
    environ: dict[str, str], tmp_path: Path
) -> None:
    environ["PATTER_TELEMETRY_STATE_DIR"] = str(tmp_path / "named")
    opt_out.set_opt_out(environ, disabled=True)
    for place in ("named", "xdg/getpatter", "xdg", "home/.getpatter"):
        assert (tmp_path / place / MARKER).is_file()
    assert Places.of(environ).opt_out() is not None
    assert Places.of({"HOME": environ["HOME"]}).opt_out() is not None


def test_enable_removes_the_opt_out_everywhere(environ: dict[str, str], tmp_path: Path) -> None:
    environ["PATTER_TELEMETRY_STATE_DIR"] = str(tmp_path / "named")
    for place in ("named", "xdg/getpatter", "xdg", "home/.getpatter"):
        make(tmp_path / place)
        (tmp_path / place / MARKER).write_text("x")
    opt_out.set_opt_out(environ, disabled=False)
    assert not [name for name in tree(tmp_path) if name.endswith(MARKER)]
    assert Places.of(environ).opt_out() is None
    opt_out.set_opt_out(environ, disabled=False)  # nothing left to do is no error


def test_disable_erases_the_identity_everywhere(environ: dict[str, str], tmp_path: Path) -> None:
    state.State(Places.of(environ), MEMORY).install_id(A)
    state.State(Places.of(environ), MEMORY).swap_version("0.8.0")
    for place in ("xdg/getpatter", "xdg", "home/.getpatter"):
        make(tmp_path / place, install_id=A.encode(), version=b"0.7.0")
    opt_out.set_opt_out(environ, disabled=True)
    left = {name.rpartition("/")[2] for name, (_, content) in tree(tmp_path).items() if content}
    assert left == {"retained-id"}
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {MARKER, "lock", *left}


def test_disable_erases_what_killed_writers_left(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    own = tmp_path / "xdg" / "getpatter"
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", die)
        patch.setattr(os, "unlink", die)
        with pytest.raises(Killed):
            state.State(Places.of(environ), MEMORY).install_id(A)
    assert [path for path in own.iterdir() if path.suffix == ".tmp"]
    (own.parent / "theirs.tmp").touch()
    opt_out.set_opt_out(environ, disabled=True)
    assert {path.name for path in own.iterdir()} == {MARKER}
    assert (own.parent / "theirs.tmp").exists()


@pytest.mark.parametrize("step", ["link", "replace"])
def test_an_opt_out_while_the_identity_is_made_leaves_none_of_it(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A program that starts while `disable` runs, which has just erased what there was."""
    real = getattr(os, step)
    stored: list[bool] = []

    def withdraw(*arguments: str) -> None:
        if not stored:
            stored.append(True)
            opt_out.set_opt_out(environ, disabled=True)
        real(*arguments)

    install = state.State(Places.of(environ), MEMORY)
    if step == "replace":
        make(tmp_path / "xdg" / "getpatter", install_id=b"damaged")
    monkeypatch.setattr(os, step, withdraw)
    assert install.install_id(A) == MEMORY
    assert install.swap_version("0.8.0") == ""
    assert install.install_date() is None
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left - {"lock"} == {MARKER}


@pytest.mark.parametrize("name", ["version", "install-date"])
def test_an_opt_out_before_anything_else_is_written_leaves_none_of_it(
    environ: dict[str, str], tmp_path: Path, name: str
) -> None:
    own = tmp_path / "xdg" / "getpatter"
    install = state.State(Places.of(environ), MEMORY)
    if name == "install-date":
        make(own, install_id=A.encode())
    (own / MARKER).touch()
    install.swap_version("0.8.0")
    install.install_date()
    assert {path.name for path in own.iterdir()} - {"install-id"} == {MARKER}


def test_where_there_are_no_locks_nobody_waits_for_one(
    place: Path, open_state: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    def sleep(_: float) -> None:
        raise AssertionError

    make(place, install_id=b"damaged")
    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(time, "sleep", sleep)
    assert open_state().install_id(A) == MEMORY


def test_disable_keeps_what_is_known_once_per_install(environ: dict[str, str]) -> None:
    """So that enabling again counts no install twice and repeats no notice."""
    install = state.State(Places.of(environ), MEMORY)
    install.install_id(A)
    install.claim_first_run()
    install.notice.remember()
    opt_out.set_opt_out(environ, disabled=True)
    opt_out.set_opt_out(environ, disabled=False)
    again = state.State(Places.of(environ), MEMORY)
    assert again.claim_first_run() is False
    assert again.notice.is_known() is True
    assert again.install_id(B) == B


def test_disable_where_nothing_can_be_written_raises(
    environ: dict[str, str], tmp_path: Path, home: Path
) -> None:
    (tmp_path / "xdg").write_text("")
    (home / ".getpatter").write_text("")
    with pytest.raises(OSError, match=r"Not a directory|File exists") as caught:
        opt_out.set_opt_out(environ, disabled=True)
    assert caught.value.strerror


def test_disable_in_one_place_is_enough(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "xdg").write_text("")
    opt_out.set_opt_out(environ, disabled=True)
    assert (tmp_path / "home" / ".getpatter" / MARKER).is_file()
    assert Places.of(environ).opt_out() is not None


def test_disable_that_cannot_erase_goes_on_and_raises(
    environ: dict[str, str], tmp_path: Path
) -> None:
    make(tmp_path / "xdg" / "getpatter")
    (tmp_path / "xdg" / "getpatter" / "install-id").mkdir()
    make(tmp_path / "home" / ".getpatter", install_id=A.encode())
    with pytest.raises(OSError):
        opt_out.set_opt_out(environ, disabled=True)
    assert Places.of(environ).opt_out() is not None
    assert not (tmp_path / "home" / ".getpatter" / "install-id").exists()


def test_enable_that_cannot_remove_goes_on_and_raises(
    environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "xdg" / "getpatter" / MARKER).mkdir(parents=True)
    make(tmp_path / "home" / ".getpatter")
    (tmp_path / "home" / ".getpatter" / MARKER).touch()
    with pytest.raises(OSError):
        opt_out.set_opt_out(environ, disabled=False)
    assert Places.of(environ).opt_out() is not None
    assert not (tmp_path / "home" / ".getpatter" / MARKER).exists()


def foreign(path: Path) -> None:
    """Give `path` to another user, which only root can; without root it stays, and is a link."""
    os.chown(path, 54321, 54321, follow_symlinks=False)


@pytest.mark.parametrize("kind", ["spool", "spool of the default", "state", "earlier place"])
def test_disable_erases_nothing_through_a_link(
    environ: dict[str, str], tmp_path: Path, kind: str
) -> None:
    """Of another user, who was there first, into a folder of this one."""
    precious = tmp_path / "precious"
    names = {"install_id": A.encode(), "version": b"2", "ledger": b"{}", "letters.json": b"{}"}
    make(precious, **names)
    (precious / ".getpatter-1.tmp").touch()
    before = tree(precious)
    if kind == "spool":
        environ["PATTER_TELEMETRY_STATE_DIR"] = str(tmp_path / "named")
        make(tmp_path / "named", install_id=B.encode())
        (tmp_path / "named" / "spool").symlink_to(precious)
    elif kind == "spool of the default":
        make(tmp_path / "xdg" / "getpatter", install_id=B.encode())
        (tmp_path / "xdg" / "getpatter" / "spool").symlink_to(precious)
    elif kind == "state":
        environ["PATTER_TELEMETRY_STATE_DIR"] = str(tmp_path / "named")
        (tmp_path / "named").symlink_to(precious)
    elif os.geteuid() == 0:
        (tmp_path / "home" / ".getpatter").symlink_to(precious)
        foreign(tmp_path / "home" / ".getpatter")
    opt_out.set_opt_out(environ, disabled=True)
    left = tree(precious)
    left.pop(MARKER, None)
    assert left == before


def test_disable_leaves_a_directory_of_someone_else_alone(
    environ: dict[str, str], tmp_path: Path
) -> None:
    environ["PATTER_TELEMETRY_STATE_DIR"] = str(tmp_path / "named")
    make(tmp_path / "named" / "spool", **{"1.json": b"{}"})
    make(tmp_path / "named", install_id=A.encode(), version=b"1")
    if os.geteuid() == 0:
        foreign(tmp_path / "named")
    else:
        (tmp_path / "named").chmod(0o777)
    opt_out.set_opt_out(environ, disabled=True)
    assert {"install-id", "version", "spool/1.json", MARKER} == set(tree(tmp_path / "named")) - {
        "spool"
    }


def test_disable_leaves_what_only_bears_a_name_of_ours_in_a_shared_place(
    environ: dict[str, str], tmp_path: Path
) -> None:
    """Bare `$XDG_STATE_HOME`, where every program keeps something."""
    make(tmp_path / "xdg", version=b"of another program", install_date=b"theirs")
    opt_out.set_opt_out(environ, disabled=True)
    assert (tmp_path / "xdg" / "version").read_bytes() == b"of another program"
    make(tmp_path / "xdg", install_id=A.encode())
    opt_out.set_opt_out(environ, disabled=True)
    assert not (tmp_path / "xdg" / "version").exists()
    assert not (tmp_path / "xdg" / "install-id").exists()


def test_disable_never_follows_a_link(environ: dict[str, str], tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("keep")
    make(tmp_path / "home" / ".getpatter")
    (tmp_path / "home" / ".getpatter" / MARKER).symlink_to(precious)
    (tmp_path / "home" / ".getpatter" / "install-id").symlink_to(precious)
    opt_out.set_opt_out(environ, disabled=True)
    assert precious.read_text() == "keep"
    assert Places.of(environ).opt_out() is not None


def test_disable_writes_private_directories(environ: dict[str, str], tmp_path: Path) -> None:
    opt_out.set_opt_out(environ, disabled=True)
    for place in ("xdg/getpatter", "home/.getpatter"):
        assert stat.S_IMODE((tmp_path / place).stat().st_mode) == 0o700


# what cannot be read now


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Have the opening of a file fail once, by its name, as the system does it."""

    def failing(name: str, code: int) -> None:
        real = os.open
        failed: list[str] = []

        def opening(path: str, *arguments: int) -> int:
            if not failed and os.path.basename(path) == name:
                failed.append(name)
                raise OSError(code, os.strerror(code), path)
            return real(path, *arguments)

        monkeypatch.setattr(os, "open", opening)

    return failing


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("is_earlier", [False, True])
def test_an_id_that_cannot_be_read_now_is_not_replaced(
    place: Path,
    home: Path,
    open_state: Open,
    fail: Callable[[str, int], None],
    code: int,
    *,
    is_earlier: bool,
) -> None:
    make(home / ".getpatter" if is_earlier else place, install_id=A.encode())
    install = open_state()
    fail("install-id", code)
    with pytest.raises(OSError, match=os.strerror(code)):
        install.install_id(B)
    assert not is_earlier or not (place / "install-id").exists()
    assert install.install_id(B) == A


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EIO])
def test_a_notice_that_cannot_be_read_now_is_neither_shown_nor_unknown(
    place: Path, open_state: Open, fail: Callable[[str, int], None], code: int
) -> None:
    make(place, notice=b"8 1700000000")
    install, shown = open_state(), []

    def show(last: int | None) -> bool:
        shown.append(last)
        return True

    fail("notice", code)
    with pytest.raises(OSError, match=os.strerror(code)):
        install.notice.show_once(show)
    assert install.notice.show_once(show) == 8
    assert shown == []


def test_a_version_that_cannot_be_read_now_stays(
    place: Path, open_state: Open, fail: Callable[[str, int], None]
) -> None:
    make(place, version=b"0.7.0")
    fail("version", errno.EMFILE)
    with pytest.raises(OSError, match="open files"):
        open_state().swap_version("0.8.0")
    assert open_state().swap_version("0.8.0") == "0.7.0"


def test_a_file_without_permission_is_as_good_as_missing(
    place: Path, open_state: Open, fail: Callable[[str, int], None]
) -> None:
    """It stays so: to wait for it would be to wait for ever."""
    make(place, install_id=A.encode())
    fail("install-id", errno.EACCES)
    assert open_state().install_id(B) == A
