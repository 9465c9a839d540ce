"""The facts of a call that both its telemetry events have, in words of our own tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from getpatter.calls.enums import Word
from getpatter.config import ENGINES
from getpatter.telemetry.call_metrics import engine_of
from getpatter.telemetry.events import DIMENSION_VALUES

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["engine_facts", "words"]


def engine_facts(engine: object, stack: Mapping[str, str]) -> dict[str, object]:
    """Return `engine` and `provider`; in a pipeline that of the first layer there is."""
    if engine == "pipeline":
        layers = [stack.get(f"{layer}_provider") for layer in ("llm", "stt", "tts")]
        return engine_of("pipeline", layers)
    return {"engine": engine, "provider": ENGINES.get(engine) if isinstance(engine, str) else None}


def words(facts: Mapping[str, object]) -> dict[str, object]:
    """Mark what is from our own tables: diagnostics keep it where free text is removed."""
    return {
        name: Word(value) if isinstance(value, str) and _is_ours(name, value) else value
        for name, value in facts.items()
    }


def _is_ours(name: str, value: str) -> bool:
    # A model's name is a public one or `<vendor>-other`, and the uid was made here.
    return name.endswith(("_model", "_uid")) or value in DIMENSION_VALUES.get(name, ())
