"""Limits: the numbers of the delivery path, each with its reason, and the relations between them.

Times are in seconds. The numbers of one request stand in `transport`.
"""
# ruff: noqa: S101 - the relations below are statements about this file, not about its input

__all__ = [
    "BATCH_EVENTS",
    "BREAKER_FIRST",
    "BREAKER_LONGEST",
    "BUFFER_RECORDS",
    "CLAIMS",
    "DELAY_FIRST",
    "DELAY_GROWTH",
    "DELAY_LONGEST",
    "DISK_AGAIN",
    "DISK_LONGEST",
    "EXIT_SECONDS",
    "EXIT_SPARE_SECONDS",
    "FIRST_LOOK",
    "FORK_SECONDS",
    "GAP",
    "IDLE",
    "KEPT_WITHIN",
    "LINGER",
    "LINGER_URGENT",
    "LOOK",
    "LOOK_FOR_ORPHANS",
    "MANY",
    "MOST_BATCH_EVENTS",
    "NOTICE",
    "OVERDUE",
    "PAUSE_LONGEST",
    "RETRY_AFTER_LONGEST",
    "SENDER_SECONDS",
    "SPOOL_BYTES",
    "SPOOL_EVENTS",
    "SPOOL_SECONDS",
    "STEP",
    "TRIES",
    "TRIES_OF_A_BUG",
]

# Batches.

#: What every collector takes in one batch.
BATCH_EVENTS = 64
#: What none is asked to take, even if it offers more: a body of 200 KB.
MOST_BATCH_EVENTS = 512
#: About 16 full batches; at a few hundred bytes an event well under a megabyte.
BUFFER_RECORDS = 1_000
#: So many records do not wait for an answer: a burst of as many again is to find room.
MANY = 7 * BATCH_EVENTS

# When a batch is closed.

#: A record waits so long for company before it is sent.
LINGER = 0.5
#: A script that fails for want of configuration ends soon: what it says leaves first.
LINGER_URGENT = 0.1
#: Between two requests that do not carry a full batch.
GAP = 1.0
#: What is not delivered so soon after it was recorded is on disk: what a kill can lose.
KEPT_WITHIN = 1.0

# Retries.

#: A collector that is away for a moment is asked again soon; the bound of the first delay.
DELAY_FIRST = 0.25
#: By what the bound grows with each failure in a row. Below 2: where every second request fails, as
#: with a tossed coin, the mean delay of a batch stays finite (0.25 s).
DELAY_GROWTH = 1.5
#: The bound of every delay.
DELAY_LONGEST = 60.0
#: What is in memory only is tried so often, over some 20 seconds; then newer events matter more.
TRIES = 12
#: What fails because of a bug of ours is tried twice: a module may load the second time.
TRIES_OF_A_BUG = 2
#: However long a collector asks to wait: an hour, by the contract.
RETRY_AFTER_LONGEST = 3_600.0
#: The circuit breaker after an answer that a retry will not change: a minute, doubling.
BREAKER_FIRST = 60.0
BREAKER_LONGEST = 3_600.0
#: No thread waits for longer pauses: the next record, or a later start, asks again.
PAUSE_LONGEST = 60.0
#: A request that takes longer hangs: a name server, or an answer that comes byte by byte. What
#: its own limits allow (3 s), and the time it may take to notice.
OVERDUE = 4.0
#: How soon to look again at what nobody rings for.
NOTICE = 1.0

# The disk.

#: The bounds of a spool, over all processes: bytes, events, and how long a batch is kept.
SPOOL_BYTES = 1_048_576
SPOOL_EVENTS = 1_000
SPOOL_SECONDS = 7 * 86_400
#: How soon a disk that failed is tried again, at first and at most.
DISK_AGAIN = 1.0
DISK_LONGEST = 60.0
#: How soon a run that has found no orphan looks for one again.
LOOK_FOR_ORPHANS = 60.0
#: Adopted owners that one process holds at a time: each costs a descriptor.
CLAIMS = 2

# The thread.

#: A thread that has nothing to do ends after so long.
IDLE = 10.0
#: The caller that starts the thread goes on with the host's work first.
FIRST_LOOK = 0.1
#: A record is seen so soon, whatever else is waited for.
LOOK = 1.0
#: No thread waits for a lock for longer than a step of the worker can take, loading included.
STEP = 3.0
#: Loading `requests` takes 0.1 s, many times that on a busy machine; no fork is held up longer.
FORK_SECONDS = 5.0
#: What an ending program waits for at most: half a second, with what it takes to choose how.
EXIT_SECONDS = 0.45
#: How much longer it waits while what is left is being put on a slow disk, as long as that gets on:
#: a first start asks some forty things of its disk, and one that needs 0.1 s for each is very slow.
EXIT_SPARE_SECONDS = 4.0
#: How long a detached sender tries; `detached`, which loads nothing, ends it a second later.
SENDER_SECONDS = 9.0

assert LINGER_URGENT < LINGER <= KEPT_WITHIN <= LOOK
assert BATCH_EVENTS <= MANY < MOST_BATCH_EVENTS < BUFFER_RECORDS
assert 2 * MANY < BUFFER_RECORDS
assert MOST_BATCH_EVENTS <= SPOOL_EVENTS
assert 1 < DELAY_GROWTH < 2
assert DELAY_FIRST < DELAY_LONGEST <= BREAKER_FIRST <= PAUSE_LONGEST
assert BREAKER_LONGEST <= RETRY_AFTER_LONGEST < SPOOL_SECONDS
assert DISK_AGAIN < DISK_LONGEST <= PAUSE_LONGEST
assert TRIES_OF_A_BUG < TRIES
assert EXIT_SECONDS < 0.5
assert EXIT_SECONDS + EXIT_SPARE_SECONDS < FORK_SECONDS
assert OVERDUE < SENDER_SECONDS < IDLE
