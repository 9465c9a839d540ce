"""The stack of a call in public words: which vendor and which publicly known model per layer.

A model token is built from the generated list of public names and from nothing else, so a
fine-tune, a path, a name or a number of the customer cannot be expressed: it is
`<vendor>-other`. Keeps no reference to what it looks at, and has no state.
"""

from getpatter.telemetry._interrupt import is_ctrl_c
from getpatter.telemetry._models import MODELS, PREFIXES
from getpatter.telemetry._plain import lower_text, plain_text
from getpatter.telemetry._tables import ENUMS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

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


def vendor_of(provider_key: object) -> str:
    """Return the vendor that `provider_key` names, whatever its case; `other` if it names none.

    Never raises: None, other types and `none` are `other` too.
    """
    key = lower_text(provider_key)
    vendor = _ALIASES.get(key, key)
    return vendor if vendor in STACK_VENDORS else "other"


def normalise_model(raw: str) -> str:
    """Return `raw` as the lists of public models spell it; empty if it cannot be such a name.

    Lower case, `_` becomes `-`, and a trailing date of 8 digits goes. The generator of the lists
    uses this function too.
    """
    text = lower_text(raw).replace("_", "-")
    name, dash, date = text.rpartition("-")
    return name if dash and len(date) == 8 and date.isdigit() else text


def model_token(vendor: str, raw_model: str | None) -> str | None:
    """Return `<vendor>-<model>` for a public model, else `<vendor>-other`; None for no model.

    No model is None, or the vendor `none`; an empty text is a model that nobody knows. A vendor
    that is not known gives `other-other`. A path before the name must be the vendor's own name or
    one under which the vendor publicly offers models (`meta-llama/…` at groq). Never raises.
    """
    if raw_model is None or lower_text(vendor) == "none":
        return None
    known_vendor = vendor_of(vendor)
    prefix, slash, name = normalise_model(raw_model).rpartition("/")
    public_path = not slash or prefix == known_vendor or prefix in PREFIXES.get(known_vendor, ())
    public = public_path and name in MODELS.get(known_vendor, ())
    return f"{known_vendor}-{name}" if public else f"{known_vendor}-other"


def public_token(token: str) -> str:
    """Return `token` if `model_token` can give it, else the `…-other` nearest to it.

    A caller that records a model's name without `model_token` must not reveal more by that.
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
        if issubclass(type(given), str):
            provider_key, _, raw_model = plain_text(given).partition("/")
        else:
            provider_key = plain_text(_attribute(given, "provider_key"))
            raw_model = next(filter(None, map(plain_text, _model_candidates(given))), "")
        vendor = vendor_of(provider_key)
        dimensions[f"{layer}_provider"] = vendor
        token = model_token(vendor, raw_model or None)
        if token is not None:
            dimensions[f"{layer}_model"] = token
    return dimensions


def _model_candidates(given: object) -> "Iterator[object]":
    for name in ("model", "model_id", "_model"):
        yield _attribute(given, name)
    yield _attribute(_attribute(given, "_opts"), "model")


def _attribute(given: object, name: str) -> object:
    try:
        return getattr(given, name, None)
    except BaseException as error:  # a property of the host's object may raise anything
        if is_ctrl_c(error):
            raise
        return None
