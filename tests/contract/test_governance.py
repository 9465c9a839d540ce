"""The checks of `make parity` that need no Node: each holds now, and is shown to fail."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import entropy
import governance
import history
import lint
import node
import pytest

from getpatter.telemetry._tables import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "schemas"
V8 = history.load(SCHEMAS / "v8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of what the checks read, to change things in."""
    ignored = shutil.ignore_patterns("node_modules", "__pycache__")
    shutil.copytree(SCHEMAS, tmp_path / "schemas", ignore=ignored)
    shutil.copy(ROOT / "CHANGELOG.md", tmp_path)
    return tmp_path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def test_what_is_missing_is_said_where_there_is_no_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(node.Missing, match="Node is missing: parity needs `node`"):
        node.set_up()


def test_all_of_it_holds() -> None:
    assert governance.problems(ROOT, SCHEMA_VERSION) == []
    for number, folder in history.versions(SCHEMAS).items():
        assert lint.lint(number, history.load(folder)) == []
    assert entropy.problems(8, V8, SCHEMAS) == []


# released files


@pytest.mark.parametrize("version", ["v5", "v7"])
def test_a_released_file_never_changes_not_even_a_word(root: Path, version: str) -> None:
    path = root / "schemas" / version / "first_run.schema.json"
    change(path, "tried out", "tried")
    found = governance.problems(root, 8)
    assert found == [f"{version}/first_run.schema.json has changed since it was released"]


def test_a_released_file_is_neither_added_nor_removed(root: Path) -> None:
    (root / "schemas" / "v7" / "first_run.schema.json").rename(
        root / "schemas" / "v7" / "second_run.schema.json"
    )
    found = " ".join(governance.problems(root, 8))
    assert "v7/first_run.schema.json has changed" in found
    assert "v7/second_run.schema.json has changed" in found


def test_the_words_of_v8_are_open_and_what_it_accepts_is_not(root: Path) -> None:
    path = root / "schemas" / "v8" / "first_run.schema.json"
    change(path, "tried out", "tried")
    assert governance.problems(root, 8) == []
    change(path, '"maxLength": 32', '"maxLength": 31')
    assert "v8: what it accepts has changed" in governance.problems(root, 8)[0]


def test_a_release_closes_the_words_too(root: Path) -> None:
    governance.release(root / "schemas", 8)
    assert governance.problems(root, 8) == []
    change(root / "schemas" / "v8" / "first_run.schema.json", "tried out", "tried")
    assert governance.problems(root, 8) == [
        "v8/first_run.schema.json has changed since it was released"
    ]


def test_a_version_without_a_record_is_noticed(root: Path) -> None:
    shutil.copytree(root / "schemas" / "v8", root / "schemas" / "v9")
    assert any("released.json has 5, 7, 8" in found for found in governance.problems(root, 8))


# from one version to the next


@pytest.fixture
def v9(root: Path) -> Path:
    """The next version, as schemas/README.md says that it is begun."""
    folder = root / "schemas" / "v9"
    shutil.copytree(root / "schemas" / "v8", folder)
    for path in folder.iterdir():
        change(path, "/v8/", "/v9/")
        change(path, '"const": 8', '"const": 9')
    changes = root / "schemas" / "changes.json"
    found = json.loads(changes.read_text("ascii"))
    changes.write_text(json.dumps({**found, "9": []}), "ascii")
    change(root / "CHANGELOG.md", "Event schema: v8.", "Event schema: v9.")
    governance_record(root)
    return root


def governance_record(root: Path) -> None:
    path = root / "schemas" / "released.json"
    record = json.loads(path.read_text("ascii"))
    rules = governance.rules_hash(history.load(root / "schemas" / "v9"))
    record["9"] = {"fixed": "not yet", "rules": rules}
    path.write_text(json.dumps(record), "ascii")


def problems_of(root: Path, path: str, old: str, new: str) -> list[str]:
    change(root / "schemas" / "v9" / path, old, new)
    governance_record(root)
    return governance.problems(root, 9)


def test_a_next_version_can_be_made(v9: Path) -> None:
    assert governance.problems(v9, 9) == []


def test_a_breaking_change_fails(v9: Path) -> None:
    found = problems_of(v9, "config_incomplete.schema.json", '"llm_key",', "")
    assert found == ["v8 → v9 breaks config_incomplete.missing=llm_key: value removed"]


def test_a_widening_needs_its_words_in_the_notice_and_in_the_changelog(v9: Path) -> None:
    path = "config_incomplete.schema.json"
    found = problems_of(v9, path, '"llm_key",', '"llm_key", "network",')
    assert len(found) == 2
    assert all("v9 collects config_incomplete.missing=network" in problem for problem in found)
    changes = v9 / "schemas" / "changes.json"
    entry = {"collects": ["config_incomplete.missing=network"], "text": "`missing`: also this"}
    every = json.loads(changes.read_text("ascii"))
    changes.write_text(json.dumps({**every, "9": [entry]}), "ascii")
    (unnamed, unsaid) = governance.problems(v9, 9)
    assert "the words do not name" in unnamed
    assert "changelog" in unsaid
    entry["text"] = "`missing` may be `network`"
    changes.write_text(json.dumps({**every, "9": [entry]}), "ascii")
    change(v9 / "CHANGELOG.md", "### Added\n", "### Added\n\n- Schema v9: `missing` is `network`.")
    assert governance.problems(v9, 9) == []


def test_words_for_what_is_not_collected_fail(v9: Path) -> None:
    changes = v9 / "schemas" / "changes.json"
    entry = {"collects": ["*.host_name"], "text": "`host_name`: the name of the machine"}
    every = json.loads(changes.read_text("ascii"))
    changes.write_text(json.dumps({**every, "9": [entry]}), "ascii")
    assert governance.problems(v9, 9) == [
        "changes.json, 9: *.host_name is nothing that v9 collects more"
    ]


def test_since_is_the_first_version_that_has_it(v9: Path) -> None:
    found = problems_of(v9, "config_incomplete.schema.json", '"x-since": 8', '"x-since": 9')
    assert found == ["v9 config_incomplete: x-since is not 8"]


@pytest.mark.parametrize(
    ("path", "old", "new", "problem"),
    [
        ("CHANGELOG.md", "Event schema: v8.", "Event schema: v7.", "changelog does not begin"),
        ("CHANGELOG.md", "`error_layer`, `disconnect_reason`,", "", "call_completed.error_layer"),
        ("CHANGELOG.md", " and the values `hermes`", "", "cli_command=hermes"),
        ("schemas/changes.json", "*.call_uid", "call_started.call_uid", "call_completed.call_uid"),
        ("schemas/changes.json", "`error_layer`, ", "", "do not name call_completed.error_layer"),
    ],
)
def test_words_that_go_are_missed(root: Path, path: str, old: str, new: str, problem: str) -> None:
    change(root / path, old, new)
    assert any(problem in found for found in governance.problems(root, 8))


def test_a_client_of_another_version_is_noticed(root: Path) -> None:
    assert governance.problems(root, 7) == ["the client sends v7, and the newest schemas are v8"]


# lint


def of(name: str, **rule: object) -> Callable[[dict[str, Any]], object]:
    def edit(schema: dict[str, Any]) -> None:
        changed = schema["properties"][name] | rule
        schema["properties"][name] = {k: v for k, v in changed.items() if v is not None}

    return edit


LINT: dict[str, Callable[[dict[str, Any]], object]] = {
    "description is no sentence": of("outcome", description="How it went"),
    "x-question is not one question": of("outcome", **{"x-question": "Why? How?"}),
    "x-purpose is none of": of("outcome", **{"x-purpose": None}),
    "x-owner is none of": of("outcome", **{"x-owner": "somebody"}),
    "x-since is no version": of("outcome", **{"x-since": 9}),
    "x-identity is none of": of("outcome", **{"x-identity": None}),
    "x-when is no sentence": lambda s: s.pop("x-when"),
    "not a closed object": lambda s: s.pop("additionalProperties"),
    "$id is not": lambda s: s.update({"$id": "https://example.com"}),
    "schema_version is not that of the folder": of("schema_version", const=7),
    "requires a field that it does not allow": lambda s: s["required"].append("host"),
    "format is not allowed": of("call_uid", format="uuid"),
    "default is not allowed": of("outcome", default="completed"),
    "the list has no other": lambda s: s["properties"]["outcome"]["enum"].remove("other"),
    "is no word of the lists": lambda s: s["properties"]["outcome"]["enum"].append("With Space"),
    "without a bound: minLength": of("sdk_version", minLength=None),
    "without a bound: maxLength": of("sdk_version", maxLength=None),
    "without a bound: not": of("sdk_version", **{"not": None}),
    "without a bound: minimum": of("duration_seconds", minimum=None),
    "without a bound: exclusiveMaximum or maximum": of("cost_usd", maximum=None),
    "neither a list nor a type": of("outcome", enum=None),
    "read differently": of("sdk_version", pattern="^[0-9]$"),
    "read differently: \\d": of("sdk_version", pattern="\\d"),
    "read differently: ^.": of("sdk_version", pattern="^."),
    "that is not ASCII": of("sdk_version", pattern="^[0-9\u0660-\u0669]"),
    "a random id is text of 32": of("sdk_version", **{"x-identity": "random"}),
    "and nothing else is one": of("call_uid", **{"x-identity": "varies"}),
}


@pytest.mark.parametrize(("problem", "edit"), LINT.items(), ids=LINT)
def test_lint_says(problem: str, edit: Callable[[dict[str, Any]], object]) -> None:
    version = copy.deepcopy(V8)
    edit(version["call_completed"])
    found = lint.lint(8, version)
    assert any(problem in said for said in found), found


def test_lint_takes_released_lists_as_they_are() -> None:
    """v5 had lists without `other`; it is what it is."""
    v5 = history.load(SCHEMAS / "v5")
    assert "other" not in v5["call_started"]["properties"]["carrier"]["enum"]
    assert lint.lint(5, v5) == []


# the budget


def test_the_budget_counts_what_stays_the_same() -> None:
    rows = {row.field: row for row in entropy.rows(V8, SCHEMAS)}
    assert (rows["os"].count, rows["os"].scope) == (5, "install")
    assert round(rows["os"].worst, 2) == 2.32
    assert rows["os"].estimate < rows["os"].worst
    assert {"run_id", "install_id", "call_uid", "latency_ms"}.isdisjoint(rows)
    # Absent is a value of what a program says.
    assert rows["preambles_used"].count == 3
    models = json.loads((SCHEMAS / "models.json").read_text("ascii"))
    assert rows["llm_model"].count == sum(len(v["models"]) + 1 for v in models.values()) + 1
    assert entropy.table([*rows.values()]).count("\n") == len(rows) + 2


def test_more_values_of_an_install_go_over_the_budget() -> None:
    version = copy.deepcopy(V8)
    for schema in version.values():
        schema["properties"]["os"]["enum"] = [f"os_{number}" for number in range(20)]
    (problem,) = [p for p in entropy.problems(8, version, SCHEMAS) if "over 26" in p]
    assert "tell one install from another" in problem


def test_the_excess_that_is_accepted_does_not_grow() -> None:
    version = copy.deepcopy(V8)
    version["agent_configured"]["properties"]["brand_new"] = {
        "type": "boolean",
        "x-identity": "program",
    }
    assert any("over 153" in problem for problem in entropy.problems(8, version, SCHEMAS))


def test_the_next_version_has_no_excess_to_go_by() -> None:
    assert any("with one program only, over 26" in p for p in entropy.problems(9, V8, SCHEMAS))


def test_a_field_whose_values_cannot_be_counted_is_an_error() -> None:
    version = copy.deepcopy(V8)
    rule = version["sdk_initialized"]["properties"]["sdk_version"]
    version["sdk_initialized"]["properties"]["host"] = {**rule, "x-identity": "install"}
    with pytest.raises(ValueError, match="host: the schema does not bound"):
        entropy.problems(8, version, SCHEMAS)


def test_what_is_counted_by_hand_is_what_the_client_can_say(root: Path) -> None:
    """`ci` is false in what leaves, and a Python client knows no package manager of JavaScript."""
    from getpatter.telemetry import environment

    counted = json.loads((root / "schemas" / "budget.json").read_text("ascii"))["counted"]
    variables = ("POETRY_ACTIVE", "PIPENV_ACTIVE", "UV", "CONDA_DEFAULT_ENV", "NONE")
    said = {environment.package_manager({name: "1"}) for name in variables}
    assert said <= set(counted["package_manager"]["values"])
    for name, entry in counted.items():
        assert entry["why"].endswith("."), name
        assert len(entry.get("values", ())) <= entry["count"], name
