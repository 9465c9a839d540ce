"""The packages of the speech engines, or one line that says how to get them.

The extra `demo` has them. None has type hints, and PocketSphinx's import needs no sound device.
"""

from __future__ import annotations

try:
    import espeakng_loader  # type: ignore[import-untyped]
    import pocketsphinx  # type: ignore[import-untyped]
    import webrtcvad  # type: ignore[import-untyped]
except ImportError as error:
    _message = f"the demo's call needs its speech engines ({error}): pip install 'getpatter[demo]'"
    raise ImportError(_message, name=error.name) from None

__all__ = ["espeakng_loader", "pocketsphinx", "webrtcvad"]
