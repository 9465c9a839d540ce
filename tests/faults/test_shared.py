"""Many processes, one state directory, two collectors: each event arrives once, at its own."""

from relay import Relay, relaying
from stage import Stage

from getpatter.telemetry.testing import Receiver

pytest_plugins = ("faults_fixtures",)

PROCESSES = 16
PROGRAM = """
import sys, threading
from tell import tell
for _ in range(30):
    tell("running")
    threading.Event().wait(0.05)
tell("ending")
"""


def test_processes_with_one_state_directory_and_two_endpoints(
    stage: Stage, relay: Relay, receiver: Receiver
) -> None:
    """The collectors are away in turns, so that everyone's batches lie beside each other."""
    program = stage.write("program.py", PROGRAM)
    with Receiver() as other, relaying(other) as other_relay:
        endpoints = [relay.endpoint, other_relay.endpoint]
        collectors = [receiver, other]
        relay.go()
        running = {}
        for number in range(PROCESSES):
            side = number % 2
            variables = {"PATTER_TELEMETRY_ENDPOINT": endpoints[side]}
            if number % 4 < 2:  # both kinds of end on both sides
                variables["PATTER_TELEMETRY_EXIT"] = "detach"
            running[stage.start(program, variables=variables)] = side
        stage.until(running=PROCESSES * 10)
        other_relay.go()
        relay.come()
        stage.until(running=PROCESSES * 30, ending=PROCESSES)
        for process in running:
            assert stage.finish(process) == 0, stage.output
        other_relay.come()
        sides = {process.pid: side for process, side in running.items()}
        for side, collector in enumerate(collectors):
            told = {line.uid for line in stage.told if sides.get(line.pid) == side}
            variables = {"PATTER_TELEMETRY_ENDPOINT": endpoints[side]}
            stage.receiver = collector
            for _ in range(6):  # a start adopts the batches of eight processes at a time
                if stage.start_next(told, patience=10.0, variables=variables):
                    break
            assert set(stage.arrived()) - stage.uids("next") == told
            stage.check()
