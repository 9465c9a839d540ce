"""The coarser version that schemas/README.md proposes can be made, and the client then keeps to it.

Made in a copy, by the steps of that page; nothing here needs Node. `make rehearse` runs all of
`make parity` on it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import coarser
import entropy
import history
import mutants
import pytest

from getpatter.telemetry._tables import SCHEMA_VERSION

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Run

# Records all that it can in the copy, as a host that knows nothing of the new version does.
PROGRAM = """
import json, os
from getpatter import Patter
from getpatter.telemetry.testing import Receiver
receiver = Receiver()
os.environ["PATTER_TELEMETRY_ENDPOINT"] = receiver.endpoint
phone = Patter(carrier="none", engine="realtime", credentials={"OPENAI_API_KEY": "x"})
agent = phone.agent(stt="deepgram/nova-3", llm="openai/gpt-4o", tts="elevenlabs/eleven_flash_v2_5")
with phone.call(direction="inbound", agent=agent) as call:
    call.turn()
    call.hangup("remote")
record = phone.telemetry.record
record("agent_configured", builtin_tool_count=3, builtin_tool_count_bucket="2_3")
record("model_used", layer="stt", model="deepgram-nova-3")
record("cli_command", cli_command="demo")
assert phone.telemetry.flush(20)
print(json.dumps([phone.telemetry.stats()["lost"], receiver.events]))
"""
JUDGES = """
import json, sys
import golden
from getpatter.telemetry.judge import Judge
from getpatter.telemetry.schema import check
judge = Judge()
rows = golden.rows("valid")
print(json.dumps([
    [row["name"] for row in rows if next(judge.violations(row["event"]), None) is not None],
    [row["name"] for row in rows if check(golden.sent(row["event"])) is not None],
    [row["event"]["event"] for row in rows if check(row["event"]) is None],
]))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with the coarser version in it."""
    place = tmp_path_factory.mktemp("coarser")
    mutants.copy(place)
    coarser.make(place)
    return place


def test_all_that_needs_no_node_passes(copy: Path) -> None:
    checks = ("generated", "governed", "linted", "budgeted", "agreeing")
    code, said = mutants.run(copy, "schemas/parity.py", *checks)
    assert code == 0, said
    assert "==> all checks passed" in said


def test_no_events_that_can_be_joined_are_over_the_limit(copy: Path) -> None:
    schemas = copy / "schemas"
    limit = json.loads((schemas / "budget.json").read_text("ascii"))["limit_bits"]
    groups = entropy.groups(history.load(schemas / f"v{coarser.NEW}"), schemas)
    assert {group.ids for group in groups} == {("install_id",), ("run_id", "call_uid"), ()}
    assert max(group.bits()[0] for group in groups) < limit


def test_the_figures_of_the_page_are_those_of_the_budget(copy: Path) -> None:
    schemas = copy / "schemas"
    page = (schemas / "README.md").read_text("utf-8")
    table = page.partition("| joined events | by | bits then |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1:4] for line in table.splitlines()[2:]]
    groups = entropy.groups(history.load(schemas / f"v{coarser.NEW}"), schemas)
    assert len(rows) == len(groups)
    for events, by, bits in rows:
        (group,) = [group for group in groups if f"`{group.events[0]}`" in events]
        assert all(f"`{event}`" in events for event in group.events)
        assert by.strip() == (f"`{group.ids[0]}`" if group.ids else "nothing")
        assert bits.strip() == f"{group.bits()[0]:.1f}", events
    (v8,) = entropy.groups(history.load(schemas / "v8"), schemas)
    assert f"**{v8.bits(entropy.INSTALL)[0]:.2f} bits in the worst case" in page
    assert f"**{v8.bits()[0]:.1f} bits in the worst case" in page


def test_it_breaks_nothing(copy: Path) -> None:
    versions = (f"{SCHEMA_VERSION}", f"{coarser.NEW}")
    code, said = mutants.run(copy, "-m", "getpatter", "telemetry", "schema", "diff", *versions)
    assert code == 0, said
    assert said.splitlines()[-1].startswith("0 breaking, ")
    for change in ("narrowing  call_started.sample_rate", "narrowing  first_run.run_id"):
        assert change in said


def test_a_collector_accepts_what_is_retired_and_the_client_does_not_send_it(copy: Path) -> None:
    code, said = mutants.run(copy, "-c", f"import sys; sys.path.insert(0, 'schemas')\n{JUDGES}")
    assert code == 0, said
    refused, not_sent, whole = json.loads(said)
    assert refused == []
    assert not_sent == []
    # Copied from the version before, most vectors carry what is retired now.
    assert set(whole) == {"model_used"}


def test_what_is_said_of_it_is_true(copy: Path) -> None:
    command = (copy, "-m", "getpatter", "telemetry")
    code, said = mutants.run(*command, "inventory", "--json")
    assert code == 0, said
    retired = {
        (row["event"], row["field"]): row["retired"] for row in json.loads(said) if row["retired"]
    }
    gone = {(event, name) for event, names in coarser.RETIRED.items() for name in names}
    assert retired == dict.fromkeys(gone, coarser.NEW)
    code, said = mutants.run(*command, "explain", "--json", "agent_configured")
    assert code == 0, said
    found = json.loads(said)
    sent = {row["field"] for row in (*found["every_event"], *found["events"][0]["fields"])}
    assert not sent & set(coarser.RETIRED["agent_configured"])
    assert "Does not have: run_id, install_id, " in mutants.run(*command, "explain")[1]


def test_what_leaves_carries_no_two_ids_and_nothing_that_is_retired(run: Run, copy: Path) -> None:
    done = run(PROGRAM, PYTHONPATH=str(copy))
    assert done.returncode == 0, done.stderr
    lost, events = json.loads(done.stdout)
    assert lost == {}
    assert {event["event"] for event in events} == {
        *("first_run", "sdk_initialized", "feature_used", "agent_configured", "model_used"),
        *("cli_command", "call_started", "call_completed"),
    }
    for event in events:
        assert event["schema_version"] == coarser.NEW
        assert not {"run_id", "install_id"} <= event.keys(), event
        assert not event.keys() & set(coarser.RETIRED.get(event["event"], ())), event
    assert {"agent_configured", "2_3"} <= {value for event in events for value in event.values()}
