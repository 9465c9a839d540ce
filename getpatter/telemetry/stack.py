"""The stack of a call in public words: which vendor and which publicly known model per layer.

A model token is built from the generated list of public names and from nothing else, so a
fine-tune, a path, a name or a number of the customer cannot be expressed: it is
`<vendor>-other`. Keeps no reference to what it looks at, and has no state.
"""

from getpatter.telemetry._models import MODELS, PREFIXES
from getpatter.telemetry._tables import ENUMS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeGuard

__all__ = [
    "STACK_VENDORS",
    "model_token",
    "normalise_model",
    "public_token",
    "stack_dimensions",
    "vendor_of",
]

# The three layers share one value set; a test holds them together.
STACK_VENDORS: frozenset[str] = ENUMS["stt_provider"] - {"none", "other"}

_ALIASES = {
    "cartesia_stt": "cartesia",
    "cartesia_tts": "cartesia",
    "elevenlabs_ws": "elevenlabs",
    "openai_transcribe": "openai",
    "openai_tts": "openai",
    "telnyx_stt": "telnyx",
    "telnyx_tts": "telnyx",
}

# Far above any public name with its path prefix; what is longer is not worth lower-casing.
_LONGEST_NAME = 200


def vendor_of(provider_key: object) -> str:
    """Return the vendor that `provider_key` names, whatever its case; `other` if it names none.

    Never raises: None, other types and `none` are `other` too.
    """
    key = _ascii_lower(_exact_text(provider_key))
    vendor = _ALIASES.get(key, key)
    return vendor if vendor in STACK_VENDORS else "other"


def normalise_model(raw: str) -> str:
    """Return `raw` as the lists of public models spell it; empty if it cannot be such a name.

    Lower case, `_` becomes `-`, and a trailing date of 8 digits goes. The generator of the lists
    uses this function too.
    """
    text = _ascii_lower(_exact_text(raw)).replace("_", "-")
    name, dash, date = text.rpartition("-")
    return name if dash and len(date) == 8 and date.isdigit() else text


def model_token(vendor: str, raw_model: str | None) -> str | None:
    """Return `<vendor>-<model>` for a public model, else `<vendor>-other`; None for no model.

    No model is None, an empty string or the vendor `none`. A vendor that is not known gives
    `other-other`. A path before the name must be the vendor's own name or one under which the
    vendor publicly offers models (`meta-llama/…` at groq). Never raises.
    """
    if raw_model is None or _exact_text(vendor) == "none":
        return None
    if _is_text(raw_model) and not _exact_text(raw_model):
        return None
    known_vendor = vendor_of(vendor)
    prefix, slash, name = normalise_model(raw_model).rpartition("/")
    public_path = not slash or prefix == known_vendor or prefix in PREFIXES.get(known_vendor, ())
    public = public_path and name in MODELS.get(known_vendor, ())
    return f"{known_vendor}-{name}" if public else f"{known_vendor}-other"


def public_token(token: str) -> str:
    """Return `token` if `model_token` can give it, else the `…-other` nearest to it.

    Whoever records a model's name without `model_token` must not reveal more by that.
    """
    vendor, _, name = token.partition("-")
    if vendor not in STACK_VENDORS:
        return "other-other"
    return token if name in MODELS[vendor] else f"{vendor}-other"


def stack_dimensions(stt: object, tts: object, llm: object) -> dict[str, str]:
    """Return `{layer}_provider` and, if a model is set, `{layer}_model` of each layer not None.

    A layer is an object with a `provider_key` and one of `model`, `model_id`, `_model` or
    `_opts.model`, or a string such as `deepgram/nova-3`. Whatever Exception its attributes
    raise counts as absent; KeyboardInterrupt and SystemExit pass.
    """
    dimensions: dict[str, str] = {}
    for layer, given in (("stt", stt), ("tts", tts), ("llm", llm)):
        if given is None:
            continue
        if _is_text(given):
            provider_key, _, raw_model = _exact_text(given).partition("/")
        else:
            provider_key = _exact_text(_attribute(given, "provider_key"))
            raw_model = next(filter(None, map(_exact_text, _model_candidates(given))), "")
        vendor = vendor_of(provider_key)
        dimensions[f"{layer}_provider"] = vendor
        token = model_token(vendor, raw_model)
        if token is not None:
            dimensions[f"{layer}_model"] = token
    return dimensions


def _is_text(value: object) -> "TypeGuard[str]":
    """Return whether `value` is a string; `isinstance` would believe an object's `__class__`."""
    return issubclass(type(value), str)


def _exact_text(value: object) -> str:
    """Return the characters of a string, past whatever a subclass overrides; else empty."""
    return str.__str__(value) if _is_text(value) else ""


def _ascii_lower(text: str) -> str:
    """Return `text` in lower case; empty if that could be no name.

    ASCII is asked first: the Kelvin sign becomes a plain `k`.
    """
    return text.lower() if len(text) <= _LONGEST_NAME and text.isascii() else ""


def _model_candidates(given: object) -> "Iterator[object]":
    for name in ("model", "model_id", "_model"):
        yield _attribute(given, name)
    yield _attribute(_attribute(given, "_opts"), "model")


def _attribute(given: object, name: str) -> object:
    try:
        return getattr(given, name, None)
    except Exception:  # a property of the host's object may raise anything
        return None
