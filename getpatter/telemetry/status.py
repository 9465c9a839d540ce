"""Status: on or off, which rule decided and what each other rule says. Changes nothing.

The one place that puts the facts together for a person; the same rows serve `--json`.
"""

from getpatter.telemetry import consent, disclosure, env, exits, ledger, spool, state
from getpatter.telemetry._changes import OLDEST
from getpatter.telemetry.client import DEFAULT_ENDPOINT
from getpatter.telemetry.install_id import open_state
from getpatter.telemetry.transport import is_loopback, usable_endpoint

__all__ = ["collect", "render"]


def collect() -> "dict[str, object]":
    """Return what `render` shows, as plain values. Never the install id, never a credential."""
    environ = env.process_environment()
    settings = env.Settings.load(environ)
    rules = consent.judge(settings, None, state.opt_out_place(environ))
    decided = consent.decide(rules)
    rate, understood = env.parse_sample_rate(settings.get("PATTER_TELEMETRY_SAMPLE"))
    install = open_state(environ, writable=False)
    exit_choice = exits.choose(environ, is_program=True, has_spool=install.directory is not None)
    named = settings.endpoint
    url = usable_endpoint(named or DEFAULT_ENDPOINT)
    # A query may hold a token.
    shown = None if url is None else url.partition("#")[0].partition("?")[0]
    grace = settings.grace(url is not None and is_loopback(url))
    age = install.notice_age()
    return {
        "enabled": not decided.off,
        "decided_by": {"rule": decided.name, "why": decided.why},
        "rules": [{"rule": rule.name, "off": rule.off, "why": rule.why} for rule in rules],
        "debug": settings.debug,
        "sample_rate": rate,
        "sample_rate_understood": understood,
        "endpoint": shown,
        "endpoint_from": "PATTER_TELEMETRY_ENDPOINT" if named else "default",
        "state_directory": install.directory,
        "state_problem": install.problem,
        "notice_shown": install.is_notice_shown(),
        "grace": grace,
        "grace_left": grace if age is None else max(0.0, grace - age),
        "grace_understood": env.parse_grace(environ.get("PATTER_TELEMETRY_GRACE"))[1],
        "first_run": install.first_run_state(),
        "withheld": _withheld(install),
        "exit": {"mode": exit_choice.mode, "why": exit_choice.why},
        "exit_understood": exits.is_understood(environ),
        "spooled": 0 if install.directory is None else spool.waiting(install.directory),
        "lost": _lost(install.directory),
        "unknown_variables": env.unknown_variables(environ),
    }


def _withheld(install: state.State) -> "list[str]":
    """Return what waits for the notice that names it; nothing for an install that is new."""
    shown = install.notice_version()
    if shown is None:
        return disclosure.names(OLDEST) if install.has_earlier_version() else []
    return disclosure.names(shown)


def _lost(directory: "str | None") -> "dict[str, dict[str, int]]":
    """Return what the ledger says was lost: event → reason → how many."""
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
    assert isinstance(decided, dict)  # noqa: S101 - tells the type checker what `collect` made
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
        lines.append("Endpoint: PATTER_TELEMETRY_ENDPOINT cannot be used, so nothing is sent.")
    else:
        lines.append(f"Endpoint: {found['endpoint']} ({found['endpoint_from']})")
    lines.append(f"Sample rate: {found['sample_rate']:g}")
    if not found["sample_rate_understood"]:
        lines[-1] += " (PATTER_TELEMETRY_SAMPLE is not a number from 0 to 1, so it does not count)"
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
    if not found["notice_shown"]:
        line = "Notice: not shown yet. The next program shows it; until then nothing leaves"
        line += f", and for {grace:g} s after it." if grace else "."
    elif left:
        line = f"Notice: shown. Nothing that it names first leaves for another {left:.0f} s."
    else:
        line = "Notice: shown."
    if not found["grace_understood"]:
        line += " (PATTER_TELEMETRY_GRACE is not a number of seconds, so it does not count)"
    return [line, f"First run: {found['first_run']}"]


def _delivery(found: "dict[str, object]") -> "list[str]":
    at_exit, lost = found["exit"], found["lost"]
    assert isinstance(at_exit, dict)  # noqa: S101 - as above
    assert isinstance(lost, dict)  # noqa: S101
    lines = [f"At exit: {at_exit['mode']} ({at_exit['why']})"]
    if not found["exit_understood"]:
        modes = ", ".join(exits.MODES)
        lines[-1] += f"; {exits.SETTING} is none of {modes}, so it does not count"
    lines += [
        f"{name} is set, but no variable of that name is known, so it does not count"
        for name in found["unknown_variables"]  # type: ignore[attr-defined] # a list
    ]
    lines.append(f"Waiting on disk: {found['spooled']} events")
    told = [
        f"{times} {event} ({reason})"
        for event, reasons in sorted(lost.items())
        for reason, times in sorted(reasons.items())
    ]
    lines.append("Lost, as far as the ledger reaches back: " + (", ".join(told) or "nothing"))
    return lines
