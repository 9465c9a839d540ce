"""The checks of `make parity` that need no Node: each holds now, and is shown to fail."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import entropy
import golden
import governance
import history
import judges
import lint
import mutants
import node
import pytest

from getpatter.telemetry._tables import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "schemas"
VERSIONS = {number: history.load(folder) for number, folder in history.versions(SCHEMAS).items()}
NEWEST = VERSIONS[SCHEMA_VERSION]
FOLDER = f"v{SCHEMA_VERSION}"
NEXT = SCHEMA_VERSION + 1


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
    for number, version in VERSIONS.items():
        assert lint.lint(number, version) == []
    assert entropy.problems(SCHEMA_VERSION, VERSIONS, SCHEMAS) == []


# released files


@pytest.mark.parametrize("version", ["v5", "v7"])
def test_a_released_file_never_changes_not_even_a_word(root: Path, version: str) -> None:
    path = root / "schemas" / version / "first_run.schema.json"
    change(path, "tried out", "tried")
    found = governance.problems(root, SCHEMA_VERSION)
    assert found == [f"{version}/first_run.schema.json has changed since it was released"]


def test_a_released_file_is_neither_added_nor_removed(root: Path) -> None:
    (root / "schemas" / "v7" / "first_run.schema.json").rename(
        root / "schemas" / "v7" / "second_run.schema.json"
    )
    found = " ".join(governance.problems(root, SCHEMA_VERSION))
    assert "v7/first_run.schema.json has changed" in found
    assert "v7/second_run.schema.json has changed" in found


def test_the_words_of_an_accepted_version_are_open_and_what_it_accepts_is_not(root: Path) -> None:
    governance.accept(root / "schemas", SCHEMA_VERSION)
    path = root / "schemas" / FOLDER / "first_run.schema.json"
    change(path, "tried out", "tried")
    assert governance.problems(root, SCHEMA_VERSION) == []
    change(path, '"maxLength": 32', '"maxLength": 31')
    assert f"{FOLDER}: what it accepts has changed" in governance.problems(root, SCHEMA_VERSION)[0]


def test_a_release_closes_the_words_too(root: Path) -> None:
    governance.release(root / "schemas", SCHEMA_VERSION)
    assert governance.problems(root, SCHEMA_VERSION) == []
    change(root / "schemas" / FOLDER / "first_run.schema.json", "tried out", "tried")
    assert governance.problems(root, SCHEMA_VERSION) == [
        f"{FOLDER}/first_run.schema.json has changed since it was released"
    ]


def test_a_version_without_a_record_is_noticed(root: Path) -> None:
    shutil.copytree(root / "schemas" / FOLDER, root / "schemas" / f"v{NEXT}")
    found = governance.problems(root, SCHEMA_VERSION)
    assert any("released.json has 5, 7, 8" in said for said in found)


def test_one_problem_does_not_hide_the_others(root: Path) -> None:
    (root / "schemas" / "v5").rename(root / "schemas" / "v4")
    change(root / "schemas" / "v7" / "first_run.schema.json", '"maxLength": 32', '"maxLength": 31')
    change(root / "CHANGELOG.md", f"Event schema: v{SCHEMA_VERSION}.", "")
    found = " ".join(governance.problems(root, SCHEMA_VERSION))
    for said in ("released.json has", "v7/first_run", "v4 → v7 breaks", "changelog does not begin"):
        assert said in found, said


# from one version to the next


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The next version, as `make schema-version` begins it, in a copy."""
    place = tmp_path_factory.mktemp("begun")
    mutants.copy(place)
    governance.accept(place / "schemas", SCHEMA_VERSION)
    code, said = mutants.run(place, "schemas/next_version.py")
    assert code == 0, said
    assert f"v{NEXT} is begun" in said
    return place


@pytest.fixture
def following(begun: Path, tmp_path: Path) -> Path:
    """A copy of it, to change things in."""
    ignored = shutil.ignore_patterns("node_modules", "__pycache__")
    shutil.copytree(begun / "schemas", tmp_path / "schemas", ignore=ignored)
    shutil.copy(begun / "CHANGELOG.md", tmp_path)
    return tmp_path


def problems_of(root: Path, path: str, old: str, new: str) -> list[str]:
    change(root / "schemas" / f"v{NEXT}" / path, old, new)
    return governance.problems(root, NEXT)


def collect(root: Path, **entry: object) -> None:
    """Put one entry into changes.json."""
    path = root / "schemas" / "changes.json"
    found = json.loads(path.read_text("ascii"))
    path.write_text(json.dumps({**found, f"{NEXT}": [entry]}), "ascii")


def note(root: Path, text: str) -> None:
    """Put a line about the next version into the changelog."""
    change(root / "CHANGELOG.md", "### Changed\n", f"### Changed\n\n- Schema v{NEXT}: {text}.")


def test_a_next_version_can_be_made(following: Path) -> None:
    assert governance.problems(following, NEXT) == []
    versions = {n: history.load(f) for n, f in history.versions(following / "schemas").items()}
    assert lint.lint(NEXT, versions[NEXT]) == []
    assert entropy.problems(NEXT, versions, following / "schemas") == []


def test_a_next_version_is_all_there(begun: Path) -> None:
    """The tables, the documents, the page and the types too: nothing is left to generate."""
    checks = ("generated", "governed", "linted", "budgeted")
    code, said = mutants.run(begun, "schemas/parity.py", *checks)
    assert code == 0, said
    schemas = begun / "schemas"
    assert f"schemas/v{NEXT}" in (begun / "docs" / "telemetry.mdx").read_text("utf-8")
    assert (schemas / "types" / f"v{NEXT}.d.ts").exists()
    version = history.load(schemas / f"v{NEXT}")
    vectors = schemas / "vectors" / f"v{NEXT}"
    assert judges.by_the_vectors(golden.rows("invalid", vectors), version) == []
    judge = judges.by_jsonschema(version)
    valid = golden.rows("valid", vectors)
    assert [row["name"] for row in valid if judge(row["event"]) is not None] == []
    assert len(valid) == len(golden.rows("valid"))


def test_a_version_under_way_is_not_copied(begun: Path) -> None:
    code, said = mutants.run(begun, "schemas/next_version.py")
    assert (code, said) == (
        1,
        f"v{NEXT} is still under way: change it, there is nothing to copy yet\n",
    )
    assert not (begun / "schemas" / f"v{NEXT + 1}").exists()


def test_an_earlier_version_that_is_under_way_is_noticed(following: Path) -> None:
    path = following / "schemas" / "released.json"
    record = json.loads(path.read_text("ascii"))
    del record[f"{SCHEMA_VERSION}"]["rules"]
    path.write_text(json.dumps(record), "ascii")
    assert governance.problems(following, NEXT) == [
        f"{FOLDER} is under way, and there is a newer one: record what it accepts"
    ]


def test_a_breaking_change_fails(following: Path) -> None:
    found = problems_of(following, "config_incomplete.schema.json", '"llm_key",', "")
    assert found == [f"{FOLDER} → v{NEXT} breaks config_incomplete.missing=llm_key: value removed"]


def test_a_widening_needs_its_words_in_the_notice_and_in_the_changelog(following: Path) -> None:
    path = "config_incomplete.schema.json"
    found = problems_of(following, path, '"llm_key",', '"llm_key", "network",')
    assert len(found) == 2
    widening = f"v{NEXT} collects config_incomplete.missing=network"
    assert all(widening in problem for problem in found)
    named = "config_incomplete.missing=network"
    collect(following, collects=[named], text="`missing`: also this")
    (unnamed, unsaid) = governance.problems(following, NEXT)
    assert "the words do not name" in unnamed
    assert "changelog" in unsaid
    collect(following, collects=[named], text="`missing` may be `network`")
    note(following, "`missing` is `network`")
    assert governance.problems(following, NEXT) == []


def test_words_for_what_is_not_collected_fail(following: Path) -> None:
    collect(following, collects=["*.host_name"], text="`host_name`: the name of the machine")
    assert governance.problems(following, NEXT) == [
        f"changes.json, {NEXT}: *.host_name is nothing that v{NEXT} collects more"
    ]


def test_since_is_the_first_version_that_has_it(following: Path) -> None:
    found = problems_of(
        following, "config_incomplete.schema.json", '"x-since": 8', f'"x-since": {NEXT}'
    )
    assert found == [f"v{NEXT} config_incomplete: x-since is not 8"]


# what is collected less

MARK = '"x-identity": "program",\n      "type": "integer"'


def retire(root: Path, mark: str) -> list[str]:
    """Mark `builtin_tool_count` in the next version."""
    changed = MARK.replace('"type"', f'{mark},\n      "type"')
    return problems_of(root, "agent_configured.schema.json", MARK, changed)


def test_a_retired_field_needs_a_line_in_the_changelog_and_none_in_the_notice(
    following: Path,
) -> None:
    (problem,) = retire(following, f'"x-retired": {NEXT}')
    assert f"v{NEXT} collects less of agent_configured.builtin_tool_count" in problem
    note(following, "`builtin_tool_count` is no longer sent")
    assert governance.problems(following, NEXT) == []


def test_a_retired_field_says_since_when(following: Path) -> None:
    found = retire(following, f'"x-retired": {SCHEMA_VERSION}')
    assert any("x-retired is not the first version that has it" in problem for problem in found)


def test_a_mark_without_what_it_says_fails(following: Path) -> None:
    (problem,) = retire(following, f'"x-coarser": {NEXT}')
    assert problem == (
        f"v{NEXT} agent_configured.builtin_tool_count is marked as collected less, and is not"
    )


def test_a_coarser_field_needs_a_line_in_the_changelog(following: Path) -> None:
    retire(following, f'"x-coarser": {NEXT}')
    found = problems_of(
        following, "agent_configured.schema.json", '"maximum": 1000', '"maximum": 100'
    )
    assert found == [
        (
            f"v{NEXT} collects less of agent_configured.builtin_tool_count: "
            f"no line about schema v{NEXT} in the changelog"
        )
    ]
    note(following, "`builtin_tool_count` is at most 100")
    assert governance.problems(following, NEXT) == []


def test_without_its_mark_it_breaks(following: Path) -> None:
    found = problems_of(
        following, "agent_configured.schema.json", '"maximum": 1000', '"maximum": 100'
    )
    assert found == [
        f"{FOLDER} → v{NEXT} breaks agent_configured.builtin_tool_count: upper bound stricter"
    ]


@pytest.mark.parametrize(
    ("path", "old", "new", "problem"),
    [
        ("CHANGELOG.md", f"Event schema: {FOLDER}.", "Event schema: v7.", "does not begin"),
        ("CHANGELOG.md", "`error_layer`, `disconnect_reason`,", "", "call_completed.error_layer"),
        ("CHANGELOG.md", " and the values `hermes`", "", "cli_command=hermes"),
        ("schemas/changes.json", "*.call_uid", "call_started.call_uid", "call_completed.call_uid"),
        ("schemas/changes.json", "`error_layer`, ", "", "do not name call_completed.error_layer"),
    ],
)
def test_words_that_go_are_missed(root: Path, path: str, old: str, new: str, problem: str) -> None:
    change(root / path, old, new)
    assert any(problem in found for found in governance.problems(root, SCHEMA_VERSION))


def test_a_client_of_another_version_is_noticed(root: Path) -> None:
    assert governance.problems(root, 7) == [
        f"the client sends v7, and the newest schemas are {FOLDER}"
    ]


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
    "x-since is no version": of("outcome", **{"x-since": NEXT}),
    "x-retired is no version": of("outcome", **{"x-retired": NEXT}),
    "x-coarser is no version": of("outcome", **{"x-coarser": 5}),
    "requires os, which is retired": of("os", **{"x-retired": SCHEMA_VERSION}),
    "are marks of a field": lambda s: s.update({"x-retired": SCHEMA_VERSION}),
    "begins with the highest": of("outcome", enum=[0.1, 0.5]),
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
    version = copy.deepcopy(NEWEST)
    edit(version["call_completed"])
    found = lint.lint(SCHEMA_VERSION, version)
    assert any(problem in said for said in found), found


def test_a_schema_that_cannot_be_read_does_not_hide_what_is_wrong_with_others() -> None:
    version = copy.deepcopy(NEWEST)
    del version["agent_configured"]["properties"]["schema_version"]
    version["call_completed"]["type"] = "no_such_type"
    version["first_run"]["description"] = "No sentence"
    found = lint.lint(SCHEMA_VERSION, version)
    assert [said.split(":")[0] for said in found] == [
        f"{FOLDER} agent_configured",
        f"{FOLDER} call_completed",
        f"{FOLDER} first_run",
    ]


def test_lint_takes_released_lists_as_they_are() -> None:
    """v5 had lists without `other`; it is what it is."""
    v5 = history.load(SCHEMAS / "v5")
    assert "other" not in v5["call_started"]["properties"]["carrier"]["enum"]
    assert lint.lint(5, v5) == []


# the budget


def rows_of(version: dict[str, Any]) -> dict[str, entropy.Row]:
    return {row.field: row for group in entropy.groups(version, SCHEMAS) for row in group.rows}


def budget_of(version: dict[str, Any], number: int = SCHEMA_VERSION) -> list[str]:
    earlier = {n: found for n, found in VERSIONS.items() if n < number}
    return entropy.problems(number, {**earlier, number: version}, SCHEMAS)


def add(
    version: dict[str, Any], name: str, event: str = "agent_configured", **rule: object
) -> None:
    version[event]["properties"][name] = {"type": "boolean", "x-identity": "program", **rule}


def test_the_budget_counts_what_stays_the_same() -> None:
    rows = rows_of(VERSIONS[8])
    assert (rows["os"].count, rows["os"].scope) == (5, "install")
    assert round(rows["os"].worst, 2) == 2.32
    assert rows["os"].estimate < rows["os"].worst
    assert {"run_id", "install_id", "call_uid", "latency_ms"}.isdisjoint(rows)
    # Absent is a value of what a program says.
    assert rows["preambles_used"].count == 3
    models = json.loads((SCHEMAS / "models.json").read_text("ascii"))
    assert rows["llm_model"].count == sum(len(v["models"]) + 1 for v in models.values()) + 1
    (group,) = entropy.groups(VERSIONS[8], SCHEMAS)
    assert entropy.table([group]).count("\n") == len(rows) + 3


def test_more_values_of_an_install_go_over_the_budget() -> None:
    version = copy.deepcopy(NEWEST)
    for schema in version.values():
        if "os" in schema["properties"]:
            schema["properties"]["os"]["enum"] = [f"os_{number}" for number in range(5_000)]
    assert any("tell one install from another, over 26" in said for said in budget_of(version))


def test_what_is_recorded_does_not_grow() -> None:
    version = copy.deepcopy(VERSIONS[8])
    add(version, "brand_new")
    assert any("over 153" in problem for problem in budget_of(version, 8))


def test_a_version_says_at_most_as_much_as_the_one_before() -> None:
    version = copy.deepcopy(NEWEST)
    assert budget_of(version, NEXT) == []
    version["call_completed"]["properties"]["brand_new_ms"] = {
        **version["call_completed"]["properties"]["latency_ms"]
    }
    assert budget_of(version, NEXT) == []  # what varies from call to call tells nothing of whom
    for event in version:
        add(version, "brand_new", event)
    (problem,) = budget_of(version, NEXT)
    assert f"of {FOLDER}; if it must be, record it in budget.json" in problem


def test_what_is_retired_says_nothing() -> None:
    version = copy.deepcopy(NEWEST)
    for event in version:
        add(version, "brand_new", event, **{"x-retired": NEXT})
    assert budget_of(version, NEXT) == []


def test_more_is_allowed_where_it_is_recorded_with_a_reason(root: Path) -> None:
    version = copy.deepcopy(NEWEST)
    for event in version:
        add(version, "brand_new", event)
    versions = {**VERSIONS, NEXT: version}
    path = root / "schemas" / "budget.json"
    budget = json.loads(path.read_text("ascii"))
    for why, count in (("It must be.", 0), ("no sentence", 1)):
        budget["accepted_bits"][f"{NEXT}"] = {"bits": 200, "why": why}
        path.write_text(json.dumps(budget), "ascii")
        assert len(entropy.problems(NEXT, versions, root / "schemas")) == count


def test_events_without_a_common_id_are_counted_apart() -> None:
    version = copy.deepcopy(VERSIONS[8])
    shape = version["agent_configured"]["properties"]
    for name in ("run_id", "install_id"):
        shape[name]["x-retired"] = 8
    first, second = entropy.groups(version, SCHEMAS)
    assert second.events == ("agent_configured",)
    assert second.ids == ()
    assert "builtin_tool_count" not in {row.field for row in first.rows}
    # By way of a third one that has both ids, two events without a common one are joined.
    del shape["run_id"]["x-retired"]
    for name in ("install_id", "run_id"):
        version["first_run"]["properties"][name]["x-retired"] = 8
    del version["first_run"]["properties"]["install_id"]["x-retired"]
    assert len(entropy.groups(version, SCHEMAS)) == 1


def test_what_follows_another_field_counts_where_that_one_is_not() -> None:
    version = copy.deepcopy(VERSIONS[8])
    assert rows_of(version)["stt_provider"].count == 1
    version["feature_used"]["properties"]["stt_model"]["x-retired"] = 8
    vendors = len(version["feature_used"]["properties"]["stt_provider"]["enum"])
    assert rows_of(version)["stt_provider"].count == vendors + 1


def test_a_field_whose_values_cannot_be_counted_is_an_error() -> None:
    version = copy.deepcopy(NEWEST)
    rule = version["sdk_initialized"]["properties"]["sdk_version"]
    version["sdk_initialized"]["properties"]["host"] = {**rule, "x-identity": "install"}
    with pytest.raises(ValueError, match="host: the schema does not bound"):
        budget_of(version)


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
