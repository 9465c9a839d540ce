"""Status: on or off, which rule decided and what each other rule says. Changes nothing.

The one place that puts the facts together for a person; the same rows serve `--json`.
"""

from getpatter.telemetry import consent, disclosure, env, state
from getpatter.telemetry._changes import OLDEST
from getpatter.telemetry.client import DEFAULT_ENDPOINT
from getpatter.telemetry.delivery import exits, ledger, spool_files
from getpatter.telemetry.delivery.transport import (
    endpoint_problem,
    is_loopback,
    shown,
    usable_endpoint,
)
from getpatter.telemetry.install_id import open_state
from getpatter.telemetry.places import Places

__all__ = ["collect", "render"]


def collect() -> "dict[str, object]":
    """Return what `render` shows, as plain values. Never the install ID, never a credential."""
    environ = env.process_environment()
    settings = env.Settings.load(environ)
    rules = consent.judge(settings, None, Places.of(environ).opt_out())
    decided = consent.decide(rules)
    rate, understood = env.parse_sample_rate(settings.get("PATTER_TELEMETRY_SAMPLE"))
    install = open_state(environ, writable=False)
    exit_choice = exits.choose(environ, is_program=True, has_spool=install.directory is not None)
    named = settings.endpoint
    url = usable_endpoint(named or DEFAULT_ENDPOINT)
    grace = settings.grace(url is not None and is_loopback(url))
    age = install.notice.age()
    return {
        "enabled": not decided.off,
        "decided_by": {"rule": decided.name, "why": decided.why},
        "rules": [{"rule": rule.name, "off": rule.off, "why": _why(rule)} for rule in rules],
        "debug": settings.debug,
        "sample_rate": rate,
        "sample_rate_understood": understood,
        "endpoint": None if url is None else shown(url),
        "endpoint_problem": endpoint_problem(named or DEFAULT_ENDPOINT),
        "endpoint_from": "PATTER_TELEMETRY_ENDPOINT" if named else "default",
        "state_directory": install.directory,
        "state_problem": install.problem,
        "notice_shown": install.notice.is_known(),
        "grace": grace,
        "grace_left": grace if age is None else max(0.0, grace - age),
        "grace_understood": env.parse_grace(environ.get("PATTER_TELEMETRY_GRACE"))[1],
        "first_run": _first_run(install),
        "withheld": _withheld(install, grace),
        "exit": {"mode": exit_choice.mode, "why": exit_choice.why},
        "exit_understood": exits.is_understood(environ),
        "spooled": 0 if install.directory is None else spool_files.waiting(install.directory),
        "lost": _lost(install.directory),
        "unknown_variables": sorted(
            {*env.unknown_variables(environ), *env.unknown_variables(settings.dotenv)}
        ),
        "misspelt_opt_outs": dict(
            [*consent.misspelt_opt_outs(settings.dotenv), *consent.misspelt_opt_outs(environ)]
        ),
    }


def _why(rule: consent.Rule) -> str:
    # Nothing outside of the program knows what it passes.
    return "known only to your program" if rule.name == "telemetry=False" else rule.why


def _first_run(install: state.State) -> str:
    if install.directory is None:
        return "never recorded, because no state can be kept"
    return "the next successful start" if install.may_be_first_run() else "was claimed"


def _withheld(install: state.State, grace: float) -> "list[str]":
    """Return what waits for the notice that names it, or for the end of its grace period; nothing
    for an install that is new, of which everything waits.
    """
    if install.notice.version() is None:
        return disclosure.names(OLDEST) if install.has_earlier_version() else []
    told = install.notice.told_version(grace)
    return [] if told is None else disclosure.names(told)


def _lost(directory: "str | None") -> "dict[str, dict[str, int]]":
    """Return what the log says was lost: event → reason → how many."""
    lost: dict[str, dict[str, int]] = {}
    try:
        entries = [] if directory is None else ledger.read(directory)
    except OSError:
        return {}
    for entry in entries:
        dropped = entry.get("dropped")
        for event, reasons in dropped.items() if isinstance(dropped, dict) else ():
            for reason, times in reasons.items():
                counts = lost.setdefault(event, {})
                counts[reason] = counts.get(reason, 0) + times
    return lost


def render(found: "dict[str, object]") -> str:
    """Return the facts of `collect` as lines for a person."""
    decided = found["decided_by"]
    rules = found["rules"]
    assert isinstance(decided, dict)  # noqa: S101 - for the type checker
    assert isinstance(rules, list)  # noqa: S101
    on_or_off = "on" if found["enabled"] else "off"
    lines = [
        f"Telemetry is {on_or_off}: {decided['rule']} ({decided['why']}).",
        "",
        "Rules, the first that says off decides:",
    ]
    width = max(len(rule["rule"]) for rule in rules)
    lines += [
        f"  {rule['rule']:<{width}}  {'off' if rule['off'] else '-':<3}  {rule['why']}"
        for rule in rules
    ]
    lines += ["", *_settings(found)]
    if found["enabled"]:
        lines += ["", "Turn it off: getpatter telemetry disable, or set DO_NOT_TRACK=1."]
    return "\n".join(lines)


def _settings(found: "dict[str, object]") -> "list[str]":
    lines = []
    if found["endpoint"] is None:
        lines.append(
            "Endpoint: PATTER_TELEMETRY_ENDPOINT cannot be used, so nothing is sent: "
            f"{found['endpoint_problem']}."
        )
    else:
        lines.append(f"Endpoint: {found['endpoint']} ({found['endpoint_from']})")
    lines.append(f"Sample rate: {found['sample_rate']:g}")
    if not found["sample_rate_understood"]:
        lines[-1] += " (PATTER_TELEMETRY_SAMPLE must be a number between 0 and 1; it is ignored)"
    if found["state_directory"] is None:
        lines.append(f"State: in memory only, because {found['state_problem']}")
    else:
        lines.append(f"State: {found['state_directory']}")
    lines += _notice(found)
    withheld = found["withheld"]
    assert isinstance(withheld, list)  # noqa: S101 - as above
    if withheld:
        lines.append(
            "Withheld until the notice that names them was shown: " + ", ".join(withheld) + "."
        )
    if found["debug"]:
        lines.append("Debug: events are printed, nothing is sent.")
    return lines + _delivery(found)


def _notice(found: "dict[str, object]") -> "list[str]":
    """Say whether the notice was shown, and how long nothing leaves after it."""
    grace, left = found["grace"], found["grace_left"]
    assert isinstance(grace, float)  # noqa: S101 - as above
    assert isinstance(left, float)  # noqa: S101
    sends = found["enabled"] and not found["debug"] and found["endpoint"] is not None
    if not found["notice_shown"]:
        line = "Notice: not shown. Nothing is sent, so none is due."
        if sends:
            line = "Notice: not shown yet. The next program shows it. Nothing leaves before it"
            line += f", nor for {grace:g} s after it." if grace else "."
    elif not (left and sends):
        line = "Notice: shown."
    elif found["withheld"]:
        line = f"Notice: shown. What it names as new leaves in {left:.0f} s at the earliest."
    else:
        line = f"Notice: shown. Nothing leaves for another {left:.0f} s: there is time to say no."
    if not found["grace_understood"]:
        line += " (PATTER_TELEMETRY_GRACE must be a number of seconds; it is ignored)"
    return [line, f"First run: {found['first_run']}"]


def _delivery(found: "dict[str, object]") -> "list[str]":
    at_exit, lost = found["exit"], found["lost"]
    assert isinstance(at_exit, dict)  # noqa: S101 - as above
    assert isinstance(lost, dict)  # noqa: S101
    lines = [f"At exit: {at_exit['mode']} ({at_exit['why']})"]
    if not found["exit_understood"]:
        modes = ", ".join(exits.MODES)
        lines[-1] += f"; {exits.SETTING} must be one of {modes}; it is ignored"
    lines += _unknown_lines(found)
    events = "event" if found["spooled"] == 1 else "events"
    lines.append(f"Spooled (on disk): {found['spooled']} {events}")
    told = [
        f"{times} {event} ({reason})"
        for event, reasons in sorted(lost.items())
        for reason, times in sorted(reasons.items())
    ]
    lines.append("Events lost (as far as the log goes back): " + (", ".join(told) or "none"))
    return lines


def _unknown_lines(found: "dict[str, object]") -> "list[str]":
    names, opt_outs = found["unknown_variables"], found["misspelt_opt_outs"]
    assert isinstance(names, list)  # noqa: S101 - as above
    assert isinstance(opt_outs, dict)  # noqa: S101
    return [
        f"{name} is not a known variable and is ignored. Did you mean {env.closest_variable(name)}?"
        if name not in opt_outs
        else f"{name} is not a known variable, but reads as an opt-out and counts as one. "
        f"Did you mean {opt_outs[name]}?"
        for name in names
    ]
