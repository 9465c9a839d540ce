"""Dependencies: loaded if they are the packages that we mean, and not for what they are called.

A file of the host's, another package or a broken one may bear the same name. What is not ours to
run is not run: it may hang or end the program. Whatever goes wrong is an ImportError.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from typing import Any

__all__ = ["load", "locate"]


def load(name: str, sign: str) -> "Any":  # noqa: ANN401 - a module
    """Import the package `name`, which has a file `sign`. Raises ImportError."""
    locate(name, sign)
    try:
        return __import__(name)
    except (ImportError, KeyboardInterrupt):
        raise
    except BaseException as error:
        message = f"{name} cannot be loaded ({type(error).__name__})"
        raise ImportError(message) from error


def locate(name: str, sign: str) -> str | None:
    """Return the path of the file `sign` of the package `name`, and load nothing of it.

    None for a package that is not on disk (a frozen program, an archive). Raises ImportError where
    there is none, or what is there is another one.
    """
    try:
        spec = _spec(name)
    except Exception as error:
        # What finds modules may be the host's, too.
        message = f"{name} cannot be looked for ({type(error).__name__})"
        raise ImportError(message) from error
    if spec is None:
        message = f"{name} is not there"
        raise ImportError(message)
    for place in spec.submodule_search_locations or ():
        path = os.path.join(place, sign)
        if os.path.isfile(path):
            return path
        if not os.path.exists(place):
            return None
    message = f"{name} is another package ({spec.origin})"
    raise ImportError(message)


def _spec(name: str) -> "ModuleSpec | None":
    """Return what `import name` would load or has loaded. As importlib.util, which is slow to load.

    None for a module that something made without the import system.
    """
    module = sys.modules.get(name)
    if module is not None:
        return getattr(module, "__spec__", None)
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec: ModuleSpec | None = None if find is None else find(name, None)
        if spec is not None:
            return spec
    return None
