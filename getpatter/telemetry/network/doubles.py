"""Whether a test of the host has put something in the place of the network.

Libraries such as `responses`, `requests_mock` and `vcr` replace parts of `requests` and of what is
below it, to answer in the network's place. Our requests pass none of those parts, so such a library
would not see them; but a test that allows no request allows none of ours: consent takes it for a
test run. What only *wraps* a part, as tracing does, is no reason to be silent.
"""

import sys
from types import FunctionType, ModuleType

__all__ = ["is_network_replaced"]

# A wrapper around a wrapper …; nobody has more, and a circle is no reason to hang.
_MOST_WRAPPERS = 8
# Their only purpose is to stand in for something.
_DOUBLES = frozenset(
    (
        *("aioresponses", "betamax", "flexmock", "httpretty", "mock", "mocket", "pook"),
        *("pytest_recording", "requests_mock", "responses", "unittest", "vcr"),
    )
)
# Which tracing wraps, too: anything but a double may stand there.
_WRAPPED = (
    ("requests", "request"),
    ("requests", "post"),
    ("requests.api", "request"),
    ("requests.sessions", "Session"),
    ("requests.sessions.Session", "send"),
    ("requests.sessions.Session", "request"),
    ("requests.adapters", "HTTPAdapter"),
    ("urllib3.connectionpool.HTTPConnectionPool", "urlopen"),
    ("http.client", "HTTPConnection"),
    ("http.client", "HTTPSConnection"),
    ("http.client.HTTPConnection", "request"),
    ("socket", "socket"),
    ("socket", "create_connection"),
    ("socket", "getaddrinfo"),
)
# Which tracing has no reason to touch: whatever is not the library's own, or around it, is one.
_OWN = (
    ("requests.adapters.HTTPAdapter", "send"),
    ("requests.sessions.Session", "get_adapter"),
    ("urllib3.connectionpool.HTTPConnectionPool", "ConnectionCls"),
    ("urllib3.connectionpool.HTTPSConnectionPool", "ConnectionCls"),
)


def is_network_replaced() -> bool:
    """Return whether something stands in for the network now."""
    # Whatever stands in for something is of a package that is loaded.
    is_loaded = not sys.modules.keys().isdisjoint(_DOUBLES)
    return (is_loaded and any(_root(_innermost(*place)) in _DOUBLES for place in _WRAPPED)) or any(
        _root(_innermost(place, name)) not in ("", place.partition(".")[0]) for place, name in _OWN
    )


def _innermost(place: str, name: str) -> object:
    """Return what stands there, without what is wrapped around it; None if nothing is loaded."""
    holder: object = sys.modules.get(place)
    if holder is None:
        module, _, kind = place.rpartition(".")
        holder = _own(sys.modules.get(module), kind)
    found = _own(holder, name)
    try:
        for _ in range(_MOST_WRAPPERS):
            wrapped = getattr(found, "__wrapped__", None)
            if wrapped is None:
                break
            found = wrapped
    except Exception:  # whatever stands there may do what it likes when it is looked at
        return found
    return found


def _own(holder: object, name: str) -> object:
    """Return an attribute of a module or class, without running code of anybody's."""
    return vars(holder).get(name) if isinstance(holder, (type, ModuleType)) else None


def _root(found: object) -> str:
    """Return the package in which it was defined; of an object, the package of its class."""
    if found is None:
        return ""
    if not isinstance(found, (FunctionType, type)):
        found = type(found)
    return str(getattr(found, "__module__", "")).partition(".")[0]
