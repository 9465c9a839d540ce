"""How many events a second of processor time delivers; with `sample=yes`, where that time goes.

Events come 500 at a time, each lot flushed, so that nothing is dropped for want of room.
"""

import sys
import threading
import time
from collections import Counter
from types import FrameType

from events import make
from measuring import Given, done, processor_seconds

_LOT = 500


class Sampler:
    """Looks every millisecond at what each other thread does, and counts it by module.

    Counts the innermost module that is not the standard library's plumbing below a package, so that
    time in a socket belongs to who uses the socket. A thread that only waits is not counted.
    """

    _IDLE = frozenset({"wait", "acquire", "select", "sleep", "get", "_wait_for_tstate_lock"})

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        me = threading.get_ident()
        while not self._is_over.wait(0.001):
            for thread, frame in sys._current_frames().items():  # noqa: SLF001 - documented
                if thread != me and frame.f_code.co_name not in self._IDLE:
                    self.seen[_name(frame)] += 1

    def stop(self) -> dict[str, float]:
        """Return the share of each module, largest first."""
        self._is_over.set()
        self._thread.join()
        total = sum(self.seen.values()) or 1
        return {name: times / total for name, times in self.seen.most_common(8)}


def _name(frame: FrameType) -> str:
    """Return the module that a frame is in: ours whole, others by their package."""
    name = str(frame.f_globals.get("__name__", "?"))
    return name if name.startswith("getpatter") else name.partition(".")[0]


def main() -> None:
    """Measure."""
    given = Given()
    events = make(given.number("events"))
    client = given.client()
    record = given.recorder(client)
    record(*events[0])
    given.adapter.flush(client, 10.0)  # starting is another row
    sampler = Sampler() if given.text("sample") == "yes" else None
    cpu, begun = processor_seconds(), time.monotonic()
    for start in range(1, len(events), _LOT):
        for name, dimensions in events[start : start + _LOT]:
            record(name, dimensions)
        given.adapter.flush(client, 30.0)
    done(
        cpu=processor_seconds() - cpu,
        seconds=time.monotonic() - begun,
        where=sampler.stop() if sampler else {},
    )


if __name__ == "__main__":
    main()
