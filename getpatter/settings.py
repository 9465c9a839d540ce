"""The effective settings of a host object, and where each came from: `default_config`.

Loaded only by who asks. Reads, and never shows a credential or an id of this install.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from getpatter.calls.events.null_hub import NullHub
from getpatter.calls.stats.registry import FLUSH_SECONDS, RECORD_SECONDS
from getpatter.telemetry import consent, env
from getpatter.telemetry.client import DEFAULT_ENDPOINT
from getpatter.telemetry.delivery import exits, rate_limit
from getpatter.telemetry.delivery.transport import shown, usable_endpoint
from getpatter.telemetry.install_id import open_state
from getpatter.telemetry.places import Places

if TYPE_CHECKING:
    from collections.abc import Mapping

    from getpatter.calls.events.hub import Hub

    Settings = dict[str, tuple[object, str]]

__all__ = ["effective"]

_DEFAULT = "default"
_CODE = "code"
_STATE = "PATTER_TELEMETRY_STATE_DIR"
# What may also be set in the environment or in `.env`: name → the variable.
_CONFIGURED = {"carrier": "PATTER_CARRIER", "engine": "PATTER_ENGINE"}


def effective(
    environ: Mapping[str, str],
    dotenv: Mapping[str, str],
    *,
    given: Mapping[str, object],
    chosen: Mapping[str, object],
    hub: Hub | NullHub,
) -> Settings:
    """Return name → value and source: `default`, `code`, a variable, a variable `in .env`, a rule.

    `given` is what the program passed, `chosen` what carrier and engine it came to.
    """
    found: Settings = {}
    for name, variable in _CONFIGURED.items():
        is_code = bool(given.get(name))
        found[name] = (chosen[name], _CODE if is_code else _source(variable, environ, dotenv))
    passed = given.get("diagnostics") is not None
    found["diagnostics"] = (not isinstance(hub, NullHub), _CODE if passed else _DEFAULT)
    found |= hub.settings()
    interval = given.get("stats_interval")
    found["stats_interval"] = (RECORD_SECONDS, _DEFAULT) if interval is None else (interval, _CODE)
    found["stats_flush"] = (FLUSH_SECONDS, _DEFAULT)
    applied = given.get("apply_recommended")
    found["apply_recommended"] = (bool(applied), _CODE if applied else _DEFAULT)
    return {**found, **_telemetry(environ, given.get("telemetry"))}


def _telemetry(environ: Mapping[str, str], flag: object) -> Settings:
    chosen = None if flag is None else bool(flag)
    settings = env.Settings.load(environ)
    # Off by the environment or in code touches nothing, not even to say so.
    is_refused = consent.has_refused(environ, chosen)
    place = None if is_refused else Places.of(environ).opt_out()
    rule = consent.decide(consent.judge(settings, chosen, place))
    if rule.off:
        return {"telemetry": (False, rule.name)}
    rate = "PATTER_TELEMETRY_SAMPLE"
    named = settings.endpoint
    url = usable_endpoint(named or DEFAULT_ENDPOINT)
    has_directory = _STATE in environ
    return {
        "telemetry": (True, rule.name),
        "telemetry_endpoint": (
            None if url is None else shown(url),
            "PATTER_TELEMETRY_ENDPOINT" if named else _DEFAULT,
        ),
        "telemetry_sample_rate": (
            settings.sample_rate,
            _source(rate, settings.environ, settings.dotenv),
        ),
        "telemetry_debug": (
            settings.debug,
            _source("PATTER_TELEMETRY_DEBUG", settings.environ, settings.dotenv),
        ),
        "telemetry_exit": _exit(environ),
        "telemetry_state_directory": (
            open_state(environ, writable=False).directory,
            _STATE if has_directory else _DEFAULT,
        ),
        "telemetry_burst": (rate_limit.BURST, _DEFAULT),
        "telemetry_per_second": (rate_limit.PER_SECOND, _DEFAULT),
    }


def _exit(environ: Mapping[str, str]) -> tuple[object, str]:
    is_asked = bool(environ.get(exits.SETTING)) and exits.is_understood(environ)
    return exits.choose(environ).mode, exits.SETTING if is_asked else _DEFAULT


def _source(variable: str, environ: Mapping[str, str], dotenv: Mapping[str, str]) -> str:
    """Return the variable that says so, and where; an empty one says nothing."""
    if environ.get(variable):
        return variable
    if variable not in environ and dotenv.get(variable):
        return f"{variable} in .env"
    return _DEFAULT
