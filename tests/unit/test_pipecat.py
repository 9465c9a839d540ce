"""What a call is told of a Pipecat conversation, without Pipecat."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from getpatter.integrations.figures import measured
from getpatter.integrations.guarded import guarded
from getpatter.integrations.pipecat import observe
from getpatter.integrations.pipecat.conversation import Conversation
from getpatter.integrations.pipecat.mapping import (
    CATEGORIES,
    ROWS,
    category_of,
    code_of,
    service_of,
)
from getpatter.integrations.pipecat.observer import Reader

_ids = iter(range(1, 1_000_000))


class Told:
    """A call that writes down what it is told."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []
        self.events: list[tuple[str, dict[str, object]]] = []

    def emitter(self, node: str) -> SimpleNamespace:
        assert node == "pipecat"
        return SimpleNamespace(emit=lambda kind, data: self.events.append((kind, data)))

    def __getattr__(self, name: str) -> Any:
        return lambda *given, **named: self.said.append((name, *given, *named.items()))


def frame(name: str, **fields: object) -> Any:
    kind = type(name, (), {"__module__": "pipecat.frames.frames"})
    made: Any = kind()
    made.id, made.broadcast_sibling_id = next(_ids), None
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def service(base: str, module: str = "pipecat.services.acme.thing") -> Any:
    place = {"STTService": "stt_service", "LLMService": "llm_service", "TTSService": "tts_service"}
    root = type(base, (), {"__module__": f"pipecat.services.{place[base]}"})
    return type("Acme", (root,), {"__module__": module})()


STT, LLM, TTS = service("STTService"), service("LLMService"), service("TTSService")


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def reader(told: Told) -> Reader:
    return Reader(Conversation(told))  # type: ignore[arg-type]


def push(reader: Reader, *names: str) -> None:
    for name in names:
        reader.push(SimpleNamespace(frame=frame(name), source=None))


def first_byte(reader: Reader, source: Any, seconds: float) -> None:
    kind = type("TTFBMetricsData", (), {"__module__": "pipecat.metrics.metrics"})
    data: Any = kind()
    data.value = seconds
    reader.push(SimpleNamespace(frame=frame("MetricsFrame", data=[data]), source=source))


def names(told: Told) -> list[str]:
    return [said[0] for said in told.said]


def observed(told: Told) -> list[tuple[Any, ...]]:
    return [said[1:] for said in told.said if said[0] == "observe"]


def error(category: str | None, *, fatal: bool, usable: bool, processor: Any = STT) -> Any:
    processor.is_usable = usable
    value = None if category is None else SimpleNamespace(value=category)
    return frame(
        "ErrorFrame", fatal=fatal, processor=processor, category=value, error="", exception=None
    )


def test_what_was_heard_belongs_to_the_turn_that_it_ended(told: Told, reader: Reader) -> None:
    push(reader, "VADUserStartedSpeakingFrame")
    first_byte(reader, STT, 0.25)
    push(reader, "UserStoppedSpeakingFrame")
    assert names(told) == ["answer", "turn", "observe"]
    assert observed(told) == [("stt", 0.25)]


def test_a_transcript_that_comes_late_still_counts(told: Told, reader: Reader) -> None:
    push(reader, "UserStartedSpeakingFrame", "UserStoppedSpeakingFrame")
    first_byte(reader, STT, 0.5)
    first_byte(reader, STT, 0.75)
    assert observed(told) == [("stt", 0.5)]


def test_a_run_that_calls_a_tool_is_not_the_one_that_speaks(told: Told, reader: Reader) -> None:
    push(reader, "UserStoppedSpeakingFrame", "LLMFullResponseStartFrame")
    first_byte(reader, LLM, 0.1)
    push(reader, "LLMFullResponseStartFrame")
    first_byte(reader, LLM, 0.4)
    push(reader, "LLMTextFrame", "LLMTextFrame")
    assert observed(told) == [("llm", 0.4)]


def test_of_many_sentences_the_first_counts(told: Told, reader: Reader) -> None:
    push(reader, "UserStoppedSpeakingFrame", "LLMFullResponseStartFrame")
    first_byte(reader, TTS, 0.1)
    first_byte(reader, TTS, 0.2)
    assert observed(told) == [("tts", 0.1)]


def test_what_an_interruption_has_cut_off_is_absent(told: Told, reader: Reader) -> None:
    push(reader, "UserStoppedSpeakingFrame", "LLMFullResponseStartFrame", "InterruptionFrame")
    first_byte(reader, LLM, 0.1)
    first_byte(reader, TTS, 0.1)
    push(reader, "LLMTextFrame")
    assert observed(told) == []
    push(reader, "LLMFullResponseStartFrame")
    first_byte(reader, TTS, 0.3)
    assert observed(told) == [("tts", 0.3)]


@pytest.mark.parametrize("value", [0, 0.0, -1, float("nan"), float("inf"), True, None, "0.2"])
def test_what_says_that_nothing_was_measured_is_absent(value: object) -> None:
    assert measured(value) is None


def test_a_language_model_that_speaks_itself_has_no_first_token(told: Told, reader: Reader) -> None:
    live = service("LLMService", "pipecat.services.google.gemini_live.llm")
    push(reader, "UserStoppedSpeakingFrame", "LLMFullResponseStartFrame")
    first_byte(reader, live, 0.3)
    push(reader, "LLMTextFrame")
    assert observed(told) == []


def test_a_frame_that_goes_both_ways_counts_once(told: Told, reader: Reader) -> None:
    down, up = frame("UserStoppedSpeakingFrame"), frame("UserStoppedSpeakingFrame")
    down.broadcast_sibling_id, up.broadcast_sibling_id = up.id, down.id
    for each in (down, up, down, up):
        reader.push(SimpleNamespace(frame=each, source=None))
    assert names(told) == ["turn"]


@pytest.mark.parametrize("frame", ["CancelFrame", "EndFrame", "StopFrame"])
def test_an_end_of_our_own_stands(told: Told, frame: str) -> None:
    conversation = Conversation(told)  # type: ignore[arg-type]
    push(Reader(conversation), frame)
    conversation.left()
    conversation.end("local")
    assert [said for said in told.said if said[0] != "answer"] == [("hangup", "local"), ("end",)]


def test_who_has_left_was_there_and_hung_up(told: Told) -> None:
    conversation = Conversation(told)  # type: ignore[arg-type]
    conversation.left()
    push(Reader(conversation), "CancelFrame")
    conversation.left()
    assert told.said == [("answer",), ("hangup", "remote"), ("end",)]


def test_where_no_transport_says_who_left_nobody_hung_up(told: Told) -> None:
    conversation = Conversation(told)  # type: ignore[arg-type]
    conversation.knows_sides = False
    push(Reader(conversation), "CancelFrame")
    assert told.said == [("end",)]


def test_nothing_comes_after_the_end(told: Told) -> None:
    conversation = Conversation(told)  # type: ignore[arg-type]
    reader = Reader(conversation)
    conversation.end("local")
    del told.said[:]
    push(reader, "ClientConnectedFrame", "UserStoppedSpeakingFrame", "BotStartedSpeakingFrame")
    first_byte(reader, TTS, 0.1)
    reader.latency(0.5)
    reader.breakdown(SimpleNamespace(user_turn_secs=0.5))
    assert told.said == []


def test_the_time_to_the_answer_is_what_pipecat_says_and_is_never_derived(
    told: Told, reader: Reader
) -> None:
    push(reader, "UserStoppedSpeakingFrame")
    assert told.said == [("turn", ("late", True))]
    reader.latency(0.7123)
    reader.breakdown(SimpleNamespace(user_turn_secs=0.2))
    reader.latency(0.9)
    assert observed(told) == [("answer", 0.7123), ("eou", 0.2)]


@pytest.mark.parametrize(
    ("category", "processor", "said"),
    [
        ("authentication", STT, ("auth", "stt")),
        ("quota", LLM, ("rate_limit", "llm")),
        ("connectivity", TTS, ("connection", "tts")),
        ("unknown", TTS, ("provider_error", "tts")),
        (None, SimpleNamespace(), ("internal", None)),
    ],
)
def test_an_error_that_ended_the_call(
    told: Told, category: str | None, processor: Any, said: tuple[str, str | None]
) -> None:
    conversation = Conversation(told)  # type: ignore[arg-type]
    Reader(conversation).failed(error(category, fatal=True, usable=True, processor=processor))
    conversation.end("local")
    assert told.said == [("hangup", "local"), ("error", *said), ("end",)]


@pytest.mark.parametrize(("turns", "is_error"), [(0, True), (1, False)])
def test_a_turn_that_is_answered_later_shows_a_recovery(
    told: Told, turns: int, is_error: bool
) -> None:
    conversation = Conversation(told)  # type: ignore[arg-type]
    reader = Reader(conversation)
    reader.failed(error("authentication", fatal=False, usable=False))
    push(reader, *["UserStoppedSpeakingFrame"] * turns, "BotStartedSpeakingFrame")
    conversation.end("remote")
    assert (("error", "auth", "stt") in told.said) is is_error


def test_an_error_that_leaves_its_processor_usable_is_for_diagnostics(
    told: Told, reader: Reader
) -> None:
    said = error("rate_limit", fatal=False, usable=True)
    said.error = "slow down"
    reader.push(SimpleNamespace(frame=said, source=None))
    reader.failed(said)
    assert told.said == []
    assert told.events == [
        ("error", {"stage": "stt", "category": "rate_limit", "message": "slow down"})
    ]


def test_without_pipecat_one_line_says_what_to_install_and_no_call_begins() -> None:
    phone: Any = None
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'getpatter\[pipecat\]'$"):
        observe(object(), phone)


def test_every_category_has_a_code() -> None:
    codes = {category: code_of(category, "llm") for category in CATEGORIES}
    assert set(codes.values()) == {
        *("auth", "rate_limit", "connection", "provider_error", "input_validation", "internal")
    }
    assert category_of("a category of tomorrow") == "unknown"


def test_the_page_has_the_rows_of_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "pipecat.mdx").read_text("utf-8")
    generated = page.partition("begin generated")[2].partition("end generated")[0]
    rows = [line for line in generated.splitlines() if line.startswith("| ")]
    assert rows[2:] == [f"| {theirs} | {ours} |" for theirs, ours in ROWS]


def test_services_are_known_by_their_class() -> None:
    found = service_of(service("STTService", "pipecat.services.deepgram.stt"))
    assert found == ("stt", "deepgram", False)
    assert service_of(service("TTSService", "my.program")) == ("tts", "", False)
    assert service_of({}) is None


@pytest.mark.parametrize(
    ("module", "says", "is_realtime"),
    [
        ("openai.realtime.llm", None, True),
        ("openai.llm", None, False),
        ("openai.llm", True, True),
        ("openai.realtime.llm", False, False),
    ],
)
def test_a_service_says_whether_it_is_speech_to_speech_or_its_module_does(
    module: str, says: object, is_realtime: object
) -> None:
    model = service("LLMService", f"pipecat.services.{module}")
    model.service_metadata_frame = lambda: SimpleNamespace(is_realtime_service=says)
    assert service_of(model) == ("llm", "openai", is_realtime)


class Hostile:
    def __getattribute__(self, name: str) -> Any:
        raise SystemExit(name)


def test_an_object_whose_every_attribute_raises_does_nothing(told: Told, reader: Reader) -> None:
    data = SimpleNamespace(frame=Hostile(), source=Hostile())
    for take in (reader.push, reader.failed, reader.latency, reader.breakdown):
        guarded(take, data)
        guarded(take, Hostile())
    push(reader, "UserStoppedSpeakingFrame")
    assert names(told) == ["turn"]
