"""What the statistics of calls cost: one sample, everything off, a thousand calls, calls that go.

    python benchmarks/stats.py           short: half a minute of load each way
    python benchmarks/stats.py --long    three minutes of load each way, and the calls that go once
                                         more at the real pace: a quarter of an hour

Nothing else should run meanwhile. The load is a sample a second of each of two tracks of three
participants of a thousand calls of a host object, from threads and from asyncio, with a callback
for stats attached; the same samples with nobody listening tell what giving them costs by itself.
"""

import asyncio
import gc
import statistics
import sys
import threading
import time
from collections.abc import Callable
from functools import partial

from getpatter import Call, Patter
from getpatter.calls import Callbacks, Result, Service

CALLS, PARTICIPANTS, TRACKS = 1_000, ("agent", "caller", "observer"), ("up", "down")
THREADS = 4
# Load in steps, as calls do not all sample at the same moment.
STEPS = 50
COME_AND_GO = 10_000
TIMED = 100_000
# Three minutes for late samples, and the service's own half minute.
REAPED_SECONDS = 260

Calls = list[Call]


class Emitter:
    """Takes everything."""

    def __init__(self) -> None:
        self.taken = 0

    def emit(
        self,
        event_type: str,
        data: object,
        *,
        correlation_id: str | None = None,
        turn_id: str | None = None,
    ) -> bool:
        """Count."""
        self.taken += 1
        return bool(event_type and data) and correlation_id == turn_id


class Clock:
    """The monotonic clock, which can be put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return time.monotonic() + self.ahead


def sample_of(track: str, second: int) -> dict[str, object]:
    """Return a sample as an audio track has them."""
    return {
        "track": track,
        "direction": track,
        "media_type": "audio",
        "stats_type": "inbound-rtp",
        "packets": 50 * second,
        "bytes": 8_000 * second,
        "lost": second // 7,
        "out_of_order": second // 11,
        "sequence": 50 * second % 65_536,
        "jitter": 3.5,
        "rtt": 80.0 + second % 5,
        "score": 4.2,
        "audio_input_level": 0.3,
    }


def resident() -> float:
    """Return the memory that the process holds, in MiB; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * 4_096 / 2**20
    except OSError:
        return 0.0


def open_calls(patter: Patter) -> Calls:
    """Begin the calls with their participants, no faster than they are taken."""
    calls = [patter.call(direction="inbound", session=f"call-{n}") for n in range(CALLS)]
    for call in calls:
        for participant in PARTICIPANTS:
            patiently(partial(call.event, "participant_active", participant))
    return calls


def patiently(tell: Callable[[], Result]) -> None:
    """Tell something until it is taken."""
    while not tell():
        time.sleep(0.001)


def host() -> Patter:
    """Return a host object without telemetry, whose calls nobody listens to."""
    return Patter(carrier="none", telemetry=False)


def time_one() -> None:
    """Print what one sample costs its caller, and what it costs with nobody listening."""
    patter = host()
    call = patter.call(direction="inbound")
    samples = [sample_of("up", number) for number in range(TIMED)]
    print("nobody listens, us, median of 100 x 10,000 calls")
    ways: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "sample": (lambda: call.sample("agent", samples[1]), lambda: empty("agent", samples[1])),
        "event": (
            lambda: call.event("participant_joined", "agent"),
            lambda: empty("participant_joined", "agent"),
        ),
    }
    for name, (way, bare) in ways.items():
        print(f"  {_per_call(way):8.3f}  {name}, of which {_per_call(bare):.3f} an empty function")
    patter.on("stats", ignore)
    call.event("participant_active", "agent")
    patter.service.flush()
    clock = time.perf_counter_ns
    nothing = statistics.median(-(clock() - clock()) for _ in range(10_000))
    taken = []
    for number, given in enumerate(samples):
        begin = clock()
        call.sample("agent", given)
        taken.append(clock() - begin - nothing)
        if number % 500 == 0:
            time.sleep(0.001)  # let the service have its turn, as a host's own work would
    call.end()
    patter.service.stop()
    taken.sort()
    print(f"sample, us, {TIMED} of 13 fields (Python {sys.version[:6]})")
    for name, share in (("median", 0.5), ("p99", 0.99), ("p99.9", 0.999)):
        print(f"  {taken[int(share * (TIMED - 1))] / 1e3:8.2f}  {name}")


def empty(_: str, __: object) -> None:
    """Be what any function costs."""


def ignore(_: object) -> None:
    """Be a callback that does nothing."""


def _per_call(call: Callable[[], object]) -> float:
    runs = []
    for _ in range(100):
        begin = time.perf_counter_ns()
        for _ in range(10_000):
            call()
        runs.append((time.perf_counter_ns() - begin) / 10_000 / 1e3)
    return statistics.median(runs)


def give(calls: Calls, second: int) -> None:
    """Give the samples of these calls in one second."""
    for call in calls:
        for participant in PARTICIPANTS:
            for track in TRACKS:
                call.sample(participant, sample_of(track, second))


def from_threads(calls: Calls, seconds: int) -> None:
    """Give the samples of all calls every second, from some threads."""

    def run(index: int) -> None:
        begin = time.monotonic()
        for second in range(seconds):
            for step in range(STEPS):
                wait = begin + second + step / STEPS - time.monotonic()
                if wait > 0:
                    time.sleep(wait)
                give(calls[index + step * THREADS :: THREADS * STEPS], second)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def from_tasks(calls: Calls, seconds: int) -> None:
    """Give the samples of all calls every second, from tasks of one event loop."""

    async def run(step: int) -> None:
        begin = time.monotonic()
        for second in range(seconds):
            wait = begin + second + step / STEPS - time.monotonic()
            await asyncio.sleep(max(0.0, wait))
            give(calls[step::STEPS], second)

    async def run_all() -> None:
        await asyncio.gather(*(run(step) for step in range(STEPS)))

    asyncio.run(run_all())


def load(name: str, way: Callable[[Calls, int], None], seconds: int) -> None:
    """Print what a thousand calls cost, and what their memory does."""
    alone = min(seconds, 10)
    quiet = host()
    calls = open_calls(quiet)
    begin = time.process_time()
    way(calls, alone)
    giving = (time.process_time() - begin) / alone
    records, patter = [0], host()

    def count(_: object) -> None:
        records[0] += 1

    patter.on("stats", count)
    calls = open_calls(patter)
    patter.service.flush()
    gc.collect()
    memory: list[float] = []
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(seconds / 8):
            memory.append(resident())

    watching = threading.Thread(target=watch)
    watching.start()
    begin, wall = time.process_time(), time.monotonic()
    way(calls, seconds)
    used, wall = time.process_time() - begin, time.monotonic() - wall
    is_over.set()
    watching.join()
    for call in calls:
        call.end()
    patter.service.stop(60)
    share = used / wall
    tracks = len(PARTICIPANTS) * len(TRACKS)
    print(
        f"{CALLS} calls of {len(PARTICIPANTS)} participants, {tracks} tracks, {name}, {seconds} s"
    )
    print(
        f"  {100 * share:8.1f}  % of one core in all, {100 * giving:.1f} % of it giving the samples"
    )
    print(f"  {records[0]:8}  stats records")
    print(f"  {patter.service.counts()}, hub {patter.diagnostics.stats()}")
    print(f"  MiB, at each eighth: {' '.join(f'{one:.0f}' for one in memory)}")


def come_and_go() -> None:
    """Print what calls that ended leave behind, once the three minutes of late samples are over.

    With the service itself, whose clock can be put forward.
    """
    clock = Clock()
    service = Service(lambda _: Emitter(), Callbacks(), clock=clock)

    def batch(calls: range) -> None:
        for number in calls:
            name = f"call-{number}"
            patiently(partial(service.event, "room_started", name))
            for participant in PARTICIPANTS:
                patiently(partial(service.event, "participant_active", name, participant))
                for track in TRACKS:
                    service.sample(name, participant, sample_of(track, 1))
            patiently(partial(service.event, "room_ended", name))
        service.flush(60)
        clock.ahead += 200
        service.flush(60)
        gc.collect()

    batch(range(1_000))
    objects, blocks, memory = len(gc.get_objects()), sys.getallocatedblocks(), resident()
    begin = time.monotonic()
    batch(range(1_000, 1_000 + COME_AND_GO))
    taken = time.monotonic() - begin
    told = service.counts()
    service.stop()
    print(f"{COME_AND_GO} calls that come and go, {taken:.1f} s")
    print(f"  {told['kept']} kept, {len(gc.get_objects()) - objects:+} objects,")
    print(f"  {sys.getallocatedblocks() - blocks:+} blocks, {resident() - memory:+.1f} MiB held")
    print(f"  samples {told['sample']}")


def leave_nothing(*, with_participants: bool) -> None:
    """Print what calls of a host object leave behind: a worker is kept for three minutes, which
    with participants pass twice.
    """
    patter = host()
    patter.on("stats", ignore)
    names = PARTICIPANTS if with_participants else ()

    def batch(count: int) -> float:
        for _ in range(count):
            with patter.call(direction="inbound") as call:
                for participant in names:
                    patiently(partial(call.event, "participant_active", participant))
                    for track in TRACKS:
                        call.sample(participant, sample_of(track, 1))
                call.turn()
        patter.service.flush(60)
        begin = time.monotonic()
        while patter.service.counts()["kept"] and time.monotonic() - begin < REAPED_SECONDS:
            time.sleep(5.0)
        gc.collect()
        return time.monotonic() - begin

    batch(1_000)
    objects, memory = len(gc.get_objects()), resident()
    waited = batch(COME_AND_GO)
    kept = patter.service.counts()["kept"]
    print(f"{COME_AND_GO} calls of a host object, {len(names)} participants each")
    print(
        f"  {kept} kept {waited:.0f} s after the last, {len(gc.get_objects()) - objects:+} objects,"
    )
    print(f"  {resident() - memory:+.1f} MiB held; {patter.service.counts()}")


def main() -> None:
    """Measure and print."""
    is_long = "--long" in sys.argv[1:]
    seconds = 180 if is_long else 30
    time_one()
    load("threads", from_threads, seconds)
    load("asyncio", from_tasks, seconds)
    come_and_go()
    leave_nothing(with_participants=False)
    if is_long:
        leave_nothing(with_participants=True)


if __name__ == "__main__":
    main()
