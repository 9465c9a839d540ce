"""Quiet: what our dependencies warn of while we load them is not the host's to read.

`requests` warns of other packages' versions, urllib3 of the interpreter's OpenSSL; under
`-W error` such a warning would even keep them from being loaded.
"""

import re
import warnings
from contextlib import contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["quiet_import"]

_PACKAGES = (
    r"(requests|urllib3|certifi|chardet|charset_normalizer|idna|getpatter\.telemetry)(\.|\Z)"
)


@contextmanager
def quiet_import() -> "Iterator[None]":
    """Have the warnings of these packages ignored for a while; those of the host are not.

    One rule more and one less: restoring all of them would undo what another thread sets meanwhile.
    """
    rule = ("ignore", None, Warning, re.compile(_PACKAGES), 0)
    warnings.filterwarnings("ignore", module=_PACKAGES)
    try:
        yield
    finally:
        with suppress(ValueError):  # the host may have restored its own rules
            warnings.filters.remove(rule)  # type: ignore[attr-defined]
