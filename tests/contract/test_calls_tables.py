"""The schemas of samples, records and the vocabulary are the tables, and judge as the code does."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import call_descriptions as descriptions
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from getpatter.calls.stats import sample, vocabulary

ROOT = Path(__file__).parents[2]
FILES = ROOT / "schemas" / "diagnostics" / "v1"
VECTORS = ROOT / "schemas" / "vectors" / "diagnostics" / "v1"


def validator(name: str) -> Draft202012Validator:
    document = json.loads((FILES / f"{name}.schema.json").read_text("ascii"))
    Draft202012Validator.check_schema(document)
    return Draft202012Validator(document)


VALIDATORS = {name: validator(name) for name in descriptions.SCHEMAS}


def vectors(kind: str) -> list[Any]:
    return [
        pytest.param(name, vector, id=f"{name}: {vector['name']}")
        for name in VALIDATORS
        for vector in json.loads((VECTORS / f"{name}_{kind}.json").read_text("ascii"))
    ]


def judged_by_the_code(name: str, value: dict[str, Any]) -> bool | None:
    """What the code says of it; None where it makes such things and takes none."""
    if name == "sample":
        return bool(sample.refusal("call", "participant", value))
    if name == "vocabulary" and value.get("data", {}).get("notify") in (None, False):
        # `notify` is no field but how an event is told.
        if "data" not in value or "node" in value:
            return None
        data = {name: item for name, item in value["data"].items() if name != "notify"}
        call, participant = data.pop("call", ""), data.pop("participant", "")
        return bool(vocabulary.check(value["type"], call, participant, data))
    return None


def test_the_files_are_what_the_tables_say() -> None:
    command = [sys.executable, str(ROOT / "schemas" / "generate_calls.py"), "--check"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_a_file_that_differs_is_named_and_written_anew(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    path = tmp_path / "schemas" / "diagnostics" / "v1" / "sample.schema.json"
    before = path.read_text("ascii")
    path.write_text(before.replace("65535", "65536"), "ascii")
    command = [sys.executable, str(tmp_path / "schemas" / "generate_calls.py")]
    for arguments, code in ((["--check"], 1), ([], 0), (["--check"], 0), (["--chekc"], 2)):
        run = subprocess.run(
            [*command, *arguments], capture_output=True, text=True, check=False, timeout=60
        )
        assert run.returncode == code
    assert path.read_text("ascii") == before


@pytest.mark.parametrize(("name", "vector"), vectors("valid"))
def test_what_must_pass_passes(name: str, vector: dict[str, Any]) -> None:
    assert list(VALIDATORS[name].iter_errors(vector["value"])) == []
    assert judged_by_the_code(name, vector["value"]) is not False


@pytest.mark.parametrize(("name", "vector"), vectors("invalid"))
def test_what_must_fail_fails_by_its_rule(name: str, vector: dict[str, Any]) -> None:
    errors = list(VALIDATORS[name].iter_errors(vector["value"]))
    found = {("".join(f"/{part}" for part in e.absolute_path), e.validator) for e in errors}
    assert (vector["pointer"], vector["rule"]) in found
    # The code takes None as absent, which JSON has no need of.
    if None not in vector["value"].get("data", {}).values():
        assert judged_by_the_code(name, vector["value"]) is not True


def test_every_kind_has_vectors_for_each_of_its_fields() -> None:
    passed = [vector.values[1]["value"] for vector in vectors("valid")]
    for kind, rule in vocabulary.VOCABULARY.items():
        fields = [value["data"].keys() for value in passed if value.get("type") == kind]
        assert any(rule.fields.keys() <= found for found in fields), kind


# A loaded machine is slow, and that is no defect of ours.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=300),
    st.sampled_from(["up", "down", "audio", "data", "inbound-rtp"]),
    st.lists(st.integers(), max_size=2),
)


def present(fields: dict[str, object], known: set[str]) -> dict[str, object]:
    """The fields without what is absent; a name that is not known is one even so."""
    return {name: value for name, value in fields.items() if value is not None or name not in known}


@PATIENT
@given(st.dictionaries(st.sampled_from([*sample.TEXTS, *sample.NUMBERS, "else"]), VALUES))
def test_samples_are_judged_as_jsonschema_judges(fields: dict[str, object]) -> None:
    given_sample = {"track": "t", "direction": "up", **fields}
    value = present(given_sample, {*sample.TEXTS, *sample.NUMBERS})
    assert bool(sample.refusal("c", "p", given_sample)) == VALIDATORS["sample"].is_valid(value)


@PATIENT
@given(
    st.sampled_from([*vocabulary.VOCABULARY, "participant_sneezed"]),
    st.dictionaries(st.sampled_from(["track", "reason", "owner", "rooms", "stats"]), VALUES),
)
def test_events_are_judged_as_jsonschema_judges(kind: str, fields: dict[str, object]) -> None:
    rule = vocabulary.VOCABULARY.get(kind)
    data = present(fields, set(rule.fields) if rule else set())
    event = {"type": kind, "data": {"call": "c", "participant": "p", **data}}
    assert bool(vocabulary.check(kind, "c", "p", fields)) == VALIDATORS["vocabulary"].is_valid(
        event
    )


def test_the_rows_of_the_documentation_name_everything() -> None:
    record = {row[1] for row in descriptions.record_rows()}
    document: dict[str, Any] = descriptions.record_schema()
    track = document["properties"]["tracks"]["items"]["properties"]
    assert record == {*document["properties"], *track} - {"tracks"}
    samples: dict[str, Any] = descriptions.sample_schema()
    assert {row[0] for row in descriptions.sample_rows()} == set(samples["properties"])
    stream = descriptions.stream_schema()
    properties: dict[str, Any] = stream["properties"]["streams"]["items"]["properties"]  # type: ignore[index]
    assert {row[0] for row in descriptions.stream_rows()} == set(properties) - {"media_type"}
    assert {row[0] for row in descriptions.vocabulary_rows()} == set(vocabulary.VOCABULARY)
    assert len(descriptions.callback_rows()) == 6


def test_no_row_has_what_a_page_would_read_as_markup() -> None:
    tables: list[list[tuple[str, ...]]] = [
        [*descriptions.callback_rows()],
        [*descriptions.sample_rows()],
        [*descriptions.record_rows()],
        [*descriptions.stream_rows()],
        [*descriptions.vocabulary_rows()],
    ]
    cells = [cell for rows in tables for row in rows for cell in row]
    assert len(cells) > 200
    assert [cell for cell in cells if any(mark in cell for mark in "|{}<")] == []
