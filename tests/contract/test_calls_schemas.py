"""The schemas of call diagnostics: closed, described, and what the library tells fits them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from getpatter import Patter
from getpatter.calls import Hub, JsonLinesSink, Redaction, RetryExhausted, UserAction
from getpatter.calls.enums import FIELDS, FailureCode, JoinReason, Outcome, Role, StageName
from getpatter.calls.events.losses import REASONS
from getpatter.calls.leave import BackendCause, SdkCause, UserCause

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMAS = Path(__file__).parents[2] / "schemas"
FOLDER = SCHEMAS / "diagnostics" / "v1"
VECTORS = SCHEMAS / "vectors" / "diagnostics" / "v1"
FILES = sorted(FOLDER.glob("*.schema.json"))
LONG = 60.0


def read(path: Path) -> Any:
    return json.loads(path.read_text("ascii"))


def name_of(path: Path) -> str:
    return path.name.removesuffix(".schema.json")


BY_TYPE = {read(path)["x-type"]: read(path) for path in FILES if "x-type" in read(path)}
ENVELOPE = read(FOLDER / "event.schema.json")


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_is_closed_and_every_field_described(path: Path) -> None:
    schema = read(path)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"https://getpatter.com/schemas/diagnostics/v1/{path.name}"
    assert schema["additionalProperties"] is False
    assert schema["description"].endswith(".")
    for name, rule in schema["properties"].items():
        assert rule["description"].endswith("."), name


def vectors(kind: str) -> Iterator[Any]:
    for path in FILES:
        for row in read(VECTORS / f"{name_of(path)}_{kind}.json"):
            yield pytest.param(path, row, id=f"{name_of(path)}: {row['name']}")


@pytest.mark.parametrize(("path", "row"), list(vectors("valid")))
def test_valid_vectors_pass(path: Path, row: dict[str, Any]) -> None:
    Draft202012Validator(read(path)).validate(row["value"])


@pytest.mark.parametrize(("path", "row"), list(vectors("invalid")))
def test_invalid_vectors_fail_for_the_reason_they_name(path: Path, row: dict[str, Any]) -> None:
    errors = list(Draft202012Validator(read(path)).iter_errors(row["value"]))
    rules = {"false" if error.validator is None else error.validator for error in errors}
    assert row["rule"] in rules


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_valid_vectors_have_every_field(path: Path) -> None:
    seen = {name for row in read(VECTORS / f"{name_of(path)}_valid.json") for name in row["value"]}
    assert seen == set(read(path)["properties"])


def enum(event_type: str, name: str) -> set[str]:
    return set(BY_TYPE[event_type]["properties"][name]["enum"])


def test_the_vocabulary_is_that_of_the_code() -> None:
    completed = "stage.completed"
    assert enum(completed, "stage") == {member.value for member in StageName}
    assert enum(completed, "join_reason") == {member.value for member in JoinReason}
    assert enum(completed, "role") == {member.value for member in Role}
    assert enum(completed, "outcome") == {member.value for member in Outcome}
    assert enum(completed, "failure_code") == {member.value for member in FailureCode}
    causes = {member.value for kind in (UserCause, BackendCause, SdkCause) for member in kind}
    assert enum("call.ended", "leave_cause") == causes
    lost = BY_TYPE["telemetry.health"]["properties"]["lost"]["additionalProperties"]
    assert set(lost["propertyNames"]["enum"]) == set(REASONS)
    fields = {name for schema in BY_TYPE.values() for name in schema["properties"]}
    assert fields <= set(FIELDS)


@pytest.mark.parametrize(
    "redaction",
    [
        Redaction(),
        Redaction(max_text_chars=0),
        Redaction(redact_text=True),
    ],
    ids=["default", "cut", "removed"],
)
def test_what_the_library_tells_fits_its_schemas(tmp_path: Path, redaction: Redaction) -> None:
    path = tmp_path / "calls.jsonl"
    hub = Hub(JsonLinesSink(path), redaction=redaction, per_second=100)
    patter = Patter(
        carrier="none",
        telemetry=False,
        diagnostics=hub,
        credentials={"OPENAI_API_KEY": "invented"},
    )
    agent = patter.agent(stt="deepgram/nova-3", llm="openai/my-fine-tune", tts="cartesia/sonic-2")
    with patter.call(direction="inbound", agent=agent) as call:
        call.reporter.join("migration")
        for state in ("checking", "checking", "connected", "checking", "failed"):
            call.reporter.ice("publisher", state)
        call.describe(stt="deepgram/nova-3")
        call.turn()
        call.observe("answer", 0.5)
        call.turn(late=True)
        with call.stage("llm") as stage:
            stage.retry()
            stage.first()
        call.observe("eou", 0.1)
        call.reporter.complete(
            call.reporter.begin("ws_join"), "CUSTOM", reason="Jane", previously_connected_at=1
        )
        call.reporter.begin("tts")
        call.cost(0.5)
        call.leave(UserAction())
    failing = pytest.raises(TimeoutError)
    with failing, patter.call(direction="outbound") as call, call.stage("carrier"):
        raise TimeoutError
    for nonsense in (object(), "x", float("nan"), -1):
        with patter.call(direction="sideways") as call:
            call.cost(nonsense)  # type: ignore[arg-type]
            call.error(nonsense)  # type: ignore[arg-type]
    patter.call(direction="inbound").leave(RetryExhausted(2, "SFU_ERROR"))
    patter.call(direction="inbound").leave("Jane")
    call = patter.call(direction="inbound")
    for _ in range(300):
        call.reporter.begin("stt")
    call.end()
    hub.close(LONG)
    events = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for event in events:
        Draft202012Validator(ENVELOPE).validate(event)
        Draft202012Validator(BY_TYPE[event["type"]]).validate(event["data"])
    assert {event["type"] for event in events} == set(BY_TYPE)
    assert ("Jane" in path.read_text("utf-8")) is (redaction == Redaction())
