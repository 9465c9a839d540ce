"""Parity: what is said in several places is said alike, in two languages. `make parity`.

python schemas/parity.py            all checks; prints every problem, exit 1 if there is one
python schemas/parity.py --first    stop at the first problem
python schemas/parity.py NAME …     only these checks; an unknown NAME lists them
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import drafts
import entropy
import generate
import generate_calls
import golden
import governance
import history
import judges
import lint
import node
from jsonschema.exceptions import SchemaError

from getpatter.telemetry._tables import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
SCHEMAS = ROOT / "schemas"
DRAFTS = 10_000
# Of an earlier version, which no client sends any more.
DRAFTS_OF_EARLIER = 500
SEED = 8
# So many drafts on which the judges disagree are printed of a version: all say much the same.
EXAMPLES = 20
# What a file that is damaged, or that the scripts do not understand, can raise.
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, OSError, SchemaError)
OF_OUR_CLIENT = ("tests/contract/test_vectors.py", "tests/contract/test_page.py")
OF_THE_CHECKS = (
    *("tests/contract/test_parity.py", "tests/contract/test_schemas.py"),
    *("tests/contract/test_calls_schemas.py", "tests/contract/test_calls_tables.py"),
    "tests/parity",
)


def generated() -> list[str]:
    """Tables, documents, types, models and the tables of the page are those of the schemas."""
    differs = [made.main(["--check"]) for made in (generate_calls, generate)]
    return ["run `make generate`, once nothing above is an error"] if any(differs) else []


def governed() -> list[str]:
    """Released files are unchanged, nothing breaks, and what is collected more is said."""
    return governance.problems(ROOT, SCHEMA_VERSION)


def linted() -> list[str]:
    """Every schema is closed, bounded, described and clear to every validator."""
    versions = history.versions(SCHEMAS)
    return [p for n, folder in versions.items() for p in lint.lint(n, history.load(folder))]


def budgeted() -> list[str]:
    """The fields that stay the same are within the entropy budget."""
    versions = {n: history.load(folder) for n, folder in history.versions(SCHEMAS).items()}
    newest = max(versions)
    print(entropy.table(entropy.groups(versions[newest], SCHEMAS)))
    return entropy.problems(newest, versions, SCHEMAS)


def judged() -> list[str]:
    """`jsonschema`, `jsonschema-rs`, ajv and our own check say the same."""
    node.set_up()
    found = []
    for number, folder in history.versions(SCHEMAS).items():
        try:
            found += judged_version(number, folder)
        except DAMAGE as error:
            found.append(f"v{number}: {type(error).__name__}: {error}")
    return found


def judged_version(number: int, folder: Path) -> list[str]:
    """Return where the judges do not agree on drafts of a version, and on its vectors."""
    version = history.load(folder)
    is_ours = number == SCHEMA_VERSION
    texts = drafts.drafts(version, DRAFTS if is_ours else DRAFTS_OF_EARLIER, SEED)
    found = []
    if is_ours:
        vectors = {kind: golden.rows(kind) for kind in ("valid", "invalid")}
        texts += [json.dumps(row["event"]) for rows in vectors.values() for row in rows]
        found += judges.by_the_vectors(vectors["invalid"], version)
    said, disagreements = judges.verdicts(texts, version, ours=is_ours)
    valid = sum(said)
    if not len(texts) / 4 < valid < len(texts) * 3 / 4:
        found.append(f"v{number}: {valid} of {len(texts)} drafts are valid: they test too little")
    for text, ajv, python in zip(texts, node.verdicts(texts, folder), said, strict=True):
        if ajv is not python:
            disagreements.append(f"ajv says {ajv}, jsonschema {python}: {text}")
    print(f"v{number}: {len(texts)} events, {valid} of them valid")
    if len(disagreements) > EXAMPLES:
        disagreements[EXAMPLES:] = [f"and {len(disagreements) - EXAMPLES} more drafts of v{number}"]
    return found + disagreements


def recomputed() -> list[str]:
    """A client in JavaScript, written from the pages and the schemas, agrees with every vector."""
    node.set_up()
    return node.conform(ROOT)


def typed() -> list[str]:
    """The TypeScript declarations take the valid vectors and refuse the invalid ones."""
    node.set_up()
    return node.types(ROOT, SCHEMA_VERSION)


def agreeing() -> list[str]:
    """Our own client agrees with every vector, and with the tables of the pages."""
    return ended(start(*OF_OUR_CLIENT))


def tested() -> list[str]:
    """The generator and the files are sound, and `jsonsubschema` compares versions as we do."""
    return ended(start(*OF_THE_CHECKS, first=True))


def start(*paths: str, first: bool = False) -> subprocess.Popen[str]:
    """Start those tests in a process of their own."""
    flags = ("-q", "--tb=short", "-p", "no:cacheprovider", *(("-x",) if first else ()))
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *flags, *paths],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


def ended(tests: subprocess.Popen[str]) -> list[str]:
    """Wait for tests, show what they say, and return which failed."""
    said, _ = tests.communicate(timeout=600)
    print(said, end="")
    failed = [line for line in said.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return failed or (["the tests could not run"] if tests.returncode else [])


# What is quick comes first.
CHECKS: dict[str, Callable[[], list[str]]] = {
    check.__name__: check
    for check in (
        *(generated, governed, linted, budgeted, recomputed, judged, agreeing, typed, tested),
    )
}


def problems_of(check: Callable[[], list[str]]) -> list[str]:
    """Run a check; what stops it is its problem, and the others still run."""
    try:
        return check()
    except node.Missing as missing:
        return [str(missing)]
    except DAMAGE as error:
        # A file may be damaged in any way; which one, the check and the message say.
        return [f"{type(error).__name__}: {error}"]


def main(arguments: list[str]) -> int:
    """Run the checks; print every problem, and at the end which checks have any."""
    is_first = arguments == ["--first"]
    names = [*CHECKS] if is_first or not arguments else arguments
    if not set(names) <= set(CHECKS):
        sys.stderr.write(f"usage: parity.py [--first | {' | '.join(CHECKS)} …]\n")
        return 2
    begun = time.monotonic()
    # The longest check runs beside the others, on the second core; not if one may be enough.
    beside = start(*OF_THE_CHECKS) if "tested" in names and not is_first else None
    failed = {}
    for name in names:
        check = CHECKS[name]
        print(f"--> {CHECKS[name].__doc__}", flush=True)
        if name == "tested" and beside is not None:
            check = partial(ended, beside)
        problems = problems_of(check)
        for problem in problems:
            print(f"    {problem}")
        if problems:
            failed[name] = len(problems)
        if failed and is_first:
            break
    counts = ", ".join(f"{name} ({count})" for name, count in failed.items())
    word = "check" if len(failed) == 1 else "checks"
    state = f"{len(failed)} {word} failed: {counts}" if failed else "all checks passed"
    print(f"==> {state}, {time.monotonic() - begun:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
