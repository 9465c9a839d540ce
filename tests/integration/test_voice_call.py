"""The demo's call with its real engines: synthesised, sent in real time, found, understood."""

from __future__ import annotations

import gc
import math
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from array import array
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from getpatter.demo.audio import FRAME_BYTES, FRAME_SECONDS, SILENCE, Resampler
from getpatter.demo.caller import CallerError, accept, answers_to, calling
from getpatter.demo.engines import espeakng_loader
from getpatter.demo.line import Line
from getpatter.demo.listening import Utterance, UtteranceFinder
from getpatter.demo.speech import Recogniser, RecogniserError, Speech, Voice
from getpatter.demo.voice import ANSWERS, SENTENCES, run_call, serve_call

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class WritingStage:
    """A stage that writes down its first byte."""

    def __init__(self, told: list[str], name: str) -> None:
        self._told, self._name = told, name

    def first(self) -> None:
        self._told.append(f"{self._name} first")


class WritingCall:
    """A call that writes down what it is told, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.eou: list[float] = []

    def answer(self) -> None:
        self.told.append("answer")

    def turn(self) -> None:
        self.told.append("turn")

    def observe(self, name: str, seconds: float, /) -> None:
        self.told.append(name)
        self.eou.append(seconds)

    @contextmanager
    def stage(self, name: str, /) -> Iterator[WritingStage]:
        try:
            yield WritingStage(self.told, name)
        except Exception as error:
            self.told.append(f"{name} failed: {type(error).__name__}")
            raise
        self.told.append(name)

    def hangup(self, side: str, /) -> None:
        self.told.append(f"hangup {side}")


class WritingPatter:
    """A host of one call."""

    def __init__(self) -> None:
        self.last = WritingCall()
        self.ended_with: type[BaseException] | None = None

    @contextmanager
    def call(self, *, direction: str) -> Iterator[WritingCall]:
        assert direction == "inbound"
        try:
            yield self.last
        except BaseException as error:
            self.ended_with = type(error)
            raise


TURN = ["turn", "eou", "stt", "llm", "tts first", "tts"]


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No line's thread outlives its call; what a socket or process leaves open becomes an error."""
    yield
    gc.collect()
    assert [thread.name for thread in threading.enumerate() if thread.name == "demo line"] == []


def spoken(voice: Voice, text: str) -> list[bytes]:
    frames: list[bytes] = []
    voice.speak(text, frames.append)
    return frames


def utterances(frames: list[bytes]) -> list[Utterance]:
    finder = UtteranceFinder()
    heard = [finder.hear(frame, i * FRAME_SECONDS) for i, frame in enumerate(frames)]
    return [utterance for utterance in heard if utterance]


def test_three_turns_are_understood_answered_and_heard() -> None:
    patter, lines = WritingPatter(), list[str]()
    begun = time.monotonic()
    report = run_call(lambda: patter.call(direction="inbound"), print=lines.append)
    wall = time.monotonic() - begun

    assert [turn.heard for turn in report.turns] == list(SENTENCES)
    assert [turn.answer for turn in report.turns] == [ANSWERS[said] for said in SENTENCES]
    assert patter.last.told == ["answer", *TURN, *TURN, *TURN, "hangup remote"]
    assert patter.ended_with is None

    # What arrived is what was sent; the detector's own edges are a few frames wide.
    assert [heard.sentence for heard in report.heard] == list(SENTENCES)
    # On a busy machine a turn may be heard late, but hardly each of them.
    pairs = zip(report.turns, report.heard, strict=True)
    assert min(abs(heard.answer_seconds - turn.answer_seconds) for turn, heard in pairs) < 0.2
    assert all(turn.answer_seconds > 0.4 for turn in report.turns)

    # Measured, and in real time: no part is longer than the whole. On a busy machine frames come
    # late and then at once, so nothing more can be said of one of them.
    assert all(seconds > 0 for seconds in patter.last.eou)
    assert sum(turn.answer_seconds + turn.eou for turn in report.turns) < wall

    assert len(lines) == len(SENTENCES)
    for line, said in zip(lines, SENTENCES, strict=True):
        shape = rf"caller said: {said} \| heard: {said} \| answered: {ANSWERS[said]} \| eou \d+"
        assert re.match(shape, line)


def test_failing_recogniser_ends_the_call_in_its_stage_and_both_sides() -> None:
    patter, lines = WritingPatter(), list[str]()
    with pytest.raises(RecogniserError, match="PocketSphinx"):
        run_call(lambda: patter.call(direction="inbound"), fail_stt_at_turn=2, print=lines.append)

    failed = ["turn", "eou", "stt failed: RecogniserError"]
    assert patter.last.told == ["answer", *TURN, *failed]
    assert patter.ended_with is RecogniserError
    assert len(lines) == 1


def test_caller_that_loses_its_agent_hangs_up_too() -> None:
    call, speech = WritingCall(), Speech(ANSWERS)
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        calling(listener.getsockname(), SENTENCES) as caller,
    ):
        with pytest.raises(RecogniserError):
            serve_call(accept(listener, caller), call, speech, fail_stt_at_turn=1)
        assert answers_to(caller) == []  # and so it ended with 0, in time


def test_caller_that_cannot_call_tells_why() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = closed.getsockname()
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        calling(nowhere, SENTENCES) as caller,
        pytest.raises(CallerError, match="ConnectionRefusedError"),
    ):
        accept(listener, caller)


def test_line_carries_frames_in_real_time_and_ends_with_a_hangup() -> None:
    frames = [bytes([i]) * FRAME_BYTES for i in range(1, 26)]
    arrived: list[bytes] = []
    ended: list[float] = []

    def hear(connection: socket.socket) -> None:
        with Line(connection) as line:
            for frame in line.frames():
                if frame != SILENCE:
                    arrived.append(frame)
                if len(arrived) == len(frames):
                    ended.append(time.monotonic())
                    return  # hangs up

    begun = time.monotonic()
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Line(socket.create_connection(listener.getsockname())) as near,
    ):
        far = threading.Thread(target=hear, args=[listener.accept()[0]])
        far.start()
        for frame in frames:
            near.say(frame)
        heard = list(near.frames())
        far.join(10)
        assert not far.is_alive()
    assert arrived == frames
    assert set(heard) == {SILENCE}
    # A frame may come late, never early.
    assert ended[0] - begun >= (len(frames) - 1) * FRAME_SECONDS


def test_line_that_ends_stays_open_until_the_other_side_ends_too() -> None:
    def leave(connection: socket.socket) -> None:
        with Line(connection):
            pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname(), timeout=10) as far:
            leaving = threading.Thread(target=leave, args=[listener.accept()[0]])
            leaving.start()
            while far.recv(65_536):
                pass
            leaving.join(0.2)
            assert leaving.is_alive()  # a closed socket would answer our next frame with a reset
            far.sendall(SILENCE)
        leaving.join(10)
        assert not leaving.is_alive()


def tone(hertz: int, rate: int) -> array[int]:
    samples = range(rate // 2)
    return array("h", [round(10_000 * math.sin(2 * math.pi * hertz * i / rate)) for i in samples])


def test_resampler_keeps_a_tone_whatever_the_pieces_and_removes_what_would_alias() -> None:
    low, high = tone(1_000, 22_050), tone(10_000, 22_050)
    whole = Resampler(22_050).convert(low)
    expected = tone(1_000, 16_000)
    assert len(whole) == pytest.approx(len(expected), abs=20)
    assert all(abs(a - b) < 150 for a, b in zip(whole[20:-20], expected[20:], strict=False))

    resampler, pieces = Resampler(22_050), array("h")
    for start in range(0, len(low), 1_323):
        pieces.extend(resampler.convert(low[start : start + 1_323]))
    assert pieces == whole

    assert max(map(abs, Resampler(22_050).convert(high)[20:-20])) < 100


def test_every_sentence_of_the_rule_is_one_utterance_and_understood() -> None:
    speech = Speech(ANSWERS)
    understood = {}
    for sentence in ANSWERS:
        found = utterances([SILENCE] * 20 + spoken(speech.voice, sentence) + [SILENCE] * 20)
        understood[sentence] = [speech.recogniser.understand(utterance.pcm) for utterance in found]
    assert understood == {sentence: [sentence] for sentence in ANSWERS}


def test_silence_is_not_understood_and_a_failure_leaves_the_recogniser_usable() -> None:
    recogniser, voice = Recogniser(ANSWERS), Voice()
    assert recogniser.understand(SILENCE * 50) == ""
    with pytest.raises(RecogniserError):
        recogniser.understand(SILENCE * 50, opened=False)
    said = utterances(spoken(voice, "thank you goodbye") + [SILENCE] * 20)[0]
    assert recogniser.understand(said.pcm) == "thank you goodbye"


def test_what_stops_the_synthesis_comes_out_of_it() -> None:
    voice, frames = Voice(), list[bytes]()

    def stop(frame: bytes) -> None:
        frames.append(frame)
        message = "enough"
        raise OSError(message)

    with pytest.raises(OSError, match="enough"):
        voice.speak("what is the weather", stop)
    assert len(frames) == 1
    assert len(spoken(voice, "what is the weather")) > 40  # and it can speak again


def test_voice_speaks_from_a_directory_deeper_than_its_library_can_name(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100) / "espeak-ng-data"
    shutil.copytree(espeakng_loader.get_data_path(), deep)
    program = (
        "import sys; from pathlib import Path; from getpatter.demo.speech import Voice\n"
        "frames = []; Voice(Path(sys.argv[1])).speak('goodbye', frames.append); print(len(frames))"
    )
    # A process of its own: one that has spoken before keeps the data it had.
    command = [sys.executable, "-W", "error", "-c", program, str(deep)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert run.stderr == ""
    assert int(run.stdout) > 20


@pytest.mark.parametrize("package", ["espeakng_loader", "pocketsphinx", "webrtcvad"])
def test_missing_package_is_told_in_one_line(package: str) -> None:
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "try:\n    import getpatter.demo.voice\nexcept ImportError as error:\n    print(error)"
    )
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert run.stdout.count("\n") == 1
    assert package in run.stdout
    assert "pip install 'getpatter[demo]'" in run.stdout
