"""Numbers that a host gives: whatever they are, nobody waits for ever and nothing overflows."""

import asyncio
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_process import client, environment

from getpatter import Patter
from getpatter.telemetry import TelemetryClient
from getpatter.telemetry.testing import Receiver

LARGE: list[Any] = [10**400, Fraction(10**400), Decimal("1e500"), float("inf"), np.float64("inf")]
SMALL: list[Any] = [-(10**400), Fraction(-(10**400)), -1, 0, Decimal("-1e500"), float("-inf")]
NONE: list[Any] = [float("nan"), Decimal("NaN"), np.float64("nan")]


def kind(number: object) -> str:
    return type(number).__name__


@pytest.mark.parametrize("timeout", LARGE, ids=kind)
def test_a_long_timeout_is_waited_for_as_far_as_it_is_needed(
    tmp_path: Path, receiver: Receiver, timeout: Any
) -> None:
    telemetry = client(tmp_path, receiver.endpoint)
    telemetry.record("cli_command", cli_command="demo")
    assert telemetry.flush(timeout)
    telemetry.record("cli_command", cli_command="demo")
    asyncio.run(telemetry.drain(timeout))
    assert len(receiver.wait_for(2, timeout)) == 2
    assert telemetry.close(timeout)


@pytest.mark.parametrize("timeout", SMALL + NONE, ids=kind)
def test_no_timeout_is_not_waited_for(tmp_path: Path, timeout: Any) -> None:
    # Nobody is there.
    telemetry = client(tmp_path, "http://127.0.0.1:9/v1/ingest", PATTER_TELEMETRY_GRACE="600")
    telemetry.record("cli_command", cli_command="demo")
    assert not telemetry.flush(timeout)
    asyncio.run(telemetry.drain(timeout))
    assert not telemetry.close(timeout)
    assert telemetry.stats()["delivered"] == 0


@pytest.mark.parametrize("timeout", LARGE + SMALL + NONE, ids=kind)
def test_call_diagnostics_take_the_same(timeout: Any) -> None:
    hub = Patter(carrier="none", telemetry=False).diagnostics
    hub.attach(lambda _: None)
    hub.flush(timeout)
    hub.close(timeout)


@pytest.mark.parametrize(
    ("number", "arrive"), [*((n, 1) for n in LARGE), *((n, 0) for n in SMALL + NONE)], ids=kind
)
def test_a_rate_limit_may_be_any_number(
    tmp_path: Path, receiver: Receiver, number: Any, arrive: int
) -> None:
    made = TelemetryClient(
        sdk_version="1",
        environ=environment(tmp_path, receiver.endpoint),
        rate_limit=(number, number),
    )
    assert made.enabled
    made.record("cli_command", cli_command="demo")
    made.close(60)
    assert len(receiver.events) == arrive
