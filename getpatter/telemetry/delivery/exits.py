"""How a program's end treats what is not delivered yet: which way fits this process, and why.

`detach`: all goes on disk, then a sender of its own takes over, and the program does not wait.
`wait`: all goes on disk, and the program waits for its delivery, at most half a second. `spool`:
all goes on disk, for the next start. `none`: nothing is done. Loaded only by a program that ends
with something left.
"""

import os
import sys
import time

from getpatter.telemetry import env, environment, places
from getpatter.telemetry.consent import Consent
from getpatter.telemetry.delivery import claim as _claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from getpatter.telemetry.delivery.outbox import Outbox

__all__ = ["MODES", "SETTING", "Choice", "choose", "hand_over", "is_understood", "start_sender"]

MODES = ("detach", "wait", "spool", "none")
SETTING = "PATTER_TELEMETRY_EXIT"

# What the sender needs of the environment: to run, to reach the collector, and to ask for consent.
_INHERITED = (
    *("HOME", "XDG_STATE_HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *env.CONSENT_VARIABLES,
)
# What it loads that is not Python's, by the folders that packages have.
_LOADED = ("certifi", "dotenv", "idna", "platformdirs", "requests", "urllib3")
_SENDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "detached.py")
# A shell that ends at once, with the sender in its background: so the sender is nobody's child, and
# no program that waits for its children waits for it. What a terminal says as it goes, or Ctrl-C,
# is not for the sender.
_SHELL = "/bin/sh"
_SCRIPT = """trap '' HUP INT QUIT; "$0" "$@" &"""
# The shell takes a few milliseconds: it is looked for so often, with such pauses.
_LOOKS = 100
_LOOK_SECONDS = 0.002

# The processes and directories whose sender has been started: one is enough for all clients.
_STARTED: "set[tuple[int, str]]" = set()


class Choice:
    """A mode, and why it was chosen, in words for a person."""

    __slots__ = ("mode", "why")

    def __init__(self, mode: str, why: str) -> None:
        self.mode = mode
        self.why = why


def choose(
    environ: "Mapping[str, str]", *, is_program: bool | None = None, has_spool: bool = True
) -> Choice:
    """Return how this process ends. `is_program`: whether it runs a script or a module, where
    that is not to be found out. `has_spool`: whether anything can be put on disk.
    """
    asked = environ.get(SETTING, "").strip().lower()
    if asked in ("wait", "none") or (asked == "spool" and has_spool):
        return Choice(asked, f"set by {SETTING}")
    if not has_spool:
        return Choice("wait", "nothing can be put on disk")
    against = _against_detaching(environ, is_program=is_program, is_asked=asked == "detach")
    if against is not None:
        return Choice("wait", against)
    if asked == "detach":
        return Choice(asked, f"set by {SETTING}")
    return Choice("detach", "a verified CPython runs a program")


def is_understood(environ: "Mapping[str, str]") -> bool:
    """Return whether the setting is unset, empty or a mode."""
    return environ.get(SETTING, "").strip().lower() in ("", *MODES)


def _against_detaching(
    environ: "Mapping[str, str]", *, is_program: bool | None, is_asked: bool
) -> str | None:
    """Return the first reason why a sender cannot take over, or why it should not; None if none.

    Who asks for it is refused only for what makes it impossible.
    """
    checks: list[tuple[Callable[[], bool], str]] = [
        (lambda: not hasattr(os, "posix_spawn"), "this system has no posix_spawn"),
        (lambda: not os.access(_SHELL, os.X_OK), f"there is no {_SHELL} to start a process from"),
        (lambda: sys.implementation.name != "cpython", "this is not CPython"),
        (lambda: bool(getattr(sys, "frozen", False)), "the program is frozen"),
        (
            lambda: not _is_verified(sys.executable),
            "the interpreter is embedded, or cannot be found",
        ),
        (lambda: not os.path.isfile(_SENDER), "the package is not on disk"),
        (lambda: not _is_installed(), "what sending needs is not where packages are installed"),
    ]
    if not is_asked:
        checks += [
            (lambda: not (_is_program() if is_program is None else is_program), "no script runs"),
            (lambda: os.getpid() == 1, "this is process 1, with which all others end"),
            (lambda: environment.in_container(environ), "this is a container"),
            (lambda: environment.serverless(environ) != "none", "this is serverless"),
        ]
    return next((why for is_against, why in checks if is_against()), None)


def _is_verified(executable: str | None) -> bool:
    """Return whether `executable` is the interpreter that runs us, and not a host of one."""
    if not executable or not os.path.isabs(executable) or not os.access(executable, os.X_OK):
        return False
    if not os.path.basename(executable).startswith("python"):
        return False
    try:
        return os.path.samefile("/proc/self/exe", executable)
    except OSError:
        return sys.platform != "linux"  # without /proc the name has to do


def _is_program() -> bool:
    """Return whether a script or a module runs, and not a prompt, `-c` or a notebook."""
    main = sys.modules.get("__main__")
    return isinstance(getattr(main, "__file__", None), str) and not sys.flags.interactive


def _packages() -> list[str]:
    """Return where installed packages are: nothing of the program's own folder may be imported."""
    # The host may have put anything there.
    paths = [path for path in sys.path if isinstance(path, str)]
    return [path for path in paths if os.path.basename(path).endswith("-packages")]


def _is_installed() -> bool:
    """Return whether the sender finds there what it loads: a program may have that elsewhere."""
    places = _packages()
    return all(
        any(os.path.isdir(os.path.join(place, name)) for place in places) for name in _LOADED
    )


def hand_over(outbox: "Outbox", environ: "Mapping[str, str]", now: float) -> None:
    """Start a sender for what is on disk, once a process and directory."""
    directory = outbox.hand_over()
    key = (os.getpid(), directory or "")
    if directory is None or key in _STARTED:
        return
    _STARTED.add(key)
    dotenv = None if outbox.run is None else outbox.run.dotenv
    start_sender(directory, environ, dotenv=dotenv, seconds=outbox.held(now))


def start_sender(
    directory: str,
    environ: "Mapping[str, str]",
    *,
    dotenv: str | None = None,
    seconds: float = 0.0,
) -> bool:
    """Start a process that sends what is in the spool of `directory`; answer whether it did.

    Isolated, with an absolute file, without descriptors of ours, and no child of this process.
    Where one is at work already, it looks again before it ends: nothing is started then, and
    nothing without consent. The sender asks for it anew, `dotenv` included (None: the `.env` of the
    working directory), and lives `seconds` longer than it would. Never raises.
    """
    consent = Consent(environ, dotenv=dotenv, directory=directory)
    if consent.settings() is None:
        return False
    free = _claim.Claim.take(os.path.join(directory, places.SPOOL, places.SENDER))
    if free is None:
        return False
    free.end()
    null = [
        (os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_RDWR, 0o600) for descriptor in (0, 1, 2)
    ]
    closed = [(os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in _inheritable()]
    sender = [sys.executable, "-I", "-S", "-B", _SENDER, directory, consent.dotenv, str(seconds)]
    arguments = [_SHELL, "-c", _SCRIPT, *sender, *_packages()]
    variables = {name: environ[name] for name in _INHERITED if name in environ}
    try:
        shell = os.posix_spawn(_SHELL, arguments, variables, file_actions=[*null, *closed])
    except (OSError, ValueError):
        return False
    _reap(shell)
    return True


def _reap(child: int) -> None:
    """Wait for a child that ends at once, within a bound."""
    for _ in range(_LOOKS):
        try:
            if os.waitpid(child, os.WNOHANG)[0]:
                return
        except OSError:
            return  # the host reaps its children itself
        time.sleep(_LOOK_SECONDS)


def _inheritable() -> list[int]:
    """Return the descriptors above stderr that a child would inherit."""
    try:
        numbers = [int(name) for name in os.listdir("/dev/fd")]
    except (OSError, ValueError):
        return []  # the sender closes them itself, too
    found = []
    for number in numbers:
        try:
            if number > 2 and os.get_inheritable(number):
                found.append(number)
        except OSError:
            continue  # the one by which we listed
    return found
