"""The frameworks that we integrate with: which versions are tested, what each cannot report."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FRAMEWORKS", "LIVEKIT", "PIPECAT", "Framework"]


class Framework(NamedTuple):
    """A framework, its package, and the minor versions that the tests run on: first and last."""

    extra: str
    title: str
    package: str
    tested: tuple[tuple[int, int], tuple[int, int]]
    #: Fields of `call_completed` that will be missing, and why.
    missing: tuple[tuple[str, str], ...]

    @property
    def versions(self) -> str:
        """The tested versions in words."""
        return " to ".join(".".join(map(str, version)) for version in self.tested)

    @property
    def how(self) -> str:
        """What to do where it is not installed, in one line."""
        first = ".".join(map(str, self.tested[0]))
        return (
            f"{self.title} {first} or newer is not installed: pip install 'getpatter[{self.extra}]'"
        )

    def is_tested(self, version: str) -> bool:
        """Return whether the tests run on the minor version of a version."""
        major, _, rest = version.partition(".")
        minor = rest.partition(".")[0]
        if not (major.isdecimal() and minor.isdecimal()):
            return False
        return self.tested[0] <= (int(major), int(minor)) <= self.tested[1]


LIVEKIT = Framework(
    extra="livekit",
    title="LiveKit Agents",
    package="livekit-agents",
    tested=((1, 3), (1, 8)),
    missing=(
        ("cost_usd", "LiveKit reports usage, not prices; call.cost() says it"),
        (
            "stt_latency_ms, eou_latency_ms",
            "LiveKit needs a VAD to know when the caller has stopped",
        ),
        ("llm_ttft_ms, tts_first_byte_ms", "a realtime model has no such stages"),
        ("latency_ms", "LiveKit 1.3 does not report it of a realtime model"),
    ),
)

PIPECAT = Framework(
    extra="pipecat",
    title="Pipecat",
    package="pipecat-ai",
    tested=((1, 3), (1, 14)),
    missing=(
        ("cost_usd", "Pipecat reports usage, not prices; call.cost() says it"),
        ("latency_ms, eou_latency_ms", "Pipecat needs a VAD to know when the caller has stopped"),
        (
            "stt_latency_ms, llm_ttft_ms, tts_first_byte_ms",
            "Pipecat measures them only while enable_metrics is on",
        ),
        ("llm_ttft_ms", "a speech-to-speech model has no such stage"),
    ),
)

#: All of them, in the order in which they are listed.
FRAMEWORKS = (LIVEKIT, PIPECAT)
