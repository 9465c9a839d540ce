"""Finds what is said on a line: WebRTC's voice activity detector hears where speech ends."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from getpatter.demo.audio import FRAME_SECONDS, RATE
from getpatter.demo.engines import webrtcvad
from getpatter.demo.line import Line, LineError

__all__ = ["PATIENCE", "Utterance", "UtteranceFinder", "listen"]

PATIENCE = 10.0  # seconds without speech after which a side no longer waits for the other


@dataclass(frozen=True, slots=True)
class Utterance:
    """What was said between two pauses, and how long after its end that was known."""

    pcm: bytes
    seconds: float  # from the first voiced frame to the last
    silence: float  # from the last voiced frame to the decision that it was the last


class UtteranceFinder:
    """Finds utterances in frames; decides on frames, so a late thread cuts no word in two."""

    _ONSET = 3  # voiced frames in a row, 60 ms: no click is that long
    _LEAD = 12  # frames kept from before the onset, 240 ms: a soft first consonant is not voiced
    _TAIL = 6  # frames kept after the last voiced one

    def __init__(self, *, pause: float = 0.3) -> None:
        # 3: the strictest; the line is clean, and the looser ones hold on for longer.
        self._detector = webrtcvad.Vad(3)
        self._pause = round(pause / FRAME_SECONDS)
        self._lead: deque[bytes] = deque(maxlen=self._LEAD)
        self._frames: list[bytes] = []  # of the utterance that has begun; empty if none has
        self._voiced = self._silent = 0  # frames in a row
        self._last_voiced = 0.0

    def hear(self, frame: bytes, now: float) -> Utterance | None:
        """Take one frame that arrived at `now`; return the utterance that ended with it."""
        if self._detector.is_speech(frame, RATE):
            self._voiced, self._silent, self._last_voiced = self._voiced + 1, 0, now
        else:
            self._voiced, self._silent = 0, self._silent + 1
        if self._frames:
            self._frames.append(frame)
            return self._end(now) if self._silent >= self._pause else None
        self._lead.append(frame)
        if self._voiced >= self._ONSET:
            self._frames = list(self._lead)
        return None

    def _end(self, now: float) -> Utterance:
        spoken = len(self._frames) - self._silent
        lead = len(self._lead) - self._ONSET
        utterance = Utterance(
            pcm=b"".join(self._frames[: spoken + self._TAIL]),
            seconds=(spoken - lead) * FRAME_SECONDS,
            silence=now - self._last_voiced,
        )
        self._lead.clear()
        self._frames = []
        return utterance


def listen(line: Line, finder: UtteranceFinder) -> Utterance | None:
    """Return what the other side says next, None if it hangs up instead."""
    deadline = time.monotonic() + PATIENCE
    for frame in line.frames():
        now = time.monotonic()
        utterance = finder.hear(frame, now)
        if utterance:
            return utterance
        if now > deadline:
            message = f"nothing was said for {PATIENCE:.0f} seconds"
            raise LineError(message)
    return None
