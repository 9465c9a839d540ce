"""What the statistics of calls cost: one sample, everything off, a thousand calls, calls that go.

    python benchmarks/stats.py           short: half a minute of load each way
    python benchmarks/stats.py --long    three minutes of load each way

Nothing else should run meanwhile. The load is a sample a second of each of two tracks of three
participants of a thousand calls, from threads and from asyncio, with a stats callback attached;
the same samples given to the null service tell what giving them costs by itself.
"""

import asyncio
import gc
import statistics
import sys
import threading
import time
from collections.abc import Callable

from getpatter.calls.callbacks import Callbacks
from getpatter.calls.null_service import NullService
from getpatter.calls.result import Result
from getpatter.calls.service import Service

CALLS, PARTICIPANTS, TRACKS = 1_000, ("agent", "caller", "observer"), ("up", "down")
THREADS = 4
# Load in steps, as calls do not all sample at the same moment.
STEPS = 50
COME_AND_GO = 10_000
TIMED = 100_000

Sampled = Callable[[str, str, dict[str, object]], Result]


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


def open_calls(service: Service, calls: range) -> None:
    """Begin calls with their participants, no faster than they are taken."""
    for number in calls:
        while not service.event("room_started", f"call-{number}"):
            time.sleep(0.001)
        for participant in PARTICIPANTS:
            while not service.event("participant_active", f"call-{number}", participant):
                time.sleep(0.001)


def time_one() -> None:
    """Print what one sample costs its caller, and what it costs with everything off."""
    service = Service(lambda _: Emitter(), Callbacks())
    open_calls(service, range(1))
    service.flush()
    clock = time.perf_counter_ns
    empty = statistics.median(-(clock() - clock()) for _ in range(10_000))
    taken = []
    for number in range(TIMED):
        given = sample_of("up", number)
        begin = clock()
        service.sample("call-0", "agent", given)
        taken.append(clock() - begin - empty)
        if number % 500 == 0:
            time.sleep(0.001)  # let the service have its turn, as a host's own work would
    service.stop()
    taken.sort()
    print(f"sample, us, {TIMED} of 13 fields (Python {sys.version[:6]})")
    for name, share in (("median", 0.5), ("p99", 0.99), ("p99.9", 0.999)):
        print(f"  {taken[int(share * (TIMED - 1))] / 1e3:8.2f}  {name}")
    null = NullService()
    given = sample_of("up", 1)
    print("null service, us, median of 100 x 10,000 calls")
    calls: dict[str, Callable[[], object]] = {
        "sample": lambda: null.sample("c", "p", given),
        "event": lambda: null.event("participant_joined", "c", "p", given),
    }
    for name, call in calls.items():
        bare = _per_call(lambda: None)
        print(f"  {_per_call(call) - bare:8.3f}  {name}, less an empty function")


def _per_call(call: Callable[[], object]) -> float:
    runs = []
    for _ in range(100):
        begin = time.perf_counter_ns()
        for _ in range(10_000):
            call()
        runs.append((time.perf_counter_ns() - begin) / 10_000 / 1e3)
    return statistics.median(runs)


def give(sampled: Sampled, share: range, second: int) -> None:
    """Give the samples of these calls in one second."""
    for number in share:
        call = f"call-{number}"
        for participant in PARTICIPANTS:
            for track in TRACKS:
                sampled(call, participant, sample_of(track, second))


def from_threads(sampled: Sampled, seconds: int) -> None:
    """Give the samples of all calls every second, from some threads."""

    def run(index: int) -> None:
        begin = time.monotonic()
        for second in range(seconds):
            for step in range(STEPS):
                wait = begin + second + step / STEPS - time.monotonic()
                if wait > 0:
                    time.sleep(wait)
                give(sampled, range(index + step * THREADS, CALLS, THREADS * STEPS), second)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def from_tasks(sampled: Sampled, seconds: int) -> None:
    """Give the samples of all calls every second, from tasks of one event loop."""

    async def run(step: int) -> None:
        begin = time.monotonic()
        for second in range(seconds):
            wait = begin + second + step / STEPS - time.monotonic()
            await asyncio.sleep(max(0.0, wait))
            give(sampled, range(step, CALLS, STEPS), second)

    async def run_all() -> None:
        await asyncio.gather(*(run(step) for step in range(STEPS)))

    asyncio.run(run_all())


def load(name: str, way: Callable[[Sampled, int], None], seconds: int) -> None:
    """Print what a thousand calls cost, and what their memory does."""
    begin = time.process_time()
    way(NullService().sample, min(seconds, 10))
    giving = (time.process_time() - begin) / min(seconds, 10)
    callbacks, emitter = Callbacks(), Emitter()
    records: list[int] = [0]

    def count(_: object) -> None:
        records[0] += 1

    callbacks.on("stats", count)
    service = Service(lambda _: emitter, callbacks)
    open_calls(service, range(CALLS))
    service.flush()
    gc.collect()
    memory: list[float] = []
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(seconds / 8):
            memory.append(resident())

    watching = threading.Thread(target=watch)
    watching.start()
    begin, wall = time.process_time(), time.monotonic()
    way(service.sample, seconds)
    used, wall = time.process_time() - begin, time.monotonic() - wall
    is_over.set()
    watching.join()
    service.stop(60)
    told = service.counts()
    share = used / wall
    tracks = len(PARTICIPANTS) * len(TRACKS)
    print(
        f"{CALLS} calls of {len(PARTICIPANTS)} participants, {tracks} tracks, {name}, {seconds} s"
    )
    print(
        f"  {100 * share:8.1f}  % of one core in all, {100 * giving:.1f} % of it giving the samples"
    )
    print(f"  {records[0]:8}  stats records, {emitter.taken} events")
    print(f"  samples {told['sample']}, callbacks {callbacks.counts()}")
    print(f"  MiB, eight times: {' '.join(f'{one:.0f}' for one in memory)}")


def come_and_go() -> None:
    """Print what calls that ended leave behind."""
    clock = Clock()
    service = Service(lambda _: Emitter(), Callbacks(), clock=clock)

    def batch(calls: range) -> None:
        for number in calls:
            open_calls(service, range(number, number + 1))
            give(service.sample, range(number, number + 1), 1)
            while not service.event("room_ended", f"call-{number}"):
                time.sleep(0.001)
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


def main() -> None:
    """Measure and print."""
    seconds = 180 if "--long" in sys.argv[1:] else 30
    time_one()
    load("threads", from_threads, seconds)
    load("asyncio", from_tasks, seconds)
    come_and_go()


if __name__ == "__main__":
    main()
