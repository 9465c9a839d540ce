"""The speech engines of the demo's call: espeak-ng speaks, PocketSphinx understands.

Nothing here knows of lines or calls, nothing waits. One thread at a time may use an engine, and all
voices of a process share one libespeak-ng, which lives in C globals.
"""

from __future__ import annotations

import ctypes
import tempfile
from array import array
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from getpatter.demo.audio import Framer, Resampler
from getpatter.demo.engines import espeakng_loader, pocketsphinx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Recogniser", "RecogniserError", "Speech", "Voice", "VoiceError"]

# From espeak-ng's speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2  # the samples come to our callback; no sound device is touched
_INITIALIZE_DONT_EXIT = 0x8000  # else a missing data file ends the whole process
_PARAMETER_RATE = 1
_POSITION_CHARACTER = 1
_CHARS_UTF8 = 1

_PIECE_MS = 60  # espeak-ng hands over the sound in such pieces: the first is there at once
_PATH_LIMIT = 150  # libespeak-ng cuts the path of its data at 160 bytes

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class VoiceError(RuntimeError):
    """The synthesiser could not start, or not speak a text."""


class RecogniserError(RuntimeError):
    """The recogniser could not work on an utterance."""


class Voice:
    """espeak-ng's American English, with a higher pitch: PocketSphinx understands that one best."""

    def __init__(self, data: Path | None = None, *, words_per_minute: int = 175) -> None:
        data = data or Path(espeakng_loader.get_data_path())
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        _declare(self._library)
        with _short(data) as path:
            # Both read the data; afterwards no file is needed any more.
            rate = self._library.espeak_Initialize(
                _AUDIO_OUTPUT_SYNCHRONOUS, _PIECE_MS, bytes(path), _INITIALIZE_DONT_EXIT
            )
            refused = rate <= 0 or self._library.espeak_SetVoiceByName(b"en-us+f2")
        if refused or self._library.espeak_SetParameter(_PARAMETER_RATE, words_per_minute, 0):
            message = f"espeak-ng does not start with its data in {data}"
            raise VoiceError(message)
        self._resampler = Resampler(rate)

    def speak(self, text: str, sink: Callable[[bytes], None]) -> None:
        """Give `sink` the frames of the spoken text, each as soon as it exists.

        What `sink` raises stops the synthesis and comes out of here.
        """
        framer = Framer()
        failures: list[BaseException] = []  # ctypes would only print what a callback raises

        def receive(samples: Any, count: int, _events: int | None) -> int:  # noqa: ANN401 - C pointer
            try:
                if samples and count > 0:
                    piece = array("h", ctypes.string_at(samples, count * 2))
                    for frame in framer.cut(self._resampler.convert(piece).tobytes()):
                        sink(frame)
            except BaseException as error:  # raised below, where C is left
                failures.append(error)
            return 1 if failures else 0

        self._resampler.restart()
        callback = _Callback(receive)  # this name keeps it alive while C may call it
        self._library.espeak_SetSynthCallback(callback)
        encoded = text.encode() + b"\0"
        failed = self._library.espeak_Synth(
            encoded, len(encoded), 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
        )
        if failures:
            raise failures[0]
        if failed:
            message = f"espeak-ng does not speak {text!r} (error {failed})"
            raise VoiceError(message)
        for frame in framer.rest():
            sink(frame)


class Recogniser:
    """PocketSphinx with its American English model, for a few sentences."""

    def __init__(self, sentences: Iterable[str]) -> None:
        self._sentences = frozenset(sentences)
        # lm=None: the grammar takes the place of the general language model, which is large.
        # dither: in the digital silence of a synthesised call it finds no word's end without.
        self._decoder = pocketsphinx.Decoder(lm=None, loglevel="FATAL", dither=True)
        self._decoder.add_jsgf_string("call", _grammar(self._sentences))
        self._decoder.activate_search("call")

    def understand(self, pcm: bytes, *, opened: bool = True) -> str:
        """Return the sentence that was said, or "" if it was none of them.

        `opened=False` forgets to open the utterance, which PocketSphinx refuses: a real failure.
        """
        try:
            if opened:
                self._decoder.start_utt()
            self._decoder.process_raw(pcm, full_utt=True)
            self._decoder.end_utt()
        except RuntimeError as error:
            message = f"PocketSphinx gave up on an utterance: {error}"
            raise RecogniserError(message) from error
        hypothesis = self._decoder.hyp()
        # Other words give it the beginning of a sentence, or nothing.
        return hypothesis.hypstr if hypothesis and hypothesis.hypstr in self._sentences else ""


class Speech:
    """A voice and a recogniser, loaded: making them takes 0.2 seconds, the first use no more."""

    def __init__(self, sentences: Iterable[str]) -> None:
        self.voice = Voice()
        self.recogniser = Recogniser(sentences)


def _grammar(sentences: Iterable[str]) -> str:
    """Return the grammar in which exactly these sentences are right."""
    return f"#JSGF V1.0;\ngrammar call;\npublic <sentence> = {' | '.join(sorted(sentences))};\n"


def _declare(library: ctypes.CDLL) -> None:
    """Declare to ctypes the arguments of what we call; every result is an int."""
    number, text = ctypes.c_int, ctypes.c_char_p
    library.espeak_Initialize.argtypes = [number, number, text, number]
    library.espeak_SetVoiceByName.argtypes = [text]
    library.espeak_SetParameter.argtypes = [number, number, number]
    library.espeak_SetSynthCallback.argtypes = [_Callback]
    library.espeak_Synth.argtypes = [
        *(text, ctypes.c_size_t, ctypes.c_uint, number, ctypes.c_uint, ctypes.c_uint),
        *(ctypes.c_void_p, ctypes.c_void_p),
    ]


@contextmanager
def _short(path: Path) -> Iterator[Path]:
    """Yield `path`, or a short link to it where libespeak-ng would cut it."""
    if len(bytes(path)) <= _PATH_LIMIT:
        yield path
        return
    with tempfile.TemporaryDirectory() as directory:
        link = Path(directory, "espeak-ng-data")
        link.symlink_to(path, target_is_directory=True)
        yield link
