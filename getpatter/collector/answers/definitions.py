"""All answers: which question each answers, what it is in plain words, and which filters it has.

The answers to single fields are made of the schemas: their question is the field's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from getpatter.collector.answers import calls, errors, quality, releases, runs
from getpatter.collector.store.columns import schemas

if TYPE_CHECKING:
    from collections.abc import Callable

    from getpatter.collector.answers.asked import Asked, Row

__all__ = ["AnswerDefinition", "answers"]

_TIME = ("since", "until")
_OF_RUNS = ("release", "os", "carrier", *_TIME)
_OF_CALLS = ("release", "os", "carrier", "engine", "provider", "direction", *_TIME)
_BY_RUNS = ("release", "os", "carrier", "package_manager", "agent", "container")
_BY_CALLS = ("release", "os", "carrier", "engine", "provider", "direction")


@dataclass(frozen=True, slots=True)
class AnswerDefinition:
    """A question and how it is answered. `serves`: the schemas' questions that it answers, too."""

    name: str
    question: str
    definition: str
    make: Callable[[Asked], list[Row]]
    queries: tuple[str, ...]
    filters: tuple[str, ...] = _OF_CALLS
    by: tuple[str, ...] = ()
    serves: tuple[str, ...] = ()
    field: str | None = None


_FIRST = (
    AnswerDefinition(
        "funnel",
        "How far do runs come, and where do they stop?",
        "Share of runs (process starts) that were blocked, by what was missing, and that started; "
        "of drawn runs that started, the share in which a call began; of those, the share in which "
        "a call completed, failed, or began and never ended. A run may do several. Whether "
        "a run was drawn is known for every run, silent ones included; legacy clients do not say "
        "their rate and stand in the first steps only. A run belongs to the day it began.",
        runs.funnel,
        ("funnel",),
        _OF_RUNS,
        _BY_RUNS,
        (
            "Which step on the way from installing the library to a finished call is this?",
            "Which events belong to the same run of a program?",
            "Which calls began and never reported an end?",
        ),
    ),
    AnswerDefinition(
        "affected",
        "How many installs does each error have?",
        "Installs with at least one failed call, by layer, code, carrier, provider and release of "
        "the error, and installs with a blocked start, by what was missing. Never sampled: "
        "counted, not estimated. An install with two errors stands in two rows.",
        calls.affected,
        ("affected",),
        serves=(
            "Do calls work, and where do they fail?",
            "At which step of the setup do new users get stuck?",
        ),
    ),
    AnswerDefinition(
        "after_block",
        "What do installs do after something was missing?",
        "Of the installs that were blocked by something missing, for the first time in the chosen "
        "days: the share that started later and after how long, that came back without starting, "
        "and that never came back. Never sampled. Who was blocked recently may still start.",
        runs.after_block,
        ("after_block",),
        ("release", "os", *_TIME),
        serves=("Why do people who installed the library never get to a first call?",),
    ),
    AnswerDefinition(
        "releases",
        "Did a release make it better or worse?",
        "Each step, rate and latency of a release (`release`, otherwise the newest) minus that of "
        "another one (`against`, otherwise the one before). Worse: the interval lies above zero. "
        "Not worse: it ends below the smallest difference that matters, 2 points for failed calls "
        "and 5 points for everything else. The first days of a release are its eager upgraders: "
        "compare the rows over the installs seen on both. Runs are blocked more often where more "
        "installs are new: compare the new installs that were blocked at their first run. The last "
        "7 days are left out unless `until` is given.",
        releases.releases,
        ("volume", "newcomers", "funnel", "rates", "paired"),
        ("release", "against", *_OF_CALLS[1:]),
        serves=("Which releases are in use, and did a release make anything better or worse?",),
    ),
    AnswerDefinition(
        "quality",
        "How far can the other answers be believed?",
        "Losses are no accident, so they are a bound on the share of failed calls and not a "
        "correction of it. Then: runs that contradict their sampling rate, runs whose rate is not "
        "known, throw-away identities, the share of the largest install, what clients lost, and "
        "what the collector refused. Losses and refusals have no operating system or carrier.",
        quality.quality,
        ("quality", "rates"),
        _OF_RUNS,
        serves=(
            "How many events does this one stand for?",
            "By which rules is this event to be read?",
        ),
    ),
    AnswerDefinition(
        "latency",
        "How long does the caller wait, and for which stage?",
        "Each call states the p95 over its turns. Of the ended calls that do: the share with more "
        "than so many milliseconds, the median and the p95. The p95 of calls is not the p95 of "
        "turns. The stages overlap. A quantile is shown from 50 installs on. By model: the share "
        "only, of runs that configured one model for the stage.",
        calls.latency,
        ("rates", "numbers", "latency_below", "latency_models"),
        by=(*_BY_CALLS, "model"),
        serves=("Does the agent answer quickly enough for a conversation?",),
    ),
    AnswerDefinition(
        "endings",
        "Who or what ends calls?",
        "Share of ended calls with each reason, of those that state one.",
        calls.endings,
        ("callers", "shares_calls"),
        by=_BY_CALLS,
        serves=("Who or what ends calls?",),
    ),
    AnswerDefinition(
        "volume",
        "How many installs, runs and calls are there?",
        "Installs, runs and starts are counted. Calls are those that arrived, and an estimate of "
        "those that sampling left out. Of runs at rate 0 nothing is known: they are in no figure "
        "of calls.",
        runs.volume,
        ("volume", "totals", "callers"),
        by=("release", "os", "carrier"),
        serves=(
            "How many installations are in use, and on what kind of system?",
            "How many calls are made, and with which kinds of engine?",
        ),
    ),
    AnswerDefinition(
        "first_call",
        "How long after installing does the first call come?",
        "Of the installs whose first run arrived: the share whose first call came within an "
        "hour, a day or a week of installing, or not yet. Of installs that are sampled nobody "
        "knows their first call, so only those whose runs all had rate 1. Recent ones have not "
        "had the time.",
        runs.first_call,
        ("first_call",),
        ("os", "carrier", *_TIME),
        serves=("How long does it take from installing to the first call?",),
    ),
    AnswerDefinition(
        "retention",
        "How many installs come back?",
        "Of the installs whose first run was in a week, the share with a run at least 7 and at "
        "least 28 days later. The last weeks have not had the time.",
        runs.retention,
        ("retention",),
        ("os", "carrier", *_TIME),
        serves=("How many installations are in use, and how many come back?",),
    ),
    AnswerDefinition(
        "errors",
        "Which errors became more frequent with a release?",
        "Share of ended calls that failed with each error, in a release minus that in another one. "
        "Releases, verdict and days are chosen as in `releases`; 2 points matter.",
        errors.errors,
        ("volume", "errors", "callers"),
        ("release", "against", *_OF_CALLS[1:]),
        serves=("Do calls work, and where do they fail?",),
    ),
    AnswerDefinition(
        "failures",
        "How many calls fail?",
        "Share of ended calls that failed. Whom nobody answered, or who was busy, did not fail.",
        calls.failures,
        ("rates",),
        by=(*_BY_CALLS, "day"),
        serves=("Do calls work, and where do they fail?",),
    ),
    AnswerDefinition(
        "adoption",
        "Which releases are in use?",
        "Installs with a run, by day and release: counted. An install that ran two releases stands "
        "in two rows.",
        runs.adoption,
        ("adoption",),
        _OF_RUNS,
        serves=("Which releases are in use, and did a release make anything better or worse?",),
    ),
)

_OF_INSTALLS = "Share of the installs that state it. An install with two values stands in two rows."
_OF_ENDED = "Share of ended calls, of those that state it."
_OF_A_NUMBER = (
    "Quantiles of the number over the events that state it. Shown from 50 installs on, since "
    "fewer say little of the others."
)
_NUMBERS = ("numbers", "numbers_below", "number_installs")
#: Field → what answers it.
_RUN_FIELDS = (
    "sdk", "sdk_version", "os", "arch", "runtime", "runtime_version", "ci", "carrier", "tunnel",
    "invoked_by_agent", "container", "serverless", "cloud", "package_manager",
    "days_since_install_bucket", "previous_sdk_version",
)  # fmt: skip
_SETUP_FIELDS = (
    "builtin_tool_count", "custom_tool_count_bucket", "integration", "integration_kind",
    "mcp_server_count_bucket", "noise_reduction", "turn_detection", "preambles_used",
    "per_tool_timeouts_set", "llm_fallback_configured", "provider", "stt_provider",
    "tts_provider", "llm_provider", "stt_model", "tts_model", "llm_model", "cli_command",
    "stack",
)  # fmt: skip
_CALL_FIELDS = (
    "outcome", "error_code", "error_layer", "disconnect_reason", "turn_count_bucket",
    "engine", "direction",
)  # fmt: skip
_NUMBER_FIELDS = (
    "latency_ms", "duration_seconds", "cost_usd", "stt_latency_ms",
    "llm_ttft_ms", "tts_first_byte_ms", "eou_latency_ms",
)  # fmt: skip
#: An event's question that its fields answer, by the field that comes first to mind.
_EVENTS = {
    "invoked_by_agent": "Where do people try the library for the first time?",
    "turn_detection": "Which options of an agent are used?",
    "stack": "Which combinations of vendors and models must work together?",
    "cli_command": "Is the command line used?",
}


def _questions() -> dict[str, str]:
    """Return field → its question, as the newest schemas have it."""
    found: dict[str, str] = {"stack": _EVENTS["stack"]}
    for _, events in sorted(schemas().items()):
        for schema in events.values():
            for name, rule in schema["properties"].items():
                if "x-question" in rule:
                    found[name] = rule["x-question"]
    return found


@lru_cache(maxsize=1)
def answers() -> dict[str, AnswerDefinition]:
    """Return all answers by their name: the first ones, then one for each field."""
    questions = _questions()
    made = {one.name: one for one in _FIRST}
    for names, definition, make, queries, filters, by in (
        (_RUN_FIELDS, _OF_INSTALLS, runs.shares_runs, ("shares_runs",), _OF_RUNS, ()),
        (
            _SETUP_FIELDS,
            _OF_INSTALLS,
            runs.shares_setups,
            ("shares_setups",),
            (*_OF_RUNS[:3], "engine", "provider", *_TIME),
            (),
        ),
        (
            _CALL_FIELDS,
            _OF_ENDED,
            calls.shares_calls,
            ("callers", "shares_calls"),
            _OF_CALLS,
            _BY_CALLS,
        ),
        (_NUMBER_FIELDS, _OF_A_NUMBER, calls.numbers, _NUMBERS, _OF_CALLS, _BY_CALLS),
    ):
        for name in names:
            serves = tuple({questions[name], _EVENTS.get(name, questions[name])})
            made[name] = AnswerDefinition(
                name, questions[name], definition, make, queries, filters, by, serves, name
            )
    return made
