"""`getpatter integrations`: the frameworks that are installed, and what their calls will lack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from getpatter.integrations.frameworks import FRAMEWORKS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["HELP", "lines"]

HELP = "list the frameworks that are installed, and what their calls will lack"


def lines() -> Iterator[str]:
    """Return a line for each framework, and after it one for what it cannot report."""
    from importlib import metadata  # only who asks loads it

    for framework in FRAMEWORKS:
        try:
            version = metadata.version(framework.package)
        except metadata.PackageNotFoundError:
            yield framework.how
            continue
        is_tested = framework.is_tested(version)
        said = "tested" if is_tested else f"not tested ({framework.versions} are)"
        yield f"{framework.title} {version}: {said}"
        for fields, why in framework.missing:
            yield f"  missing: {fields}: {why}"
