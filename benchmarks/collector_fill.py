"""Fills a store with many simulated events, for other measurements.

    python benchmarks/collector_fill.py --out DIR --events 10000000

Simulates a part of them and copies it under other ids, in the database. A copy has the days, rates
and draws of what it was made of, so every answer is that of the part with larger counts.
"""

from __future__ import annotations

import argparse
import sys
import time

from getpatter.collector import clock
from getpatter.collector.simulate.output import IntoStore
from getpatter.collector.simulate.program import Simulation
from getpatter.collector.store import Store

DAY = 86_400
_INSTALLS = 4_000  # simulated: about 230,000 events in 30 days

# Another id for each copy; the group is that of the new install ID, as `append` computes it.
_COPY = """
INSERT INTO hot_events BY NAME
SELECT * REPLACE (
  commit_no + $copy AS commit_no,
  CAST(md5(concat(run_id, $copy)) AS UUID) AS run_id,
  CAST(md5(concat(install_id, $copy)) AS UUID) AS install_id,
  CAST(md5(concat(call_uid, $copy)) AS UUID) AS call_uid,
  CAST(
    CAST(concat('0x', substr(sha256(md5(concat(install_id, $copy))), 1, 2)) AS INTEGER) % 64
    AS UTINYINT
  ) AS grp
)
FROM hot_events WHERE commit_no <= $last
"""


def main() -> int:
    """Simulate, copy, roll up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--installs", type=int, default=_INSTALLS, help="that are simulated")
    parser.add_argument("--days", type=int, default=30)
    options = parser.parse_args()
    begin = time.perf_counter()
    store = Store(options.out)
    target = IntoStore(store)
    now = clock.now()
    simulation = Simulation(
        options.installs, options.days, 1, end=now // DAY * DAY, now=now, take=target.take
    )
    simulation.run(lambda *_: None)
    target.end()
    rows = store.query("SELECT count(*), max(commit_no) FROM hot_events").rows
    (part, last) = rows[0]
    copies = max(0, -(-options.events // part) - 1)
    print(f"{part:,} events simulated after {time.perf_counter() - begin:.0f} s", flush=True)
    for copy in range(1, copies + 1):
        with store.transaction() as connection:
            connection.execute(_COPY, {"copy": last * copy, "last": last}).fetchall()
        store.fold()
        print(f"\rcopy {copy} of {copies}", end="", file=sys.stderr, flush=True)
    store.merge()
    store.close()
    print(f"\n{part * (copies + 1):,} events after {time.perf_counter() - begin:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
