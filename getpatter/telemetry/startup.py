"""Startup: what the host object says once it stands: `first_run`, then `sdk_initialized`."""

from getpatter.telemetry import consent, environment, install_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from getpatter.telemetry.client import TelemetryClient
    from getpatter.telemetry.state import State

__all__ = ["record_startup", "startup_records"]


def record_startup(
    telemetry: "TelemetryClient",
    environ: "Mapping[str, str]",
    *,
    sdk_version: str,
    carrier: str,
    tunnel: str,
) -> None:
    """Record that the host object was constructed. Never raises; without consent does nothing."""
    if not telemetry.enabled:
        return
    try:
        asked = consent.Consent(environ)
        settings = asked.settings()
        # On the host's thread: nobody is waited for.
        state = install_id.open_state(
            environ,
            writable=settings is not None and not settings.debug,
            places=asked.places,
            may_wait=False,
        )
        records = startup_records(
            state, environ, sdk_version=sdk_version, carrier=carrier, tunnel=tunnel
        )
        for name, dimensions in records:
            if name == "first_run":
                install_id.expect_first_run(state.directory)
            telemetry.record(name, **dimensions)
    except Exception:  # the public boundary: telemetry is never the host's error
        return


def startup_records(
    state: "State", environ: "Mapping[str, str]", *, sdk_version: str, carrier: str, tunnel: str
) -> "list[tuple[str, dict[str, object]]]":
    """Return what a start records, and store its version, unless `state` is not writable.

    Every start says that it is the first until one of them has claimed that, which is when the
    event can be sent. Where what is stored cannot be read now, a start says nothing of it.
    """
    age, previous, is_first = None, "", False
    try:
        state.install_id(install_id.new_id())
        age, previous = state.age_seconds(), state.swap_version(sdk_version)
        is_first = state.may_be_first_run()
    except OSError:
        is_first = False
    dimensions: dict[str, object] = {
        "carrier": carrier,
        "tunnel": tunnel,
        **environment.deploy_shape(environ),
        "days_since_install_bucket": install_id.days_bucket(age),
        # Only an upgrade says something; the same version is the ordinary start.
        "previous_sdk_version": previous if previous not in ("", sdk_version) else None,
    }
    names = ["first_run", "sdk_initialized"] if is_first else ["sdk_initialized"]
    return [(name, dimensions) for name in names]
