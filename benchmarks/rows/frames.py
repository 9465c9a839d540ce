"""What a client costs beside a loop of 20 ms frames."""

from clients import NONE
from figures import Figure, Row, Value, median
from runs import Bench

__all__ = ["measure"]


def measure(bench: Bench) -> Row:
    """Measure processor time and missed frames at 200 events a second."""
    taken: dict[str, dict[str, list[float | None]]] = {"cpu": {}, "missed": {}}
    seconds = bench.scale.frame_seconds
    for _ in range(bench.scale.frame_rounds):
        for environment in bench.having():
            with bench.port() as port, bench.folder() as folder:
                outcome = bench.run("run_frames", environment, port, folder, f"seconds={seconds}")
            for kind, values in taken.items():
                values.setdefault(environment.client.name, []).append(outcome.number(kind))
    shown = {key: {n: Value(median(v)) for n, v in values.items()} for key, values in taken.items()}
    nothing = shown["missed"].get(NONE, Value(None)).number
    return Row(
        "beside a 20 ms frame loop, 200 events/s",
        f"{seconds} s after the first two, in which frames are counted but no processor time; "
        f"median of {bench.scale.frame_rounds} runs. The loop's own work is included, and is all "
        "there is in the row of no client.",
        [
            Figure("processor time", "ms/s", "≤ 35", shown["cpu"]),
            Figure("missed frames", "", f"≤ {nothing or 0:.0f}", shown["missed"], 0),
        ],
    )
