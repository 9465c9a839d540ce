"""The page for privacy reviewers: its figures are those that are computed, its fields exist."""

import re
from pathlib import Path

import entropy
import history
import pytest

from getpatter.telemetry import env, places
from getpatter.telemetry._tables import SCHEMA_VERSION
from getpatter.telemetry.delivery.limits import BUFFER_RECORDS, SPOOL_SECONDS

ROOT = Path(__file__).parents[2]
PRIVACY = (ROOT / "docs" / "privacy.mdx").read_text("utf-8")
TELEMETRY = (ROOT / "docs" / "telemetry.mdx").read_text("utf-8")
SCHEMAS = ROOT / "schemas"
VERSION = history.load(SCHEMAS / f"v{SCHEMA_VERSION}")
FIELDS = {name: rule for schema in VERSION.values() for name, rule in schema["properties"].items()}


@pytest.mark.parametrize("page", [PRIVACY, TELEMETRY], ids=["privacy", "telemetry"])
def test_the_bits_are_those_that_are_computed(page: str) -> None:
    install = entropy.most(VERSION, SCHEMAS, entropy.INSTALL)
    both = entropy.most(VERSION, SCHEMAS)
    assert re.findall(r"([\d.]+) bits", page) == [f"{install:.1f}", f"{both:.0f}"]
    assert f"{2**install / 1e6:.0f} million" in page
    assert "could be known again" in page.replace("\n", " ")


def test_what_is_exact_is_said_to_be() -> None:
    """Every field that is a number, and no other, stands among the exact ones."""
    row = next(line for line in PRIVACY.splitlines() if line.startswith("| measured values"))
    named = set(re.findall(r"`([a-z_]+)`", row)) | {"builtin_tool_count"}
    assert "**exact**" in row
    assert "`builtin_tool_count` is exact" in PRIVACY
    numbers = {
        name
        for name, rule in FIELDS.items()
        if rule.get("type") in ("integer", "number") and "enum" not in rule and "const" not in rule
    }
    assert named == numbers
    for name in ("duration_seconds", "cost_usd", "latency_ms"):
        assert f"`{name}`" in TELEMETRY.split("## Every field")[0]


def test_its_fields_are_fields() -> None:
    said = set(re.findall(r"`([a-z]+(?:_[a-z0-9]+)+)`", PRIVACY))
    assert said <= FIELDS.keys()


def test_the_ids_are_those_that_the_schemas_declare_random() -> None:
    row = next(line for line in PRIVACY.splitlines() if line.startswith("| identifiers"))
    ids = {name for name, rule in FIELDS.items() if rule["x-identity"] == "random"}
    assert set(re.findall(r"`([a-z_]+)`", row)) == ids


def test_its_purposes_are_those_of_the_schemas() -> None:
    (said,) = re.findall(r"`x-purpose`: ([^)]*)\)", PRIVACY.replace("\n", " "))
    assert set(re.split(r", (?:or )?", said)) == {rule["x-purpose"] for rule in FIELDS.values()}


def test_its_bounds_are_those_of_the_code() -> None:
    assert f"for {env.GRACE:g} seconds" in PRIVACY
    assert f"at most {places.LEDGER_BYTES // 1_024} KiB" in PRIVACY
    assert f"at most {BUFFER_RECORDS:,}" in PRIVACY
    assert f"at most {SPOOL_SECONDS // 86_400} days" in PRIVACY


@pytest.mark.parametrize(
    "subject",
    ["13(1)(a)", "13(1)(b)", "13(1)(c)", "13(1)(e)", "13(1)(f)", "13(2)(a)", "13(2)(d)", "25"],
)
def test_it_answers_what_the_articles_ask(subject: str) -> None:
    assert f"{subject}" in PRIVACY


def test_it_is_linked() -> None:
    assert "(docs/privacy.mdx)" in (ROOT / "README.md").read_text("utf-8")
    assert "(privacy.mdx" in TELEMETRY
