"""Events: from a name and dimensions to the flat object that leaves, and its bytes.

Whatever the dimensions are, what comes out is valid or is not there at all. No I/O but what the
`build_event` of the host library asks of the install's state.
"""

import os
import sys

from getpatter.telemetry import disclosure, env, schema, stack
from getpatter.telemetry._tables import (
    DIMENSIONS,
    ENUMS,
    EVENT_NAMES,
    RETIRED,
    SCHEMA_VERSION,
    WITHOUT,
)
from getpatter.telemetry.delivery.batch import encode
from getpatter.telemetry.gate import Gate
from getpatter.telemetry.install_id import age_bucket, install_id, run_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from getpatter.telemetry.losses import Losses

__all__ = [
    "ALLOWED_DIMENSIONS",
    "DIMENSION_VALUES",
    "EVENT_AGENT_CONFIGURED",
    "EVENT_CALL_COMPLETED",
    "EVENT_CALL_STARTED",
    "EVENT_CLI_COMMAND",
    "EVENT_CONFIG_INCOMPLETE",
    "EVENT_FEATURE_USED",
    "EVENT_FIRST_RUN",
    "EVENT_SDK_INITIALIZED",
    "SCHEMA_VERSION",
    "Builder",
    "arch_of",
    "build_event",
    "common_fields",
    "encode",
    "os_of",
]

EVENT_AGENT_CONFIGURED = "agent_configured"
EVENT_CALL_COMPLETED = "call_completed"
EVENT_CALL_STARTED = "call_started"
EVENT_CLI_COMMAND = "cli_command"
EVENT_CONFIG_INCOMPLETE = "config_incomplete"
EVENT_FEATURE_USED = "feature_used"
EVENT_FIRST_RUN = "first_run"
EVENT_SDK_INITIALIZED = "sdk_initialized"

#: Event name → the names of the dimensions that may stand on it.
ALLOWED_DIMENSIONS = {name: frozenset(names) for name, names in DIMENSIONS.items()}
#: Enumerated dimension → its values.
DIMENSION_VALUES = {
    name: values
    for name, values in ENUMS.items()
    if any(name in allowed for allowed in ALLOWED_DIMENSIONS.values())
}

_OS = {"linux": "linux", "darwin": "darwin", "win32": "windows", "cygwin": "windows"}
_ARCH = {"x86_64": "x86_64", "amd64": "x86_64", "arm64": "arm64", "aarch64": "arm64"}
_RUNTIMES = frozenset({"cpython", "pypy"})
# A token could be any word: a model's is a publicly known one.
_TOKENS: "dict[str, Callable[[object], object]]" = dict.fromkeys(
    ("stt_model", "tts_model", "llm_model"), lambda token: stack.public_token(str(token))
)


def _coercer(dimension: str) -> "Callable[[object], object]":
    """Return what makes a recorded value one that may stand in `dimension`, or `UNFIT`."""
    coerce, narrow = schema.COERCERS[dimension], _TOKENS.get(dimension)
    if narrow is None:
        return coerce

    def both(value: object) -> object:
        token = coerce(value)
        return token if token is schema.UNFIT else narrow(token)

    return both


# Event → each dimension that may be recorded with it, and its coercer. The probability with which
# an event was kept is the gate's to say.
_COERCERS = {
    name: {dimension: _coercer(dimension) for dimension in names if dimension != "sample_rate"}
    for name, names in DIMENSIONS.items()
}
# Events that say how old the install was when the call began.
_CALLS = frozenset({EVENT_CALL_STARTED, EVENT_CALL_COMPLETED})


def common_fields(
    sdk_version: str, install: str, environ: "Mapping[str, str]"
) -> "dict[str, object]":
    """Return the fields that every event of this process has, but its name."""
    version = schema.coerce("sdk_version", sdk_version)
    runtime = sys.implementation.name
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": run_id(),
        "install_id": install,
        "sdk": "python",
        "sdk_version": "0" if version is schema.UNFIT else version,
        "os": os_of(sys.platform),
        "arch": arch_of(_machine(environ)),
        "runtime": runtime if runtime in _RUNTIMES else "other",
        "runtime_version": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "ci": env.ci_variable(environ) is not None,
    }


def os_of(platform: str) -> str:
    """Return the family of the system that calls itself `platform`."""
    # With its major version behind it.
    return "freebsd" if platform.startswith("freebsd") else _OS.get(platform, "other")


def arch_of(machine: str) -> str:
    """Return the architecture of the processor that calls itself `machine`, whatever its case."""
    return _ARCH.get(machine.lower(), "other")


def _machine(environ: "Mapping[str, str]") -> str:
    if sys.platform == "win32":
        return environ.get("PROCESSOR_ARCHITECTURE", "")
    return os.uname().machine


def coerced(name: str, dimensions: "Mapping[str, object]") -> "tuple[dict[str, object], list[str]]":
    """Return the dimensions as they may stand in an event `name`, which is a known one, and the
    names of those that were refused. What is retired is left out, and is no fault of the caller.
    """
    coercers, retired = _COERCERS[name], RETIRED.get(name, ())
    kept: dict[str, object] = {}
    refused: list[str] = []
    for given, value in dimensions.items():
        if value is None:
            continue
        # A name of a type of its own (StrEnum, or anything hostile) counts by its characters.
        dimension = given if type(given) is str else str.__str__(given)
        coercer = coercers.get(dimension)
        fit = schema.UNFIT if coercer is None else coercer(value)
        if fit is schema.UNFIT:
            if dimension not in retired:
                refused.append(dimension)
        else:
            kept[dimension] = fit
    return kept, refused


def _flat(
    name: str, common: "Mapping[str, object]", own: "Mapping[str, object]"
) -> "dict[str, object]":
    """Return the event as it leaves, its fields in the order of the schema: the caller's order
    would distinguish programs, and what varies most stands last, which compresses best.
    """
    event = {"event": name, **common}
    for field in WITHOUT.get(name, ()):
        event.pop(field, None)
    for dimension in DIMENSIONS[name]:
        if dimension in own:
            event[dimension] = own[dimension]
    return event


def build_event(
    name: str, *, sdk_version: str, dimensions: "Mapping[str, object] | None" = None
) -> "dict[str, object]":
    """Return the event `name` as it would leave; invalid dimensions are left out.

    Raises ValueError for a name that is not one of the eight.
    """
    if type(name) is not str or name not in ALLOWED_DIMENSIONS:
        message = "unknown event; one of: " + ", ".join(EVENT_NAMES)
        raise ValueError(message)
    common = common_fields(sdk_version, install_id(), env.process_environment())
    return _flat(name, common, coerced(name, dimensions or {})[0])


class Builder:
    """Turns records into events of this run: common fields, call age, sampling, and the check.

    `age` is how old the install was at `asked`, in seconds of the monotonic clock; None if unknown.
    `gate` may be replaced by that of a lower rate. `shown` is the schema version whose notice was
    shown: what came later is withheld. It is found out before the build.
    """

    __slots__ = ("_age", "_asked", "_common", "_is_flawed", "_losses", "gate", "shown")

    def __init__(
        self,
        common: "Mapping[str, object]",
        gate: Gate,
        losses: "Losses",
        *,
        age: float | None,
        asked: float,
    ) -> None:
        self._common = common
        # Judged once: whatever is wrong with these is wrong with every event, and none leaves.
        self._is_flawed = any(schema.check(_flat(each, common, {})) for each in EVENT_NAMES)
        self.gate = gate
        self._losses = losses
        self._age = age
        self._asked = asked
        self.shown = SCHEMA_VERSION

    def build(
        self, name: object, dimensions: "Mapping[str, object]", at: float
    ) -> "dict[str, object] | None":
        """Return the event recorded at `at`; None, and counted, if it does not leave."""
        name = str.__str__(name) if issubclass(type(name), str) else ""
        if name not in ALLOWED_DIMENSIONS:
            self._losses.count(name, "unknown_event")
            return None
        own, refused = coerced(name, dimensions)
        if refused:
            self._losses.count(name, "bad_dimension", len(refused))
        if name in _CALLS and "time_to_first_call_bucket" not in own:
            own["time_to_first_call_bucket"] = self._age_at_start(own, at)
        rate = self.gate.decide(name, own)
        if rate is None:
            self._losses.count(name, "sampled_out")
            return None
        if rate < 1:
            own["sample_rate"] = rate
        # The last word before an event may leave; nothing above should ever make it say no.
        if self._is_flawed or schema.check_dimensions(name, own) is not None:
            self._losses.count(name, "internal_error")
            return None
        event = _flat(name, self._common, own)
        return event if self.shown >= SCHEMA_VERSION else self._withheld(name, event)

    def _withheld(self, name: str, event: "dict[str, object]") -> "dict[str, object] | None":
        """Return what may leave of an event where only an earlier version's notice was shown."""
        reason = disclosure.withhold(event, self.shown)
        if reason is not None:
            # The report does not name an event that is withheld: that would reveal it.
            self._losses.count("" if reason == "unknown_event" else name, reason)
            return None
        if schema.check(event) is not None:
            self._losses.count(name, "internal_error")
            return None
        return event

    def _age_at_start(self, event: "Mapping[str, object]", at: float) -> str:
        """Return the age bucket for the call's beginning, so that both its events say the same."""
        if self._age is None:
            return age_bucket(None)
        duration = event.get("duration_seconds", 0)
        lasted = duration if isinstance(duration, int) else 0
        return age_bucket(max(0.0, self._age + (at - self._asked) - lasted))
