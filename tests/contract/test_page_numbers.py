"""The numbers that the page on telemetry promises are those of the code.

That the code keeps to its numbers, the tests of each part show.
"""

import inspect
import re
from pathlib import Path

import pytest

from getpatter.integrations.asgi import telemetry_app, telemetry_lifespan
from getpatter.integrations.aws_lambda import flush_after
from getpatter.telemetry import _dotenv, _stderr, _tables, env, gate, places
from getpatter.telemetry.commands import check
from getpatter.telemetry.delivery import limits, rate_limit, transport

TEXT = " ".join((Path(__file__).parents[2] / "docs" / "telemetry.mdx").read_text("utf-8").split())
WORDS = {0.2: "a fifth of a second", 0.5: "half a second", 1: "a second", 2: "two seconds"}
WORDS |= {60: "a minute", 3_600: "an hour", 8: "eight"}
DAY = 86_400
MIB = 1_048_576


def default(function: object) -> float:
    """The timeout of a function where none is given."""
    value: float = inspect.signature(function).parameters["timeout"].default  # type: ignore[arg-type]
    return value


SENTENCES = {
    "events": f"There are {WORDS[len(_tables.EVENT_NAMES)]} kinds of event.",
    "stderr": f"nobody reads it within {WORDS[_stderr.SECONDS]})",
    "grace": f"Nothing is sent for {env.GRACE:g} seconds after the notice was first shown",
    "the least grace": f"nothing is sent: {env.GRACE:g} or more;",
    "linger": f"about {WORDS[limits.LINGER]} after it was recorded",
    "gap": "one request per second" if limits.GAP == 1 else "",
    "batch": f"full batches of {limits.BATCH_EVENTS} events",
    "buffer": f"at most {limits.BUFFER_RECORDS:,}, and a new event replaces the oldest",
    "full": f"memory was full ({limits.BUFFER_RECORDS:,} events)",
    "burst": f"at most {rate_limit.BURST:,} are taken in a burst",
    "rate": f"and {rate_limit.PER_SECOND:g} per second after that",
    "kept": f"not delivered {WORDS[limits.KEPT_WITHIN]} after it was recorded is in the [spool]",
    "sender": f"it delivers within {limits.SENDER_SECONDS + 1:g} seconds",
    "asgi": f"Both wait {WORDS[default(telemetry_lifespan)]} at most (`timeout`)",
    "asgi, the other": f"Both wait {WORDS[default(telemetry_app)]} at most (`timeout`)",
    "lambda": f"waits for at most {WORDS[default(flush_after)]}",
    "request": f"A request takes at most {transport.SECONDS:g} seconds",
    "first pause": f"from {limits.DELAY_FIRST:g} s to {WORDS[limits.DELAY_LONGEST]}",
    "retry after": f"(`Retry-After`, {WORDS[limits.RETRY_AFTER_LONGEST]} at most)",
    "breaker": f"for {WORDS[limits.BREAKER_FIRST]}, doubling to {WORDS[limits.BREAKER_LONGEST]}",
    "how long": f"on disk for at most {limits.SPOOL_SECONDS / DAY:g} days",
    "spool": f"at most {limits.SPOOL_BYTES / MIB:g} MiB, {limits.SPOOL_EVENTS:,} events and "
    f"{limits.SPOOL_SECONDS / DAY:g} days",
    "log": f"At most {places.LEDGER_BYTES // 1_024} KiB",
    "check": f"of at most {check.LIMIT / MIB:g} MiB",
    ".env": f"longer than {_dotenv.LIMIT // 1_024} KiB",
}


@pytest.mark.parametrize("sentence", SENTENCES.values(), ids=SENTENCES)
def test_the_page_says_the_number_of_the_code(sentence: str) -> None:
    assert sentence
    assert sentence in TEXT


def test_an_ending_program_waits_for_less_than_the_page_says() -> None:
    assert "the program waits for at most half a second" in TEXT
    assert limits.EXIT_SECONDS < 0.5


def test_the_ratio_of_a_run_is_that_of_the_page() -> None:
    """As the section on sampling says it; the rules for other clients are recomputed by one."""
    found = re.search(r"first (\d) hex digits of SHA-256\(run ID\), divided by `(\w+)`", TEXT)
    assert found is not None
    digits, divisor = int(found[1]), int(found[2], 16)
    assert divisor == 16**digits - 1
    # SHA-256("abc") begins with ba7816bf (FIPS 180-2, B.1).
    assert gate.ratio("abc") == int("ba7816bf"[:digits], 16) / divisor
