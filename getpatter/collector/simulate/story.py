"""What an install does: starts that are blocked, starts that work, calls and how they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from getpatter.collector.limits import DAY
from getpatter.collector.simulate.population import hex_id
from getpatter.collector.simulate.world import (
    BLOCKS,
    CALL,
    ERRORS,
    LATENCIES,
    RUN,
    TRAITS,
    Chance,
)
from getpatter.telemetry.call_metrics import (
    count_bucket,
    ending,
    engine_of,
    server_bucket,
    whole_ms,
)
from getpatter.telemetry.install_id import days_bucket
from getpatter.telemetry.stack import stack_dimensions

if TYPE_CHECKING:
    from getpatter.collector.simulate.client import SimulatedRun
    from getpatter.collector.simulate.population import Install

__all__ = ["next_run", "tell"]

_MOST_CALLS = 200
_COMMANDS = ("telemetry", "dashboard", "eval")


def next_run(chance: Chance, install: Install, now: float) -> float | None:
    """Return when the install runs next after `now`; None: never again."""
    if install.missing is not None:
        if chance.random() < BLOCKS[install.missing]["given_up"]:
            return None
        retry = BLOCKS["retry"]
        return now + 60 * retry["minutes_median"] * chance.lognormvariate(0, retry["minutes_sigma"])
    moment = now + DAY * chance.expovariate(install.runs_a_day)
    return None if install.is_throw_away or moment > install.ends else moment


def tell(chance: Chance, install: Install, run: SimulatedRun, end: float) -> None:
    """Simulate one run from its start to its end; nothing of it happens after `end`."""
    if chance.random() < RUN["command"]:
        run.record("cli_command", cli_command=chance.choice(_COMMANDS))
        return
    if install.missing is None and chance.random() < BLOCKS["retry"]["later"]:
        install.missing = "llm_key"
    if install.missing is not None:
        run.record("config_incomplete", missing=install.missing)
        # Known to the next run: what was missing may be there by then.
        if chance.random() < BLOCKS[install.missing]["fixed"]:
            install.missing = None
        return
    _start(install, run)
    run.now += 0.2
    _configure(chance, install, run)
    if chance.random() < RUN["lower_rate"]:
        run.lower_rate(run.rate / 2)
    if chance.random() < RUN["without_call"]:
        return
    calls = min(_MOST_CALLS, 1 + int(chance.expovariate(1 / install.calls_a_run)))
    for _ in range(calls):
        run.now += chance.expovariate(1 / (60 * CALL["pause_minutes"]))
        if run.now > end - CALL["longest_seconds"] or not _call(chance, install, run):
            return


def _start(install: Install, run: SimulatedRun) -> None:
    traits, version = install.traits, install.version
    said: dict[str, object] = {
        name: traits[name]
        for name in (
            *("carrier", "tunnel", "invoked_by_agent", "container", "serverless", "cloud"),
            "package_manager",
        )
    }
    said["days_since_install_bucket"] = days_bucket(run.now - install.born)
    said["previous_sdk_version"] = (
        install.previous if install.previous not in ("", version) else None
    )
    if not install.has_started:
        run.record("first_run", **said)
        install.has_started = True
    install.previous = version
    run.record("sdk_initialized", **said)


def _stack(install: Install) -> dict[str, str]:
    """Return the vendors and models of the layers, as the client names them."""
    if install.traits["mode"] != "pipeline":
        return {}
    layers = ("/".join(_pair(install, layer)) for layer in ("stt", "tts", "llm"))
    return stack_dimensions(*layers)


def _pair(install: Install, layer: str) -> tuple[str, str]:
    pair: tuple[str, str] = install.traits[layer]  # type: ignore[assignment] # by `TRAITS`
    return pair


def _engine(install: Install) -> dict[str, object]:
    vendors = [_pair(install, layer)[0] for layer in ("llm", "stt", "tts")]
    return engine_of(install.traits["mode"], vendors)


def _configure(chance: Chance, install: Install, run: SimulatedRun) -> None:
    tools = int(chance.expovariate(0.5))
    run.record(
        "agent_configured",
        builtin_tool_count=tools // 2,
        custom_tool_count_bucket=count_bucket(tools),
        integration="mcp" if tools > 3 else "none",
        integration_kind="mcp" if tools > 3 else "none",
        mcp_server_count_bucket=server_bucket(tools // 4),
        turn_detection="default",
        noise_reduction="none" if tools else "near_field",
        preambles_used=tools > 1,
        per_tool_timeouts_set=tools > 2,
        llm_fallback_configured=install.slowness > 1.2,
    )
    run.record(
        "feature_used", carrier=install.traits["carrier"], **_engine(install), **_stack(install)
    )


def _call(chance: Chance, install: Install, run: SimulatedRun) -> bool:
    """Simulate a call; return whether the run goes on."""
    is_outbound = bool(TRAITS["outbound"].draw(chance))
    facts: dict[str, object] = {
        **_engine(install),
        "carrier": install.traits["carrier"],
        "direction": "outbound" if is_outbound else "inbound",
        "call_uid": hex_id(chance),
    }
    if is_outbound and (end := _unanswered(chance)) is not None:
        code = "connection" if end == "not_connected" else None
        stage = "carrier" if code else None
        missed = ending(
            connected=False,
            error_code=code,
            error_stage=stage,
            unanswered=None if code else end,
        )
        run.record(
            "call_completed", **facts, **missed.dimensions(), error_code=code, duration_seconds=0
        )
        return True
    run.record("call_started", **facts)
    if chance.random() < RUN["killed"]:
        return False
    _answered(chance, install, run, facts)
    return True


def _unanswered(chance: Chance) -> str | None:
    place = chance.random()
    for way in ("no_answer", "busy", "not_connected"):
        place -= CALL[way]
        if place < 0:
            return way
    return None


def _answered(
    chance: Chance, install: Install, run: SimulatedRun, facts: dict[str, object]
) -> None:
    turns = max(1, int(CALL["turns_median"] * chance.lognormvariate(0, CALL["turns_sigma"])))
    release = install.release
    error = install.error * (release.errors if release else 1.0)
    stage, code = ERRORS.draw(chance) if chance.random() < min(0.95, error) else (None, None)
    side = chance.choice(("local", "remote", None)) if code is None else None
    end = ending(connected=True, error_code=code, error_stage=stage, hung_up=side)
    if code is not None:
        turns = max(1, turns // 2)
    seconds = min(
        CALL["longest_seconds"], turns * CALL["seconds_a_turn"] * chance.uniform(0.5, 1.5)
    )
    run.now += seconds
    run.record(
        "call_completed",
        **facts,
        **end.dimensions(),
        error_code=code,
        duration_seconds=round(seconds),
        cost_usd=seconds / 60 * CALL["usd_a_minute"] * install.slowness,
        turn_count_bucket=count_bucket(turns),
        **_latencies(chance, install),
    )


def _latencies(chance: Chance, install: Install) -> dict[str, float | None]:
    release = install.release
    factor = install.slowness * (release.slowness if release else 1.0)

    def one(stage: str, vendor: str) -> float:
        median, sigma = LATENCIES[stage][vendor]
        return median * factor * chance.lognormvariate(0, sigma)

    mode = str(install.traits["mode"])
    if mode != "pipeline":
        return {"latency_ms": whole_ms(one("answer", mode))}
    stt, llm, tts = (one(layer, _pair(install, layer)[0]) for layer in ("stt", "llm", "tts"))
    return {
        "stt_latency_ms": whole_ms(stt),
        "llm_ttft_ms": whole_ms(llm),
        "tts_first_byte_ms": whole_ms(tts),
        "eou_latency_ms": whole_ms(one("eou", mode)),
        "latency_ms": whole_ms(stt + llm + tts),
    }
