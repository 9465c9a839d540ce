"""getpatter: anonymous telemetry of a voice library, and the host object that carries it.

Importing has no effect and loads no third-party package: the public names load on first use.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from getpatter._version import __version__
    from getpatter.call import Call
    from getpatter.errors import ConfigurationError
    from getpatter.patter import Patter

__all__ = ["Call", "ConfigurationError", "Patter", "__version__"]

_HOMES = {
    "Call": "getpatter.call",
    "ConfigurationError": "getpatter.errors",
    "Patter": "getpatter.patter",
    "__version__": "getpatter._version",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        # Not importlib.import_module: loading that package alone takes a millisecond.
        return getattr(__import__(_HOMES[name], fromlist=(name,)), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return sorted(__all__)
