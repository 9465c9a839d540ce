"""Which vendor and model a plugin of LiveKit is, as far as its class says."""

from __future__ import annotations

from typing import Any

__all__ = ["REALTIME", "is_realtime", "layer_of"]

_PLUGINS = "livekit.plugins."
_INFERENCE = "livekit.agents.inference."
#: The class of a model that speaks itself.
REALTIME = "livekit.agents.llm.realtime.RealtimeModel"
_OTHER = "other"


def is_realtime(model: object) -> bool:
    """Return whether a language model speaks itself."""
    return any(f"{base.__module__}.{base.__qualname__}" == REALTIME for base in type(model).__mro__)


def layer_of(plugin: Any) -> str | None:
    """Return `vendor/model` of an STT, LLM or TTS; None for none, `other` for what is not known."""
    # An adapter that makes a stream of a plugin without one.
    for name in ("wrapped_stt", "wrapped_tts"):
        plugin = getattr(plugin, name, plugin)
    # A language model may also be given by its name alone.
    if plugin is None or isinstance(plugin, str):
        return plugin
    model = getattr(plugin, "model", None)
    # A voice or a language may stand behind the model.
    model = model.partition(":")[0] if isinstance(model, str) and model != "unknown" else ""
    modules = [base.__module__ for base in type(plugin).__mro__]
    if any(f"{module}.".startswith(_INFERENCE) for module in modules):
        return model or _OTHER
    # The host's own subclass of a vendor's plugin is still the vendor's.
    vendors = (m.removeprefix(_PLUGINS) for m in modules if m.startswith(_PLUGINS))
    vendor = _host(getattr(plugin, "provider", None)) or next(vendors, _OTHER).partition(".")[0]
    return f"{vendor}/{model}" if model else vendor


def _host(provider: object) -> str:
    """Return the vendor of an address: OpenAI's plugin also speaks to others that are like it."""
    if not isinstance(provider, str):
        return ""
    labels = provider.lower().partition(":")[0].split(".")
    return labels[-2] if len(labels) > 1 else ""
