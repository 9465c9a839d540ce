"""Runtime configuration of the host object: arguments, then environment, then `.env`.

Pure: the mappings come in as arguments. Nothing here is ever sent but an error's category.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from getpatter.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["CARRIERS", "ENGINES", "Config", "check_engine", "known", "resolve"]

#: Carrier → the credentials it needs. `none`: the program brings the media itself.
CARRIERS: "dict[str, tuple[str, ...]]" = {
    "twilio": ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"),
    "telnyx": ("TELNYX_API_KEY", "TELNYX_CONNECTION_ID"),
    "plivo": ("PLIVO_AUTH_ID", "PLIVO_AUTH_TOKEN"),
    "none": (),
}
#: Engine → its provider; a pipeline's is that of its layers.
ENGINES: "dict[str, str | None]" = {
    "realtime": "openai",
    "convai": "elevenlabs",
    "pipeline": None,
}
# Engine → what beside a key it cannot work without.
_ENGINE_SETTINGS = {"convai": ("ELEVENLABS_AGENT_ID",)}
# Vendor of an LLM or an engine → its key; any one of them will do.
_KEYS = {
    "openai": ("OPENAI_API_KEY",),
    "elevenlabs": ("ELEVENLABS_API_KEY",),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "groq": ("GROQ_API_KEY",),
    "cerebras": ("CEREBRAS_API_KEY",),
    "google": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
}
# How much of a name that is none a message repeats, in characters.
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Config:
    """What a host object runs with. `values` holds credentials: they are not in its `repr`."""

    carrier: str
    phone_number: str | None
    engine: str | None
    values: "Mapping[str, str]" = field(repr=False)


def resolve(
    *,
    carrier: str | None,
    phone_number: str | None,
    engine: str | None,
    llm: str | None,
    values: "Mapping[str, str]",
) -> Config:
    """Return the configuration, or raise ConfigurationError for the first thing that is missing.

    `values` is what arguments, environment and `.env` say, in that order of precedence.
    """
    given = carrier or values.get("PATTER_CARRIER")
    if not given:
        message = (
            "no carrier is configured: pass carrier= or set PATTER_CARRIER to "
            f"{_choices(CARRIERS)} (none: your program brings the media itself)"
        )
        raise ConfigurationError(message, "carrier_credentials")
    chosen = known(given, CARRIERS)
    if chosen is None:
        raise ConfigurationError(_unknown("carrier", given, CARRIERS), "other")
    missing = [name for name in CARRIERS[chosen] if not values.get(name)]
    if missing:
        message = (
            f"carrier {chosen!r} needs {' and '.join(missing)}: "
            "pass credentials=, or set them in the environment or in .env"
        )
        raise ConfigurationError(message, "carrier_credentials")
    number = phone_number or values.get("PATTER_PHONE_NUMBER")
    if chosen != "none" and not number:
        message = (
            f"carrier {chosen!r} needs a phone number: "
            "pass phone_number= or set PATTER_PHONE_NUMBER"
        )
        raise ConfigurationError(message, "other")
    engine = engine or values.get("PATTER_ENGINE") or None
    if engine is not None:
        check_engine(engine, llm, values)
        engine = known(engine, ENGINES)
    return Config(chosen, number, engine, values)


def check_engine(engine: str, llm: str | None, values: "Mapping[str, str]") -> None:
    """Raise ConfigurationError if `engine`, or the LLM vendor of a pipeline, lacks something."""
    name = known(engine, ENGINES)
    if name is None:
        raise ConfigurationError(_unknown("engine", engine, ENGINES), "engine_config")
    missing = [name for name in _ENGINE_SETTINGS.get(name, ()) if not values.get(name)]
    if missing:
        message = f"engine {name!r} needs {' and '.join(missing)}"
        raise ConfigurationError(message, "engine_config")
    keys = _KEYS.get(ENGINES[name] or llm or "", ())
    if keys and not any(values.get(name) for name in keys):
        what = f"engine {name!r}" if ENGINES[name] else f"LLM {llm!r}"
        message = f"{what} needs {' or '.join(keys)}: set it in the environment or in .env"
        raise ConfigurationError(message, "llm_key")


def known(given: object, names: "Iterable[str]") -> "str | None":
    """Return the name that was given, in whatever case; None if there is none."""
    name = given.strip().lower() if isinstance(given, str) else ""
    return name if name in names else None


def _choices(names: "Iterable[str]") -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}"


def _unknown(what: str, given: object, names: "Iterable[str]") -> str:
    """Return the message about a name that there is none of: what was given is the user's own."""
    if not isinstance(given, str):
        return f"{what} must be text ({_choices(names)}), not {type(given).__name__}"
    from difflib import get_close_matches  # only who mistypes loads it

    shown = given if len(given) <= _SHOWN else given[:_SHOWN] + "..."
    near = get_close_matches(given.strip().lower(), list(names), 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    # Its repr is printable, whatever it holds.
    return f"unknown {what} {shown!r}.{hint} Use {_choices(names)}"
