"""Every bound of the collector with its reason. The relations between them are asserted below."""

__all__: list[str] = []

MIB = 1024 * 1024
HOUR = 3600
DAY = 86_400

# Request
MAX_BODY = MIB  # compressed or not: 512 of the largest events are below 800 KiB
MAX_EVENTS = 512  # advertised as Patter-Max-Events; a client sends 64 until it has seen that
MAX_HEAD = 32_768  # request line and headers; a client's longest report is below 4 KiB
ARRIVAL_SECONDS = 30.0  # for a request to arrive: 1 MiB over 300 kbit/s
DRAIN_SECONDS = 10  # for the requests that have begun when the process is asked to end
MAX_CONNECTIONS = 2_000  # below the usual limit of 4,096 open files
MAX_AGE = 7 * DAY  # a client discards a spooled batch after a week

# Idempotency keys
KEY_SECONDS = 8 * DAY  # a week in the spool, and a day for clocks that disagree
LEGACY_KEY_SECONDS = 600  # a batch without a key is recognised by its body for ten minutes
RECENT_HOURS = 2  # hours before this one whose keys are in memory, too

# Group commit
GROUP_EVENTS = 8_192  # in one transaction: about 150 ms of work
GROUP_SECONDS = 0.05  # from one commit to the next at least: each has a fixed cost of about 12 ms
QUEUE_EVENTS = 32_768  # waiting for the store; beyond that the answer is 503
QUEUE_SECONDS = 2.0  # the oldest waiting request; a client waits for three seconds
RETRY_SECONDS = (1, 5)  # Retry-After of a 503: that many, plus jitter up to so many

# Rate limits: a token bucket each, in events
GLOBAL_RATE = 100_000  # a second: more than one process can commit
INSTALL_RATE = 200  # a second: a client's own limit is far below
INSTALL_BURST = 20_000  # a spool of an outage arrives at once
INSTALL_BUCKETS = 50_000  # installs remembered at a time

# Store
RESERVE_BYTES = 512 * MIB  # kept free, for checkpoints and for the operator who makes room
RESERVE_SHARE = 0.05  # of the disk, if that is more
DUCKDB_MEMORY = "400MB"  # of the 1 GB that the process may have
CHECKPOINT_BYTES = "16MB"  # a checkpoint holds a commit up for about 80 ms; a start replays less
FLUSH_SECONDS = 2.0  # counts of refused requests are in memory for so long at most
FOLD_SECONDS = 5.0  # roll-ups are at most that old
MERGE_ROUNDS = 120  # rounds of folding between two of merging: ten minutes
RETENTION_MONTHS = 13  # of raw events
SETTLE_DAYS = 8  # after a month's end nothing can arrive for it any more
PROVISIONAL_DAYS = 7  # back to this day events may still arrive
REWRITE_SECONDS = HOUR  # between two rewrites that erase: they stop ingest for seconds

# What is published
PUBLIC_INSTALLS = 10  # a cell of fewer is not shown
PUBLIC_OTHERS = 20  # what is not shown has so many: a small cell in it may be anything below ten
PUBLIC_ROUNDED = 10  # counts are multiples of it

assert MAX_AGE + DAY <= KEY_SECONDS  # noqa: S101 - a key outlives its batch
assert PROVISIONAL_DAYS * DAY >= MAX_AGE  # noqa: S101 - an older day is complete
assert SETTLE_DAYS * DAY > MAX_AGE  # noqa: S101 - a closed month stays closed
assert GROUP_EVENTS >= MAX_EVENTS  # noqa: S101 - any request fits into a group
assert QUEUE_EVENTS >= 2 * GROUP_EVENTS  # noqa: S101 - one commits, the next one waits
assert INSTALL_BURST >= MAX_EVENTS  # noqa: S101 - any request can pass its limit
assert PUBLIC_OTHERS >= 2 * PUBLIC_INSTALLS  # noqa: S101 - one small cell, and a larger one
