"""`assert_silent`: fails for each thing that it names, says where, and minds its own threads."""

from __future__ import annotations

import _thread
import asyncio
import doctest
import importlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from getpatter.telemetry.testing import assert_silent
from getpatter.telemetry.testing import silence as _silence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Run


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An installed package that nobody has loaded yet."""
    package = tmp_path / "installed" / "invented_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from invented_package import inner\n")
    (package / "inner.py").write_text("LOADED = True\n")
    monkeypatch.syspath_prepend(str(package.parent))
    yield package.name
    for name in [name for name in sys.modules if name.startswith(package.name)]:
        del sys.modules[name]


def what_happened(code: Callable[[], object]) -> str:
    with pytest.raises(AssertionError) as caught, assert_silent():
        code()
    return str(caught.value)


def start_a_thread() -> None:
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()


def start_a_bare_thread() -> None:
    done = threading.Lock()
    done.acquire()
    _thread.start_new_thread(done.release, ())
    done.acquire()


def connect_to_nobody() -> None:
    with socket.socket() as made, socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        made.connect_ex(listening.getsockname())


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (start_a_thread, "thread: _thread.start_"),
        (start_a_bare_thread, "thread: _thread.start_new_thread(builtin_function_or_method, tuple"),
        (lambda: socket.socket().close(), "socket: socket.__new__("),
        (connect_to_nobody, "socket: socket.connect("),
        (lambda: socket.getaddrinfo("127.0.0.1", 1), "name look-up: socket.getaddrinfo(str, int"),
        (lambda: socket.gethostbyname("127.0.0.1"), "name look-up: socket.gethostbyname(str)"),
        (lambda: subprocess.run([sys.executable, "-c", ""], check=True), "process: subprocess."),
        (lambda: os.system("true"), "process: os.system(bytes)"),  # noqa: S605, S607 - the point
        (lambda: Path(__file__).read_bytes(), f"file: open(str, str, int) {__file__!r}"),
        (lambda: os.close(os.open(__file__, 0)), f"file: open(str, NoneType, int) {__file__!r}"),
    ],
)  # fmt: skip
def test_it_fails_for(code: Callable[[], object], said: str) -> None:
    message = what_happened(code)
    assert message.startswith("not silent:\n  ")
    assert said in message
    assert f"{__file__}:" in message, "it says where"


def test_it_fails_for_a_file_that_is_made_renamed_or_removed(tmp_path: Path) -> None:
    new, renamed = tmp_path / "new", tmp_path / "renamed"
    assert f"open(str, str, int) {str(new)!r}" in what_happened(lambda: new.write_text("text"))
    assert f"os.rename(str, str, int, int) {str(new)!r}" in what_happened(
        lambda: os.rename(str(new), str(renamed))
    )
    assert f"os.remove(str, int) {str(renamed)!r}" in what_happened(lambda: os.remove(str(renamed)))
    folder = str(tmp_path / "folder")
    assert f"os.mkdir(str, int, int) {folder!r}" in what_happened(lambda: os.mkdir(folder))


def test_it_fails_for_a_third_party_import_once_a_package(third_party: str) -> None:
    def load() -> None:
        import invented_package  # type: ignore[import-not-found]  # noqa: F401

    message = what_happened(load)
    assert message.count("import: ") == 1
    assert f"import: {third_party} at {__file__}:" in message
    assert "file:" not in message, "what loading reads is no finding of its own"


def test_it_fails_for_an_import_that_is_no_import_statement(third_party: str) -> None:
    message = what_happened(lambda: importlib.import_module(third_party))
    assert f"import: {third_party} at " in message


def test_it_passes_for_an_import_that_fails() -> None:
    """Much of the standard library tries what is there on other systems only."""
    with assert_silent(), pytest.raises(ImportError):
        importlib.import_module("a_package_that_nobody_has")


def test_it_passes_for_what_stays_in_memory() -> None:
    with assert_silent():
        assert sum(range(1000)) == 499_500
        assert os.path.exists(__file__), "a look at what is there opens nothing"
        assert os.environ.get("PATH")
        os.urandom(16)


def test_it_passes_for_loading_the_standard_library_and_getpatter(run: Run) -> None:
    code = """
import sys
from getpatter.telemetry.testing import assert_silent
with assert_silent():
    import wave
    from getpatter import Patter
    Patter(carrier="none", telemetry=False)
assert "getpatter.patter" in sys.modules
"""
    result = run(code)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("variable", ["DO_NOT_TRACK", "PATTER_TELEMETRY_DISABLED", "CI"])
def test_getpatter_is_silent_when_the_environment_says_off(run: Run, variable: str) -> None:
    result = run(SILENT_CALL, **{variable: "1"})
    assert (result.returncode, result.stderr) == (0, "")


def test_getpatter_that_is_on_is_not_silent(run: Run) -> None:
    result = run(SILENT_CALL)
    assert "AssertionError: not silent:" in result.stderr
    for kind in ("thread: ", "file: ", "import: platformdirs"):
        assert f"\n  {kind}" in result.stderr


SILENT_CALL = """
from getpatter import Patter
from getpatter.telemetry.testing import assert_silent
with assert_silent():
    phone = Patter(carrier="none")
    with phone.call(direction="inbound") as call:
        call.answer()
        call.hangup("remote")
    phone.telemetry.flush()
"""


def test_what_its_threads_do_counts() -> None:
    def load() -> None:
        thread = threading.Thread(target=lambda: Path(__file__).read_bytes())
        thread.start()
        thread.join()

    message = what_happened(load)
    assert "thread: " in message
    assert f"file: open(str, str, int) {__file__!r}" in message


def test_what_other_threads_do_does_not_count(third_party: str) -> None:
    begin, done = threading.Event(), threading.Event()

    def work() -> None:
        begin.wait(10)
        Path(__file__).read_bytes()
        importlib.import_module(third_party)
        start_a_thread()
        done.set()

    other = threading.Thread(target=work)
    other.start()
    with assert_silent():
        begin.set()
        assert done.wait(10)
    other.join()
    assert third_party in sys.modules


def test_after_the_block_nothing_is_watched() -> None:
    start = _thread.start_new_thread
    silence = assert_silent()
    with silence:
        pass
    start_a_thread()
    Path(__file__).read_bytes()
    assert _thread.start_new_thread is start is _silence._START
    with silence:  # it may be used again
        pass


def test_blocks_within_blocks_all_notice() -> None:
    with pytest.raises(AssertionError, match="open"), assert_silent():  # noqa: SIM117 - the point
        with pytest.raises(AssertionError, match="open"), assert_silent():
            Path(__file__).read_bytes()


def test_a_block_cannot_be_entered_twice_at_once() -> None:
    silence = assert_silent()
    with silence, pytest.raises(RuntimeError), silence:
        pass


def test_the_exception_of_the_block_goes_before() -> None:
    def fail() -> None:
        Path(__file__).read_bytes()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), assert_silent():
        fail()


def test_it_says_no_content() -> None:
    """An address or a command may hold what should not stand in a log; its type may."""
    assert "'secret" not in what_happened(lambda: os.system(": secret"))  # noqa: S605, S607
    message = what_happened(lambda: socket.getaddrinfo("127.0.0.1", 4_321))
    assert "4321" not in message


def test_as_a_decorator_each_call_is_a_block() -> None:
    @assert_silent()
    def read(path: str | None) -> str:
        """Read it."""
        return "" if path is None else Path(path).read_text("utf-8")

    assert read(None) == ""
    with pytest.raises(AssertionError, match="open"):
        read(__file__)
    assert read(None) == ""
    assert read.__doc__ == "Read it."


def read_it(path: str) -> str:
    return Path(path).read_text("utf-8")


def test_as_a_decorator_of_a_coroutine_function_it_watches_what_is_awaited() -> None:
    @assert_silent()
    async def read(path: str | None) -> str:
        await asyncio.sleep(0)
        return "" if path is None else read_it(path)

    async def main() -> None:
        assert await read(None) == ""
        with pytest.raises(AssertionError, match="open"):
            await read(__file__)

    asyncio.run(main())


def test_it_does_not_decorate_a_generator() -> None:
    """Its body would run when the block is over: the assertion could never fail."""

    def numbers() -> Iterator[int]:
        yield 1

    with pytest.raises(TypeError, match="generator"):
        assert_silent()(numbers)


def test_the_example_runs() -> None:
    found = doctest.DocTestFinder().find(
        _silence.assert_silent, globs={"assert_silent": assert_silent}
    )
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for example in found:
        runner.run(example)
    assert runner.summarize() == (0, 3)
