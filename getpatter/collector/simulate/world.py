"""The world that is simulated: every probability and distribution, with nothing hidden elsewhere.

The truth file repeats these numbers. They are invented; what matters is that they are known.
"""

from __future__ import annotations

import random  # noqa: TID251 - nothing here is an identity of anybody
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Generic, TypeVar

__all__ = [
    "BLOCKS",
    "CALL",
    "ERRORS",
    "INSTALL",
    "LATENCIES",
    "LOSSES",
    "RELEASES",
    "RUN",
    "TRAITS",
    "Chance",
    "Release",
    "WeightedChoice",
    "parameters",
]

#: The one source of chance: what it draws is invented, and the same for the same seed.
Chance = random.Random

T = TypeVar("T")


class WeightedChoice(Generic[T]):
    """Values with their probabilities."""

    __slots__ = ("_sums", "_values", "weights")

    def __init__(self, weights: dict[T, float]) -> None:
        self.weights = weights
        self._values = tuple(weights)
        self._sums = tuple(accumulate(weights.values()))

    def draw(self, chance: Chance) -> T:
        """Return one of the values."""
        return chance.choices(self._values, cum_weights=self._sums)[0]


@dataclass(frozen=True, slots=True)
class Release:
    """A release: out after this share of the simulated days; factors on errors and latencies."""

    version: str
    out: float
    errors: float = 1.0
    slowness: float = 1.0


#: 0.7.1 is worse, 0.7.2 is as 0.7.0 was: an answer should see the first and not the second.
RELEASES = (
    Release("0.6.5", -1.0),
    Release("0.7.0", 0.15),
    Release("0.7.1", 0.4, errors=2.0, slowness=1.2),
    Release("0.7.2", 0.65),
)

#: Of an install. Numbers: mean and spread of a lognormal distribution, or a probability.
INSTALL = {
    "throw_away": 0.12,  # has one run, and never another one
    "typescript": 0.08,
    "legacy_v5": 0.02,
    "legacy_v7": 0.03,
    "legacy_v8": 0.05,
    "born_before": 0.4,  # before the first day
    "runs_a_day_median": 0.5,
    "runs_a_day_sigma": 1.0,
    "life_days": 60.0,  # mean of an exponential distribution
    "upgrade_days": 6.0,  # mean delay until an install takes a release that is out
    "calls_a_run_median": 1.6,
    "calls_a_run_sigma": 0.9,
    "error_mean": 0.04,  # Beta distribution: how likely an answered call fails, by install
    "error_spread": 30.0,  # its alpha + beta: a small one makes installs differ much
    "slowness_sigma": 0.25,  # lognormal factor on latencies, by install
}

TRAITS: dict[str, WeightedChoice[Any]] = {
    "os": WeightedChoice({"linux": 0.55, "darwin": 0.33, "windows": 0.11, "freebsd": 0.01}),
    "arch": WeightedChoice({"x86_64": 0.6, "arm64": 0.38, "other": 0.02}),
    "runtime_version": WeightedChoice({"3.10": 0.1, "3.11": 0.3, "3.12": 0.4, "3.13": 0.2}),
    "node_version": WeightedChoice({"20.1": 0.4, "22.0": 0.6}),
    "package_manager": WeightedChoice(
        {"pip": 0.5, "uv": 0.25, "poetry": 0.15, "conda": 0.07, "pipenv": 0.03}
    ),
    "node_package_manager": WeightedChoice({"npm": 0.6, "pnpm": 0.25, "yarn": 0.1, "bun": 0.05}),
    "invoked_by_agent": WeightedChoice(
        {"none": 0.6, "claude": 0.2, "cursor": 0.12, "copilot": 0.04, "windsurf": 0.02}
        | {"gemini": 0.01, "other": 0.01}
    ),
    "container": WeightedChoice({False: 0.7, True: 0.3}),
    "serverless": WeightedChoice({"none": 0.9, "lambda": 0.05, "cloud_run": 0.04, "vercel": 0.01}),
    "cloud": WeightedChoice({"none": 0.65, "aws": 0.2, "gcp": 0.1, "azure": 0.03, "fly": 0.02}),
    "carrier": WeightedChoice({"twilio": 0.6, "telnyx": 0.25, "plivo": 0.05, "none": 0.1}),
    "tunnel": WeightedChoice({"none": 0.5, "configured": 0.3, "static": 0.2}),
    "mode": WeightedChoice(
        {"pipeline": 0.65, "openai_realtime": 0.25, "elevenlabs_convai": 0.1},
    ),
    "llm": WeightedChoice(
        {("openai", "gpt-4o-mini"): 0.5, ("anthropic", "claude-3-5-haiku"): 0.2}
        | {("groq", "llama-3.3-70b-versatile"): 0.2, ("openai", "our-fine-tune"): 0.1}
    ),
    "stt": WeightedChoice({("deepgram", "nova-3"): 0.7, ("whisper", "base"): 0.3}),
    "tts": WeightedChoice({("elevenlabs", "eleven-flash-v2-5"): 0.6, ("cartesia", "sonic-2"): 0.4}),
    "rate": WeightedChoice({1.0: 0.6, 0.25: 0.2, 0.1: 0.15, 0.0: 0.05}),
    "outbound": WeightedChoice({False: 0.7, True: 0.3}),
}

#: Of the first start, by category: how likely it is blocked, and how likely each later try ends it.
BLOCKS = {
    "carrier_credentials": {"first": 0.18, "fixed": 0.55, "given_up": 0.15},
    "llm_key": {"first": 0.12, "fixed": 0.6, "given_up": 0.1},
    "engine_config": {"first": 0.05, "fixed": 0.35, "given_up": 0.3},
    "other": {"first": 0.01, "fixed": 0.5, "given_up": 0.2},
    # Minutes to the next try (lognormal), and how likely a later run is blocked again.
    "retry": {"minutes_median": 8.0, "minutes_sigma": 1.8, "later": 0.005},
}

#: Of a run.
RUN = {
    "command": 0.05,  # is a command of the CLI and nothing else
    "lower_rate": 0.01,  # the host lowers the rate while it runs
    "without_call": 0.35,
    "killed": 0.006,  # by call: the process ends within it, and nothing says so
}

#: Of a call.
CALL = {
    "no_answer": 0.1,  # of the outbound ones, as the next two
    "busy": 0.05,
    "not_connected": 0.03,
    "turns_median": 6.0,
    "turns_sigma": 0.8,
    "seconds_a_turn": 9.0,
    "longest_seconds": 3600.0,
    "usd_a_minute": 0.07,
    "pause_minutes": 12.0,  # mean, to the next call
}

#: A terminal error: stage, code.
ERRORS: WeightedChoice[tuple[str | None, str]] = WeightedChoice(
    {
        ("llm", "timeout"): 0.28,
        ("llm", "rate_limit"): 0.17,
        ("llm", "auth"): 0.07,
        ("stt", "connection"): 0.14,
        ("tts", "provider_error"): 0.1,
        ("carrier", "connection"): 0.1,
        (None, "webhook_verification"): 0.05,
        (None, "config"): 0.04,
        (None, "internal"): 0.03,
        (None, "other"): 0.02,
    }
)

#: Of a call's p95, lognormal: median in milliseconds and sigma, by stage and vendor or mode.
LATENCIES: dict[str, dict[str, tuple[float, float]]] = {
    "stt": {"deepgram": (180, 0.35), "whisper": (420, 0.5)},
    "llm": {"openai": (480, 0.5), "anthropic": (560, 0.45), "groq": (210, 0.6)},
    "tts": {"elevenlabs": (160, 0.3), "cartesia": (110, 0.3)},
    "eou": {"pipeline": (320, 0.15)},
    "answer": {"openai_realtime": (620, 0.4), "elevenlabs_convai": (700, 0.35)},
}

#: Of a batch.
LOSSES = {
    "lost": 0.01,  # the client reports it with the next batch of the same run
    "sent_twice": 0.02,  # under the same key, because the answer was lost
    "spooled": 0.05,
    "spooled_hours": 12.0,  # mean
    "seconds": 3.0,  # mean, to the collector, if not spooled
}


def parameters() -> dict[str, object]:
    """Return all of the above as JSON."""
    return {
        "releases": {
            one.version: {"out": one.out, "errors": one.errors, "slowness": one.slowness}
            for one in RELEASES
        },
        "install": INSTALL,
        "traits": {name: _plain(choice) for name, choice in TRAITS.items()},
        "blocks": BLOCKS,
        "run": RUN,
        "call": CALL,
        "errors": _plain(ERRORS),
        "latencies": LATENCIES,
        "losses": LOSSES,
    }


def _plain(choice: WeightedChoice[T]) -> dict[str, float]:
    return {
        "/".join(map(str, value)) if isinstance(value, tuple) else str(value).lower(): weight
        for value, weight in choice.weights.items()
    }
