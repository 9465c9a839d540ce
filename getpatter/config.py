"""Runtime configuration of the host object: arguments, then environment, then `.env`.

Pure: the mappings come in as arguments. Nothing here is ever sent but an error's category.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from getpatter.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CARRIERS", "ENGINES", "Config", "check_engine", "resolve"]

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
    chosen = carrier or values.get("PATTER_CARRIER")
    if not chosen:
        message = "no carrier is configured: pass carrier= or set PATTER_CARRIER"
        raise ConfigurationError(message, "carrier_credentials")
    if chosen not in CARRIERS:
        message = "unknown carrier; one of: " + ", ".join(CARRIERS)
        raise ConfigurationError(message, "other")
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
    config = Config(chosen, number, engine or values.get("PATTER_ENGINE") or None, values)
    if config.engine is not None:
        check_engine(config.engine, llm, values)
    return config


def check_engine(engine: str, llm: str | None, values: "Mapping[str, str]") -> None:
    """Raise ConfigurationError if `engine`, or the LLM vendor of a pipeline, lacks something."""
    if not isinstance(engine, str) or engine not in ENGINES:
        message = "unknown engine; one of: " + ", ".join(ENGINES)
        raise ConfigurationError(message, "engine_config")
    missing = [name for name in _ENGINE_SETTINGS.get(engine, ()) if not values.get(name)]
    if missing:
        message = f"engine {engine!r} needs {' and '.join(missing)}"
        raise ConfigurationError(message, "engine_config")
    keys = _KEYS.get(ENGINES[engine] or llm or "", ())
    if keys and not any(values.get(name) for name in keys):
        what = f"engine {engine!r}" if ENGINES[engine] else f"LLM {llm!r}"
        message = f"{what} needs {' or '.join(keys)}: set it in the environment or in .env"
        raise ConfigurationError(message, "llm_key")
