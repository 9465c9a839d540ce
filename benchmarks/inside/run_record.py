"""What single calls of `record` cost, from one thread at a pace or from many without a pause."""

import threading
import time

from events import make
from measuring import Given, Recorder, done, percentiles


def timed(record: Recorder, events: list[tuple[str, dict[str, object]]], pause: float) -> list[int]:
    """Return what each call took, in nanoseconds, with a pause after every ten."""
    clock = time.perf_counter_ns
    taken = []
    for number, (name, dimensions) in enumerate(events, 1):
        begun = clock()
        record(name, dimensions)
        taken.append(clock() - begun)
        if pause and number % 10 == 0:
            time.sleep(pause)
    return taken


def main() -> None:
    """Measure."""
    given = Given()
    count, threads = given.number("events"), given.number("threads")
    events = make(count)
    client = given.client()
    record = given.recorder(client)
    record(*events[0])  # starting is another row
    time.sleep(1.0)
    # 1,000 a second from one thread: fast enough to be seldom idle, slow enough to lose nothing.
    pause = 0.01 if threads == 1 and given.text("pace") == "yes" else 0.0
    taken: list[int] = []
    together = threading.Barrier(threads + 1)

    def one(share: list[tuple[str, dict[str, object]]]) -> None:
        together.wait()
        mine = timed(record, share, pause)
        taken.extend(mine)

    workers = [threading.Thread(target=one, args=(events[n::threads],)) for n in range(threads)]
    for worker in workers:
        worker.start()
    together.wait()
    begun = time.perf_counter()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - begun
    done(**percentiles(taken), per_second=count / seconds)


if __name__ == "__main__":
    main()
