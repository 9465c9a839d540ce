"""The tables of the pages that no client in JavaScript recomputes say what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from getpatter.telemetry import _tables, events
from getpatter.telemetry.losses import REASONS

if TYPE_CHECKING:
    from conftest import Run

    from getpatter.telemetry.testing import Receiver

DOCS = Path(__file__).parents[2] / "docs"
TELEMETRY, RULES = ((DOCS / f"{name}.mdx").read_text("utf-8") for name in ("telemetry", "rules"))


def first_cells(page: str, heading: str) -> list[str]:
    """What stands in backticks in the first column of the table that begins so."""
    table = page.partition(heading)[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    return [word for cell in cells for word in re.findall(r"`([^`]+)`", cell)]


def test_the_loss_reasons_are_those_of_the_code_in_its_order() -> None:
    assert first_cells(TELEMETRY, "| reason | what happened |") == list(REASONS)


def test_the_events_are_those_of_the_schemas() -> None:
    assert sorted(first_cells(TELEMETRY, "| event | when |")) == sorted(_tables.EVENT_NAMES)


def test_the_names_of_the_events_in_the_code_are_those_of_the_schemas() -> None:
    names = {name: value for name, value in vars(events).items() if name.startswith("EVENT_")}
    del names["EVENT_NAMES"]
    assert {name.removeprefix("EVENT_").lower(): value for name, value in names.items()} == {
        name: name for name in _tables.EVENT_NAMES
    }


def test_every_header_is_said(run: Run, receiver: Receiver) -> None:
    code = "from getpatter import Patter; assert Patter(carrier='none').telemetry.flush(20)"
    assert run(code).returncode == 0
    said = {name.lower() for name in first_cells(RULES, "| header | what it says |")}
    request = receiver.requests[0]
    sent = {name.lower() for name in request.headers}
    assert said - sent == {"patter-client-report"}, "there are no losses"
    # Those that HTTP itself or its library adds say nothing of ours.
    assert {name for name in sent - said if name.startswith(("patter", "x-"))} == set()
