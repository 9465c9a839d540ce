"""Vendors, model tokens and the dimensions of a stack, also of hostile objects."""

import ast
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import MagicMock

import pytest

from getpatter.telemetry import stack
from getpatter.telemetry._tables import ENUMS
from getpatter.telemetry.stack import (
    STACK_VENDORS,
    model_token,
    normalise_model,
    stack_dimensions,
    vendor_of,
)

KELVIN = "\N{KELVIN SIGN}"  # lower() makes it a plain "k"


class Layer:
    """A provider as the host library has them, with whatever attributes a test wants."""

    def __init__(self, **attributes: object) -> None:
        self.__dict__.update(attributes)


def test_vendors_are_those_of_every_layer() -> None:
    for layer in ("stt", "tts", "llm"):
        assert ENUMS[f"{layer}_provider"] == STACK_VENDORS | {"none", "other"}


@pytest.mark.parametrize(
    ("key", "vendor"),
    [
        ("cartesia_stt", "cartesia"),
        ("cartesia_tts", "cartesia"),
        ("openai_tts", "openai"),
        ("openai_transcribe", "openai"),
        ("elevenlabs_ws", "elevenlabs"),
        ("telnyx_stt", "telnyx"),
        ("telnyx_tts", "telnyx"),
        ("Deepgram", "deepgram"),
        *((vendor, vendor) for vendor in sorted(STACK_VENDORS)),
    ],
)
def test_vendor_of_a_known_key_or_alias(key: str, vendor: str) -> None:
    assert vendor_of(key) == vendor


@pytest.mark.parametrize(
    "key",
    [
        *(None, "", "none", "other", "acme", "deepgram ", "deepgram\n", "openai_tts_2"),
        *(4, True, b"deepgram", ["deepgram"], {"deepgram"}, object(), MagicMock()),
        *("telny\N{CYRILLIC SMALL LETTER HA}", f"spee{KELVIN}hmatics", "deepgram" * 1000),
    ],
)
def test_vendor_of_anything_else_is_other(key: Any) -> None:
    assert vendor_of(key) == "other"


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("GPT-4o", "gpt-4o"),
        ("eleven_flash_v2_5", "eleven-flash-v2-5"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4"),
        ("claude_sonnet_4_20250514", "claude-sonnet-4"),
        ("gpt-4o-2024-08-06", "gpt-4o-2024-08-06"),
        ("claude-sonnet-4@20250514", "claude-sonnet-4@20250514"),
        ("claude-sonnet-4-20250514-1", "claude-sonnet-4-20250514-1"),
        ("claude-sonnet-4-2025051", "claude-sonnet-4-2025051"),
        ("claude-sonnet-4-202505140", "claude-sonnet-4-202505140"),
        ("20250514", "20250514"),
        ("gpt-4o\n", "gpt-4o\n"),
        ("", ""),
        (f"{KELVIN}imi-k2-instruct", ""),
        ("gpt-4o-2025\N{ARABIC-INDIC DIGIT ZERO}514", ""),
        ("gpt-\ud800", ""),
        ("a" * 201, ""),
    ],
)
def test_normalise_model(raw: str, name: str) -> None:
    assert normalise_model(raw) == name


@pytest.mark.parametrize(
    ("vendor", "raw", "token"),
    [
        ("openai", "gpt-4o-mini", "openai-gpt-4o-mini"),
        ("openai", "gpt-realtime", "openai-gpt-realtime"),
        ("anthropic", "claude-sonnet-4-5-20250929", "anthropic-claude-sonnet-4-5"),
        ("deepgram", "nova-3", "deepgram-nova-3"),
        ("elevenlabs", "eleven_flash_v2_5", "elevenlabs-eleven-flash-v2-5"),
        ("cartesia_tts", "sonic-3", "cartesia-sonic-3"),
        ("google", "models/gemini-2.5-flash", "google-gemini-2.5-flash"),
        ("groq", "llama-3.3-70b-versatile", "groq-llama-3.3-70b-versatile"),
        (
            "groq",
            "meta-llama/llama-4-scout-17b-16e-instruct",
            "groq-llama-4-scout-17b-16e-instruct",
        ),
        ("cerebras", "gpt-oss-120b", "cerebras-gpt-oss-120b"),
        ("openai", "openai/gpt-4o", "openai-gpt-4o"),
        ("whisper", "whisper-1", "whisper-whisper-1"),
        ("whisper", "large-v3", "whisper-large-v3"),
    ],
)
def test_public_model_is_named(vendor: str, raw: str, token: str) -> None:
    assert model_token(vendor, raw) == token


@pytest.mark.parametrize(
    ("vendor", "raw"),
    [
        ("openai", "ft:gpt-4o:acme::abc123"),
        ("openai", "gpt-4o-acme"),
        ("openai", "/home/alice/gpt-4o"),
        ("openai", "acme/gpt-4o"),
        ("openai", "openai/acme/gpt-4o"),
        ("openai", "gpt-4o\n"),
        ("openai", " gpt-4o"),
        ("openai", "other"),
        ("openai", "/"),
        ("whisper", "C:\\models\\large-v3"),
        ("whisper", "/srv/large-v3"),
        ("groq", f"{KELVIN}imi-k2-instruct"),
        ("deepgram", "gpt-4o"),
        ("deepgram", "custom"),
        ("deepgram", "+4915112345678"),
        ("elevenlabs", "alice@example.com"),
        ("google", "gemini-2.5-flash" * 1000),
    ],
)
def test_anything_else_is_other(vendor: str, raw: str) -> None:
    assert model_token(vendor, raw) == f"{vendor}-other"


@pytest.mark.parametrize("raw", [4, 4.0, True, b"gpt-4o", ["gpt-4o"], object(), MagicMock()])
def test_model_of_another_type_is_other(raw: Any) -> None:
    assert model_token("openai", raw) == "openai-other"


@pytest.mark.parametrize("vendor", ["other", "acme", "", None, 4, ["openai"]])
def test_unknown_vendor_has_only_other_models(vendor: Any) -> None:
    assert model_token(vendor, "gpt-4o") == "other-other"


@pytest.mark.parametrize(("vendor", "raw"), [("openai", None), ("none", ""), ("None", "gpt-4o")])
def test_no_model_has_no_token(vendor: str, raw: str | None) -> None:
    assert model_token(vendor, raw) is None


def test_an_empty_model_is_one_that_nobody_knows() -> None:
    assert model_token("openai", "") == "openai-other"
    assert model_token("acme", "") == "other-other"
    assert stack_dimensions("openai/", None, Layer(provider_key="openai", model="")) == {
        "stt_provider": "openai",
        "llm_provider": "openai",
    }


def test_no_layers_have_no_dimensions() -> None:
    assert stack_dimensions(None, None, None) == {}


def test_each_layer_is_told_by_vendor_and_model() -> None:
    assert stack_dimensions(
        Layer(provider_key="deepgram", model="nova-3"),
        Layer(provider_key="elevenlabs_ws", model_id="eleven_v3"),
        Layer(provider_key="openai", model="ft:gpt-4o:acme"),
    ) == {
        "stt_provider": "deepgram",
        "stt_model": "deepgram-nova-3",
        "tts_provider": "elevenlabs",
        "tts_model": "elevenlabs-eleven-v3",
        "llm_provider": "openai",
        "llm_model": "openai-other",
    }


@pytest.mark.parametrize(
    "attributes",
    [
        {"model": "nova-3"},
        {"model_id": "nova-3"},
        {"_model": "nova-3"},
        {"_opts": Layer(model="nova-3")},
        {"model": "nova-3", "model_id": "nova-2"},
        {"model": "", "model_id": None, "_model": 4, "_opts": Layer(model="nova-3")},
        {"model": MagicMock(), "_model": "nova-3"},
    ],
)
def test_model_is_the_first_attribute_that_is_a_string(attributes: dict[str, Any]) -> None:
    found = stack_dimensions(Layer(provider_key="deepgram", **attributes), None, None)
    assert found == {"stt_provider": "deepgram", "stt_model": "deepgram-nova-3"}


def test_class_attributes_and_enumerations_count() -> None:
    class Point(str, Enum):
        ENHANCED = "enhanced"

    class SpeechmaticsLayer:
        provider_key = "speechmatics"
        model = Point.ENHANCED

    expected = {"stt_provider": "speechmatics", "stt_model": "speechmatics-enhanced"}
    assert stack_dimensions(SpeechmaticsLayer(), None, None) == expected
    assert stack_dimensions(SpeechmaticsLayer, None, None) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("deepgram/nova-3", {"stt_provider": "deepgram", "stt_model": "deepgram-nova-3"}),
        ("cartesia_stt/ink-2", {"stt_provider": "cartesia", "stt_model": "cartesia-ink-2"}),
        ("deepgram/deepgram/nova-3", {"stt_provider": "deepgram", "stt_model": "deepgram-nova-3"}),
        ("deepgram/acme/nova-3", {"stt_provider": "deepgram", "stt_model": "deepgram-other"}),
        ("deepgram/", {"stt_provider": "deepgram"}),
        ("deepgram", {"stt_provider": "deepgram"}),
        ("acme/secret", {"stt_provider": "other", "stt_model": "other-other"}),
        ("/srv/secret", {"stt_provider": "other", "stt_model": "other-other"}),
        ("", {"stt_provider": "other"}),
    ],
)
def test_layer_that_is_a_string(text: str, expected: dict[str, str]) -> None:
    assert stack_dimensions(text, None, None) == expected


class Raising:
    """Every attribute raises."""

    def __getattribute__(self, name: str) -> NoReturn:
        raise ValueError(name)


class Endless:
    """Every attribute that is missing recurses."""

    def __getattr__(self, name: str) -> object:
        return getattr(self, name + "x")


class Liar:
    """Says that it is a string, and is none."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return str


class Spiteful:
    """Even asking for its class raises."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise ValueError


@pytest.mark.parametrize(
    "make",  # pytest itself looks at its parameters, which these do not survive
    [
        *(Raising, Endless, Liar, Spiteful, MagicMock, object, int, bool, bytes, list, dict),
        lambda: Layer(provider_key=Liar(), model=Liar()),
        lambda: Layer(provider_key=Spiteful(), model=Spiteful()),
        lambda: Layer(provider_key=["deepgram"], _opts=Raising()),
        lambda: Raising,
        lambda: len,
    ],
)
def test_hostile_layer_is_other_and_raises_nothing(make: Callable[[], Any]) -> None:
    layer = make()
    assert stack_dimensions(layer, layer, layer) == {
        "stt_provider": "other",
        "tts_provider": "other",
        "llm_provider": "other",
    }
    assert vendor_of(layer) == "other"
    assert model_token("openai", layer) == "openai-other"


def test_one_attribute_that_raises_hides_no_other() -> None:
    class Half:
        provider_key = "deepgram"

        @property
        def model(self) -> str:
            raise RuntimeError

        _model = "nova-3"

    found = stack_dimensions(Half(), None, None)
    assert found == {"stt_provider": "deepgram", "stt_model": "deepgram-nova-3"}


def test_interrupt_in_a_property_passes() -> None:
    """Ctrl-C belongs to the program, wherever it arrives."""

    class Slow:
        @property
        def provider_key(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stack_dimensions(Slow(), None, None)


class Forged(str):
    """A string whose every method says what it likes."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash("nova-3")

    def __str__(self) -> str:
        return "secret"

    def __len__(self) -> int:
        return 0

    def lower(self) -> str:
        return "secret"

    def isascii(self) -> bool:
        return True

    def partition(self, _separator: str, /) -> Any:
        return "secret"

    replace = rpartition = isdigit = lower  # type: ignore[assignment]


def test_string_that_lies_about_its_text_cannot_forge_a_token() -> None:
    assert normalise_model(Forged("secret-name")) == "secret-name"
    assert model_token("deepgram", Forged("secret-name")) == "deepgram-other"
    assert model_token("deepgram", Forged("nova-3")) == "deepgram-nova-3"
    assert vendor_of(Forged("acme")) == "other"
    assert stack_dimensions(Forged("deepgram/secret"), None, None) == {
        "stt_provider": "deepgram",
        "stt_model": "deepgram-other",
    }
    layer = Layer(provider_key=Forged("deepgram"), model=Forged("nova-3"))
    found = stack_dimensions(layer, None, None)
    assert found == {"stt_provider": "deepgram", "stt_model": "deepgram-nova-3"}
    assert all(type(value) is str for value in found.values())


def test_module_imports_nothing_but_tables_and_primitives() -> None:
    tree = ast.parse(Path(stack.__file__).read_text(encoding="utf-8"))
    imported = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert {getattr(node, "module", None) for node in imported} == {
        "getpatter.telemetry._interrupt",
        "getpatter.telemetry._models",
        "getpatter.telemetry._plain",
        "getpatter.telemetry._tables",
    }
