"""Startup: what the host object says once it stands: `first_run`, then `sdk_initialized`.

The host's thread only records that it stands. What that says of the install is found out on the
worker when the event can be sent, so that a start which never gets there has used up nothing: the
next one is the first, and it knows the version that ran before.
"""

from getpatter.telemetry import environment, install_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from getpatter.telemetry.client import TelemetryClient
    from getpatter.telemetry.state import State

    Records = list[tuple[str, Mapping[str, object]]]

__all__ = ["record_startup", "shape", "startup_records"]

_NAME = "sdk_initialized"
# The dimension that `_FOUND_OUT_LATER` stands in.
_OF_INSTALL = "days_since_install_bucket"
_FOUND_OUT_LATER = object()


def record_startup(
    telemetry: "TelemetryClient",
    environ: "Mapping[str, str]",
    *,
    carrier: str,
    tunnel: str,
) -> None:
    """Record that the host object was constructed. Never raises; without consent does nothing."""
    if not telemetry.enabled:
        return
    try:
        telemetry.record(_NAME, **shape(environ, carrier=carrier, tunnel=tunnel))
    except Exception:  # the public boundary: telemetry is never the host's error
        return


def shape(environ: "Mapping[str, str]", *, carrier: str, tunnel: str) -> "dict[str, object]":
    """Return the dimensions of a start, but for what `startup_records` finds out."""
    return {
        "carrier": carrier,
        "tunnel": tunnel,
        **environment.deploy_shape(environ),
        _OF_INSTALL: _FOUND_OUT_LATER,
    }


def startup_records(
    name: object,
    dimensions: "Mapping[str, object]",
    state: "State",
    sdk_version: str,
    age: float | None,
) -> "Records | None":
    """Return what a start says, where this is the record of one, and store that it did, unless
    `state` is not writable; None for any other record. `age` is how old the install is, in seconds.

    Where what is stored cannot be read now, a start says nothing of it.
    """
    if type(name) is not str or name != _NAME:
        return None
    if dimensions.get(_OF_INSTALL) is not _FOUND_OUT_LATER:
        return None  # recorded by the program itself
    previous, is_first = "", False
    try:
        previous = state.swap_version(sdk_version)
        is_first = state.claim_first_run()
    except OSError:
        is_first = False
    known = {
        **dimensions,
        _OF_INSTALL: install_id.days_bucket(age),
        # Only an upgrade says something; the same version is the ordinary start.
        "previous_sdk_version": previous if previous not in ("", sdk_version) else None,
    }
    names = ["first_run", _NAME] if is_first else [_NAME]
    return [(name, known) for name in names]
