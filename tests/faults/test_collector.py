"""A collector that misbehaves: the host's work is undisturbed, and what can arrive arrives once."""

import contextlib
import socket

import pytest
from behaviours import AGAIN, CLOSED, REFUSED, TAKEN, Behaviour, status
from host import Host
from relay import Relay, relaying
from stage import Stage

from getpatter.telemetry.testing import Receiver

pytest_plugins = ("faults_fixtures",)

WAITS = "sys.stdin.read()"


def finish(host: Host, relay: Relay, behaviour: Behaviour | None) -> None:
    """One connection misbehaves; everything arrives while the host is still there."""
    if behaviour is not None:
        relay.script(behaviour)
    run = host.start(after=WAITS)
    host.stage.until(running=20)
    assert host.stage.arrive(), host.stage.output
    assert run.program.stdin is not None
    run.program.stdin.close()
    run.end()
    assert host.stage.start_next(), host.stage.output
    host.stage.check()


@pytest.mark.parametrize("behaviour", AGAIN.values(), ids=AGAIN)
def test_a_connection_that_fails_costs_nothing(
    host: Host, relay: Relay, behaviour: Behaviour
) -> None:
    finish(host, relay, behaviour)


@pytest.mark.parametrize("behaviour", TAKEN.values(), ids=TAKEN)
def test_a_batch_that_was_taken_is_taken_once(
    host: Host, relay: Relay, behaviour: Behaviour
) -> None:
    finish(host, relay, behaviour)


def test_a_collector_that_is_away_when_the_host_starts(host: Host, relay: Relay) -> None:
    relay.go()
    run = host.start(after=WAITS)
    host.stage.until(running=20)
    relay.come()
    assert host.stage.arrive(), host.stage.output
    assert run.program.stdin is not None
    run.program.stdin.close()
    run.end()
    host.stage.check()


def test_a_collector_that_comes_and_goes(host: Host, relay: Relay, stage: Stage) -> None:
    run = host.start(steps=60, after=WAITS)
    for number in range(1, 7):
        stage.until(running=10 * number)
        (relay.come if number % 2 == 0 else relay.go)()
    assert stage.arrive(), stage.output
    assert run.program.stdin is not None
    run.program.stdin.close()
    run.end()
    stage.check()


ALWAYS = {
    **{name: AGAIN[name] for name in (
        *("reset_at_once", "hang_unread", "hang_after_body", "lost_answer", "garbage"),
        *("drip in the status line", "drip in the head", "continue, for ever"),
        *("headers without an end", "an error of a gigabyte", "503", "429"),
    )},
    **{name: TAKEN[name] for name in (
        *("taking_and_flooding", "taking_and_dripping", "claims more than it says, and hangs"),
        "claims less than it says",
    )},
    **CLOSED,
}  # fmt: skip
MODES = ("wait", "detach", "spool")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("behaviour", ALWAYS.values(), ids=ALWAYS)
def test_what_no_collector_takes_is_delivered_by_the_next_start(
    host: Host, relay: Relay, stage: Stage, behaviour: Behaviour, mode: str
) -> None:
    relay.always(behaviour)
    host.run(PATTER_TELEMETRY_EXIT=mode)
    relay.always()
    assert stage.start_next(), stage.output
    stage.check()


@pytest.mark.parametrize("mode", MODES)
def test_a_collector_that_is_not_there(host: Host, relay: Relay, stage: Stage, mode: str) -> None:
    relay.go()
    host.run(PATTER_TELEMETRY_EXIT=mode)
    relay.come()
    assert stage.start_next(), stage.output
    stage.check()


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(host: Host, relay: Relay, stage: Stage, code: int) -> None:
    with Receiver() as elsewhere, relaying(elsewhere) as way:
        relay.always(status(code, f"Location: {way.endpoint}"))
        host.run(PATTER_TELEMETRY_EXIT="wait")
        relay.always()
        assert stage.start_next(), stage.output
        stage.check()
        assert way.connected == 0


@pytest.mark.parametrize("behaviour", REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_given_up_and_told(
    host: Host, relay: Relay, stage: Stage, behaviour: Behaviour
) -> None:
    """Each event arrives, or a later batch says that it was lost."""
    relay.script(behaviour)
    run = host.start(after=WAITS)
    stage.until(running=20)
    assert run.program.stdin is not None
    run.program.stdin.close()
    run.end()
    stage.start_next(patience=5.0)
    stage.check()
    lost = sum(stage.receiver.losses.values())
    # Two starts, one of them the first.
    assert lost + len(stage.receiver.events) == len(stage.uids()) + 3
    reason = "too_large" if behaviour is REFUSED["413"] else "rejected"
    assert set(stage.receiver.losses) <= {(event, reason) for event in EVENTS}


EVENTS = ("call_started", "first_run", "sdk_initialized")


def test_a_collector_that_hangs_at_connect(host: Host, stage: Stage, relay: Relay) -> None:
    """Its queue of connections is full, so that the kernel does not answer at all."""
    with socket.socket() as listener, contextlib.ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        while True:
            client = waiting.enter_context(socket.socket())
            client.settimeout(1.0)
            try:
                client.connect(address)
            except TimeoutError:
                break
        port = f"127.0.0.1:{address[1]}"
        host.run(PATTER_TELEMETRY_ENDPOINT=f"http://{port}/v1/ingest")
    stage.environ["PATTER_TELEMETRY_EXIT"] = "spool"
    told = stage.uids()
    assert stage.start_next(set())
    assert not told & stage.arrived().keys()  # they are for the other endpoint
    stage.check()
    assert relay.connected
