"""What a client costs beside a loop that has 20 ms for each frame, as audio has.

Every frame does a little work (mixing 20 ms of 8 kHz sound) and records four events. A frame is
missed when its work is not done before the next one is due. Processor time is counted from two
seconds on: some clients load what they send with before they are first asked, others when.
"""

import time

from events import make
from measuring import Given, done, processor_seconds

_FRAME = 0.02
_EVENTS = 4
_SAMPLES = 160
_WARM_FRAMES = 100


def main() -> None:
    """Measure."""
    given = Given()
    frames = _WARM_FRAMES + int(given.number("seconds") / _FRAME)
    events = make(frames * _EVENTS)
    client = given.client()
    record = given.recorder(client)
    near, far = list(range(_SAMPLES)), list(range(_SAMPLES, 0, -1))
    missed = 0
    cpu = 0.0
    begun = counted = time.perf_counter()
    for frame in range(frames):
        if frame == _WARM_FRAMES:
            cpu, counted = processor_seconds(), time.perf_counter()
        due = begun + frame * _FRAME
        time.sleep(max(0.0, due - time.perf_counter()))
        near = [(one + other) // 2 for one, other in zip(near, far, strict=True)]
        for name, dimensions in events[frame * _EVENTS : (frame + 1) * _EVENTS]:
            record(name, dimensions)
        missed += time.perf_counter() > due + _FRAME
    seconds = time.perf_counter() - counted
    done(cpu=(processor_seconds() - cpu) * 1e3 / seconds, missed=missed)


if __name__ == "__main__":
    main()
