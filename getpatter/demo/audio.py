"""The sound on the line: 16 kHz, 16 bit, one channel, in frames of 20 ms.

Turns the synthesiser's 22.05 kHz into such frames, piece by piece as it speaks. Pure computation:
no thread, no clock. (`audioop`, which could do it, left the standard library with Python 3.13.)
"""

from __future__ import annotations

import math
import operator
from array import array

__all__ = ["FRAME_BYTES", "FRAME_SECONDS", "RATE", "SILENCE", "Framer", "Resampler"]

RATE = 16_000  # what the recogniser's acoustic model was trained on
FRAME_SECONDS = 0.02  # what telephony sends, and one of the three lengths the detector takes
FRAME_BYTES = 640  # 16,000 samples a second, 0.02 seconds, 2 bytes each
SILENCE = bytes(FRAME_BYTES)

_TAPS = 24  # input samples per output sample: aliases stay inaudible at about 1 µs a sample
_PASSBAND = 0.9  # of the target's half rate; the rest is the filter's slope


class Resampler:
    """Converts a stream of samples to a lower or equal rate (polyphase windowed sinc).

    Give the pieces in their order; each gives back what can be computed from the input so far. The
    last 12 samples stay inside: at the end of a sentence they are silence.
    """

    def __init__(self, source: int, target: int = RATE) -> None:
        if target > source:
            message = f"cannot raise {source} Hz to {target} Hz: this filter only lowers a rate"
            raise ValueError(message)
        divisor = math.gcd(source, target)
        self._step, self._phases = source // divisor, target // divisor
        cutoff = _PASSBAND * target / source
        self._filters = [_taps(phase / self._phases, cutoff) for phase in range(self._phases)]
        self.restart()

    def restart(self) -> None:
        """Forget the stream so far; the filters stay, they are what takes long to make."""
        self._waiting = [0] * (_TAPS // 2 - 1)  # so that output 0 lies on input 0
        self._position = 0  # of the next output sample in `_waiting`, in 1/phases of a sample

    def convert(self, samples: array[int]) -> array[int]:
        """Return the samples at the target rate that this piece completes."""
        waiting = self._waiting
        waiting.extend(samples)
        step, phases, filters, multiply = self._step, self._phases, self._filters, operator.mul
        position, end = self._position, (len(waiting) - _TAPS + 1) * self._phases
        converted = array("h")
        while position < end:
            start, phase = divmod(position, phases)
            value = sum(map(multiply, filters[phase], waiting[start : start + _TAPS]))
            converted.append(max(-32_768, min(32_767, round(value))))
            position += step
        used = min(position // phases, len(waiting))
        del waiting[:used]
        self._position = position - used * phases
        return converted


class Framer:
    """Cuts a stream of bytes into frames of 20 ms."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def cut(self, pcm: bytes) -> list[bytes]:
        """Return the frames that are complete with `pcm`."""
        self._waiting += pcm
        whole = len(self._waiting) // FRAME_BYTES * FRAME_BYTES
        starts = range(0, whole, FRAME_BYTES)
        frames = [bytes(self._waiting[start : start + FRAME_BYTES]) for start in starts]
        del self._waiting[:whole]
        return frames

    def rest(self) -> list[bytes]:
        """Return what waits as one last frame, filled with silence; no frame if nothing waits."""
        return self.cut(bytes(-len(self._waiting) % FRAME_BYTES))


def _taps(fraction: float, cutoff: float) -> list[float]:
    """Return the filter for an output sample that lies `fraction` of a sample after an input."""
    offsets = [i - (_TAPS // 2 - 1) - fraction for i in range(_TAPS)]
    taps = [_sinc(cutoff * offset) * _hann(offset) for offset in offsets]
    gain = sum(taps)
    return [tap / gain for tap in taps]


def _sinc(x: float) -> float:
    return math.sin(math.pi * x) / (math.pi * x) if x else 1.0


def _hann(x: float) -> float:
    return 0.5 + 0.5 * math.cos(2 * math.pi * x / _TAPS)
