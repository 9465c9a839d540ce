"""`.env`: what such a file says, or why that cannot be known. Reads, and changes nothing.

The grammar is python-dotenv's, of which the parser alone is loaded. What might be an opt-out that
the grammar hides, below a quote that is not closed, is handed out apart.
"""

import os
import stat

from getpatter.telemetry import _clock, _dependency, _files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = ["Dotenv", "read"]

#: Larger than any `.env` a person writes; a larger one is not read at all.
LIMIT = 65_536
# A file that was changed so short a time before it was read could change again within the same
# tick of the clock that dates it, which on some file systems is two seconds long.
_TICK = 3.0
# What no editor shows: half of each character of UTF-16 that does not say what it is, the mark of
# another file that was appended, spaces without a width.
_INVISIBLE = dict.fromkeys(map(ord, "\0\ufeff\u200b\u200c\u200d\u2060"))
# Why a line cannot be read.
_OTHER_FORM = "it is not NAME=value"
_OPEN_QUOTE = "a quote in it or above it may not be closed, or the file is not UTF-8"


class Dotenv:
    """What a `.env` says: `values` by variable; `unclear`: variables and values that stand in lines
    which cannot be read, and why not; `problem`: why it cannot be read at all, None if it can or is
    not there; `is_settled`: what has the same `identity` says the same.
    """

    __slots__ = ("identity", "is_settled", "problem", "unclear", "values")

    def __init__(
        self,
        values: "dict[str, str]",
        unclear: "tuple[tuple[str, str, str], ...]" = (),
        problem: str | None = None,
        identity: "tuple[int, ...]" = (),
        *,
        is_settled: bool = False,
    ) -> None:
        self.values = values
        self.unclear = unclear
        self.problem = problem
        self.identity = identity
        self.is_settled = is_settled


def read(path: str, names: "tuple[str, ...]" = (), last: "Dotenv | None" = None) -> Dotenv:
    """Read the file at `path`; look for `names` in the lines that cannot be read, too.

    `last` is what was read from there before: it stands where the file is the same, and also where
    that may be so and the file can just not be opened (no descriptor is left). Nothing is
    interpolated, logged or set. What is no regular file says nothing: opening a pipe would take its
    reader's place away.
    """
    identity: tuple[int, ...] = ()
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            return Dotenv({})
        identity = _identity(found)
        if last is None or last.identity != identity or not last.is_settled:
            is_settled = _clock.wall() - max(found.st_mtime, found.st_ctime) > _TICK
            last = _parsed(path, names, identity, is_settled=is_settled)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return Dotenv({})
    except OSError as error:
        if last is None or last.identity != identity or not identity:
            return Dotenv({}, problem=f"{path} cannot be read ({error.strerror})")
    return last


def _parsed(
    path: str, names: "tuple[str, ...]", identity: "tuple[int, ...]", *, is_settled: bool
) -> Dotenv:
    """Return what the file says. Raises OSError where it cannot be opened or read now."""
    content = _content(path)
    try:
        values, unclear = _parse(content, names)
    except Exception as error:  # the parser may be anybody's
        return Dotenv({}, problem=f"{path} cannot be read ({error or type(error).__name__})")
    return Dotenv(values, unclear, identity=identity, is_settled=is_settled)


def _identity(found: os.stat_result) -> "tuple[int, ...]":
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _content(path: str) -> bytes:
    """Return the file's content, at most one byte more than it may have. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        found = os.fstat(descriptor)
        # Asked again: it may have been swapped since.
        is_regular = stat.S_ISREG(found.st_mode)
        return _files.read_all(descriptor, min(found.st_size, LIMIT + 1)) if is_regular else b""
    finally:
        os.close(descriptor)


def _parse(
    content: bytes, names: "tuple[str, ...]"
) -> "tuple[dict[str, str], tuple[tuple[str, str, str], ...]]":
    if len(content) > LIMIT:
        message = f"it is longer than {LIMIT // 1_024} KiB"
        raise ValueError(message)
    import codecs  # with the next two: only who has a `.env` pays for reading it
    import io

    # What Windows shells write; an opt-out in it must not be overlooked.
    is_utf16 = content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    text = content.decode("utf-16" if is_utf16 else "utf-8-sig", "replace")
    values: dict[str, str] = {}
    hidden = []
    for binding in _parser()(io.StringIO(text)):
        if binding.key is not None and not binding.error:
            values[binding.key] = binding.value or ""
        lines = binding.original.string.strip()
        if binding.error or "\n" in lines or "\r" in lines:
            hidden.append(lines)
    visible = text.translate(_INVISIBLE)
    if visible != text:
        hidden.append(visible)
    return values, tuple(_unclear(hidden, names))


def _unclear(hidden: "list[str]", names: "tuple[str, ...]") -> "Iterable[tuple[str, str, str]]":
    """Find the variables `names` in lines that belong to no binding, or to a longer one."""
    if not hidden or not names:
        return
    import re

    name = rf"\b({'|'.join(names)})\b"
    line = rf"^([^#\r\n]*?){name}['\"]?[ \t]*([=:])[ \t]*['\"]?([^'\"#\r\n]*)"
    for lines in hidden:
        is_one = not {"\r", "\n"}.intersection(lines)
        for before, key, sign, value in re.findall(line, lines.replace("\r", "\n"), re.MULTILINE):
            is_form = sign == "=" and before.strip() in {"", "export"}
            yield key, value, _OTHER_FORM if is_one and not is_form else _OPEN_QUOTE


def _parser() -> "Callable[[Any], Iterable[Any]]":
    """Return python-dotenv's parser without the package around it, which loads much more, and logs
    a warning for every odd line. Raises ImportError.
    """
    path = _dependency.locate("dotenv", "parser.py")
    if path is None:
        from dotenv.parser import parse_stream

        return parse_stream
    from importlib.machinery import SourceFileLoader
    from types import ModuleType

    name = "getpatter.telemetry._dotenv.parser"
    loader, module = SourceFileLoader(name, path), ModuleType(name)
    if b"def parse_stream(" not in loader.get_data(path):
        message = f"{path} is of another package"
        raise ImportError(message)
    loader.exec_module(module)
    parse: Callable[[Any], Iterable[Any]] = module.parse_stream
    return parse
