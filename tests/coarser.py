"""The coarser version that schemas/README.md proposes, made by hand as its steps say.

`make` works in a copy of the repository: it begins the next version as `make schema-version`
does, and edits it. Once that is the newest one, this file and its tests have done their work and
go.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import golden
import governance
import history
import judges
import mutants
import next_version

if TYPE_CHECKING:
    from pathlib import Path

NEW = golden.NEWEST + 1
STEPS = [0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001]
INSTALL = ("first_run", "sdk_initialized", "config_incomplete", "cli_command")
CALLS = ("call_started", "call_completed")
# What no longer stands on an event. Those of an install keep `install_id`, those of a call
# `run_id`, and neither carries both; those of an agent carry no id at all.
RETIRED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(INSTALL, ("run_id",)),
    **dict.fromkeys(CALLS, ("install_id", "arch", "runtime", "ci")),
    "agent_configured": (
        *("run_id", "install_id", "sdk_version", "os", "arch", "runtime", "runtime_version", "ci"),
        "builtin_tool_count",
    ),
    "feature_used": (
        *("run_id", "install_id", "os", "arch", "runtime", "runtime_version", "ci"),
        *("stt_model", "tts_model", "llm_model"),
    ),
}
for _event in ("first_run", "sdk_initialized"):
    RETIRED[_event] = (*RETIRED[_event], "carrier", "tunnel")

COLLECTS: list[dict[str, Any]] = [
    {
        "collects": ["model_used"],
        "text": "`model_used`: each public model by itself, not beside the others of an agent",
    },
    {
        "collects": ["agent_configured.builtin_tool_count_bucket"],
        "text": "`builtin_tool_count_bucket`: a range in place of `builtin_tool_count`",
    },
    {
        "collects": ["feature_used.tunnel"],
        "text": "`tunnel`: with the parts of an agent, no longer with the install",
    },
]
CHANGELOG = f"""\
- Schema v{NEW} collects `model_used`, `builtin_tool_count_bucket`, and `tunnel` in `feature_used`.
- Schema v{NEW} no longer sends {{retired}} on some events, and `sample_rate` is one of nine steps.
"""


def make(root: Path) -> None:
    """Make the version in a copy of the repository: what is mechanical, by hand, and generated."""
    governance.accept(root / "schemas", NEW - 1)
    for step in ("schemas/next_version.py", None, "schemas/generate.py"):
        if step is None:
            edit(root)
            continue
        code, said = mutants.run(root, step)
        assert code == 0, said


def edit(root: Path) -> None:
    """Do what is left by hand: schemas, words, vectors, budget, and the least of the code."""
    folder = root / "schemas" / f"v{NEW}"
    version = history.load(folder)
    for event, names in RETIRED.items():
        schema = version[event]
        for name in names:
            schema["properties"][name]["x-retired"] = NEW
        schema["required"] = [name for name in schema["required"] if name not in names]
    for event in CALLS:
        coarser(version[event]["properties"]["sample_rate"])
    agent = version["agent_configured"]["properties"]
    agent["builtin_tool_count_bucket"] = {
        **agent["custom_tool_count_bucket"],
        "description": "Number of tools of the library itself that the agent has, as a range.",
        "x-question": agent["builtin_tool_count"]["x-question"],
        "x-since": NEW,
    }
    tunnel = dict(version["first_run"]["properties"]["tunnel"])
    del tunnel["x-retired"]
    version["feature_used"]["properties"]["tunnel"] = tunnel
    version["model_used"] = model_used(version)
    for event, schema in version.items():
        next_version.write(folder / f"{event}.schema.json", schema)
    write_words(root / "schemas", root / "CHANGELOG.md")
    write_code(root)
    write_vectors(root / "schemas" / "vectors" / f"v{NEW}", version)


def coarser(rule: dict[str, Any]) -> None:
    """Allow steps in place of any number."""
    for keyword in ("type", "exclusiveMinimum", "exclusiveMaximum"):
        del rule[keyword]
    rule.update({"x-coarser": NEW, "enum": STEPS})


def model_used(version: history.Version) -> dict[str, Any]:
    """Return the schema of the new event."""
    source = version["feature_used"]
    carried = ("event", "schema_version", "sdk", "sdk_version", "os", "runtime_version")
    of_install = version["first_run"]["properties"]
    fields = {name: dict(of_install[name]) for name in carried}
    fields["event"].update({"const": "model_used", "x-since": NEW})
    own = {"x-since": NEW, "x-purpose": "compatibility", "x-owner": "agents"}
    fields["layer"] = {
        "description": "What the model is used for.",
        "x-question": "For what are which models used?",
        **own,
        "x-identity": "program",
        "enum": ["stt", "tts", "llm", "other"],
    }
    model = {**source["properties"]["llm_model"], "x-since": NEW}
    del model["x-retired"]
    model["description"] = "Public name of a model, `vendor-model`; any other is `vendor-other`."
    model["x-question"] = "Which models should be the default and be tested?"
    fields["model"] = model
    return {
        "$schema": source["$schema"],
        "$id": source["$id"].replace("feature_used", "model_used"),
        "title": source["title"].replace("feature_used", "model_used"),
        "description": "One model that an agent uses, by itself.",
        "x-question": "Which models are used?",
        **own,
        "x-when": "When an agent is configured: once per distinct model.",
        "type": "object",
        "required": list(carried),
        "additionalProperties": False,
        "properties": fields,
    }


def write_words(schemas: Path, changelog: Path) -> None:
    """Write the lines of the notice and of the changelog, and how the new fields are counted."""
    changes = json.loads((schemas / "changes.json").read_text("ascii"))
    next_version.write(schemas / "changes.json", {**changes, f"{NEW}": COLLECTS})
    names = dict.fromkeys(name for event in RETIRED.values() for name in event)
    lines = CHANGELOG.format(retired=", ".join(f"`{name}`" for name in names))
    stub = f"- {next_version.BEGUN.format(old=NEW - 1, new=NEW)}\n"
    text = changelog.read_text("utf-8")
    assert stub in text
    changelog.write_text(text.replace(stub, lines), "utf-8")
    budget = json.loads((schemas / "budget.json").read_text("ascii"))
    budget["models"]["model"] = ""
    next_version.write(schemas / "budget.json", budget)


def write_code(root: Path) -> None:
    """Name the new event where the code and the page name all of them."""
    names = root / "getpatter" / "telemetry" / "events.py"
    insert(names, 'EVENT_FIRST_RUN = "first_run"\n', 'EVENT_MODEL_USED = "model_used"\n')
    page = root / "docs" / "telemetry.mdx"
    insert(page, "| event | when |\n| --- | --- |\n", "| `model_used` | once per model |\n")


def insert(path: Path, after: str, line: str) -> None:
    """Insert a line after another one."""
    text = path.read_text("utf-8")
    assert text.count(after) == 1, path
    path.write_text(text.replace(after, after + line), "utf-8")


def write_vectors(folder: Path, version: history.Version) -> None:
    """Change what no longer holds, as `make parity` names it, and add what is new."""
    judge = judges.by_jsonschema(version)
    expected = json.loads((folder / "expected.json").read_text("ascii"))
    valid, invalid = (json.loads((folder / f"{k}.json").read_text("ascii")) for k in expected)
    for event in valid:
        if "sample_rate" in event:
            event["sample_rate"] = 0.1
        if event["event"] == "agent_configured":
            event["builtin_tool_count_bucket"] = "2_3"
        if event["event"] == "feature_used":
            event["tunnel"] = "configured"
    fields = ("schema_version", "sdk", "sdk_version", "os", "runtime_version")
    used = {"event": "model_used", **{name: valid[0][name] for name in fields}}
    add(valid, expected["valid"], used | {"layer": "stt", "model": "deepgram-nova-3"}, "model_used")
    for name, changed in (
        ("a model of nobody's layer", {"layer": "vad"}),
        ("a number of tools", {"event": "agent_configured", "builtin_tool_count_bucket": 2}),
    ):
        add(invalid, expected["invalid"], used | changed, name)
    for number in range(len(invalid) - 1, -1, -1):
        said = judge(invalid[number])
        if said is None:  # without `run_id`, which an event of the install may be now
            del invalid[number], expected["invalid"][number]
        else:
            expected["invalid"][number].update(pointer=said[0], rule=said[1])
    next_version.write_rows(folder / "valid.json", valid)
    next_version.write_rows(folder / "invalid.json", invalid)
    next_version.write(folder / "expected.json", expected)


def add(events: list[Any], rows: list[Any], event: object, name: str) -> None:
    """Add a vector."""
    events.append(event)
    rows.append({"name": name})
