"""Consent: whether telemetry is on, and which rule says so.

Pure but for the two edges at the end. The rules and their order are the contract's: the first
that says "off" decides, nothing says "on" but the absence of every "off".
"""

from getpatter.telemetry import env

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Rule", "decide", "has_refused", "is_enabled", "judge", "resolve"]

# `PATTER_TELEMETRY` reads anything else as a no: an unclear opt-out is an opt-out.
_YES = frozenset({"", "1", "true", "yes", "on", "y", "t"})


class Rule:
    """What one rule of consent says: `off` or nothing, and why, in words for a person."""

    __slots__ = ("name", "off", "why")

    def __init__(self, name: str, why: str, *, off: bool) -> None:
        self.name = name
        self.off = off
        self.why = why

    def __repr__(self) -> str:
        return f"Rule({self.name!r}, {self.why!r}, off={self.off})"


def _variable(name: str, settings: env.Settings, *, is_no: bool) -> Rule:
    """Judge the variable `name` in the environment and in `.env`: a no in either is a no."""
    present = False
    for place, values in (("the environment", settings.environ), (".env", settings.dotenv)):
        value = values.get(name)
        if value is None:
            continue
        present = True
        refused = value.strip().lower() not in _YES if is_no else env.is_truthy(value)
        if refused:
            return Rule(name, f"set in {place}", off=True)
    return Rule(name, "set, and does not say off" if present else "not set", off=False)


def _environment_rules(settings: env.Settings) -> list[Rule]:
    return [
        _variable("DO_NOT_TRACK", settings, is_no=False),
        _variable("PATTER_TELEMETRY", settings, is_no=True),
        _variable("PATTER_TELEMETRY_DISABLED", settings, is_no=False),
    ]


def _flag_rule(flag: "bool | None") -> Rule:
    # Anything false but None is a no, `0` and `""` included.
    off = flag is not None and not flag
    if off:
        return Rule("telemetry=False", "passed in code", off=True)
    return Rule("telemetry=False", "not passed in code", off=False)


def _machine_rule(environ: "Mapping[str, str]") -> Rule:
    ci = env.ci_variable(environ)
    if ci is not None:
        return Rule("CI or test run", f"{ci} is set", off=True)
    test = env.test_variable(environ)
    if test is not None:
        return Rule("CI or test run", f"{test} is set", off=True)
    return Rule("CI or test run", "no sign of either", off=False)


def judge(settings: env.Settings, flag: "bool | None", opted_out: "str | None") -> list[Rule]:
    """Return every rule with what it says, in order; `opted_out`: where a marker is, if any."""
    if opted_out is None:
        marker = Rule("opt-out marker", "none stored", off=False)
    else:
        marker = Rule("opt-out marker", opted_out, off=True)
    return [
        *_environment_rules(settings),
        marker,
        _flag_rule(flag),
        _machine_rule(settings.environ),
    ]


def decide(rules: "list[Rule]") -> Rule:
    """Return the rule that decides: the first that says off, else the default, which is on."""
    for rule in rules:
        if rule.off:
            return rule
    return Rule("default", "nothing says off", off=False)


def has_refused(environ: "Mapping[str, str]", flag: "bool | None") -> bool:
    """Return whether the environment or the flag alone already say off, without any I/O."""
    rules = [
        *_environment_rules(env.Settings(environ, {})),
        _flag_rule(flag),
        _machine_rule(environ),
    ]
    return any(rule.off for rule in rules)


def is_enabled(flag: "bool | None" = None) -> bool:
    """Return whether telemetry is on for this process now. Reads; writes nothing.

    `flag` is what the program passed as `telemetry=`: False is a no, True overrides nothing.
    """
    return resolve(env.process_environment(), flag) is not None


def resolve(environ: "Mapping[str, str]", flag: "bool | None") -> env.Settings | None:
    """Return the settings of a run with consent, None for one without.

    Asks the environment and the flag first: where they say off, nothing is touched at all.
    """
    if has_refused(environ, flag):
        return None
    settings = env.Settings.load(environ)
    if any(rule.off for rule in _environment_rules(settings)):
        return None
    from getpatter.telemetry import state  # off by environment loads no state code

    return None if state.opt_out_place(environ) is not None else settings
