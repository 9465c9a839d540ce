"""Parity: what is said in several places is said alike, in two languages. `make parity`.

python schemas/parity.py           all steps; exit 1 if anything does not hold
python schemas/parity.py --first   stop at the first step that does not hold
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
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

from getpatter.telemetry._tables import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
SCHEMAS = ROOT / "schemas"
DRAFTS = 10_000
# Of an earlier version, which no client sends any more.
DRAFTS_OF_EARLIER = 500
SEED = 8
OF_OUR_CLIENT = ("tests/contract/test_vectors.py", "tests/contract/test_page.py")
OF_THE_CHECKS = (
    *("tests/contract/test_parity.py", "tests/contract/test_schemas.py"),
    *("tests/contract/test_calls_schemas.py", "tests/contract/test_calls_tables.py"),
    "tests/parity",
)


def generated() -> list[str]:
    """Tables, documents, types, models and the tables of the page are those of the schemas."""
    differs = [made.main(["--check"]) for made in (generate_calls, generate)]
    return ["run `make generate`"] if any(differs) else []


def governed() -> list[str]:
    """Released files are unchanged, nothing breaks, and what is collected more is said."""
    return governance.problems(ROOT, SCHEMA_VERSION)


def linted() -> list[str]:
    """Every schema is closed, bounded, described and clear to every validator."""
    versions = history.versions(SCHEMAS)
    return [p for n, folder in versions.items() for p in lint.lint(n, history.load(folder))]


def budgeted() -> list[str]:
    """The fields that stay the same are within the entropy budget."""
    newest = max(history.versions(SCHEMAS))
    version = history.load(SCHEMAS / f"v{newest}")
    print(entropy.table(entropy.rows(version, SCHEMAS)))
    return entropy.problems(newest, version, SCHEMAS)


def judged() -> list[str]:
    """`jsonschema`, `jsonschema-rs`, ajv and our own check say the same."""
    node.set_up()
    found = []
    for number, folder in history.versions(SCHEMAS).items():
        version = history.load(folder)
        is_ours = number == SCHEMA_VERSION
        texts = drafts.drafts(version, DRAFTS if is_ours else DRAFTS_OF_EARLIER, SEED)
        if is_ours:
            vectors = {kind: golden.rows(kind) for kind in ("valid", "invalid")}
            texts += [json.dumps(row["event"]) for rows in vectors.values() for row in rows]
            found += judges.by_the_vectors(vectors["invalid"], version)
        said, problems = judges.verdicts(texts, version, ours=is_ours)
        found += problems
        valid = sum(said)
        if not len(texts) / 4 < valid < len(texts) * 3 / 4:
            found.append(
                f"v{number}: {valid} of {len(texts)} drafts are valid: they test too little"
            )
        for text, ajv, python in zip(texts, node.verdicts(texts, folder), said, strict=True):
            if ajv is not python:
                found.append(f"ajv says {ajv}, jsonschema {python}: {text}")
        print(f"v{number}: {len(texts)} events, {valid} of them valid")
    return found


def recomputed() -> list[str]:
    """A client in JavaScript, written from the page and the schemas, agrees with every vector."""
    node.set_up()
    return node.conform(ROOT)


def typed() -> list[str]:
    """The TypeScript declarations take the valid vectors and refuse the invalid ones."""
    node.set_up()
    return node.types(ROOT, SCHEMA_VERSION)


def agreeing() -> list[str]:
    """Our own client agrees with every vector, and with the tables of the page."""
    return ended(start(*OF_OUR_CLIENT))


def tested() -> list[str]:
    """The generator and the files are sound, and `jsonsubschema` compares versions as we do."""
    return ended(start(*OF_THE_CHECKS))


def start(*paths: str) -> subprocess.Popen[str]:
    """Start those tests in a process of their own."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *paths]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
    )


def ended(tests: subprocess.Popen[str]) -> list[str]:
    """Wait for tests and show what they say."""
    said, _ = tests.communicate(timeout=600)
    print(said, end="")
    return ["a test failed"] if tests.returncode else []


# What is quick comes first.
STEPS: tuple[Callable[[], list[str]], ...] = (
    *(generated, governed, linted, budgeted, recomputed, judged, agreeing, typed, tested),
)


def main(arguments: list[str]) -> int:
    """Run the steps; say of each what does not hold."""
    if arguments not in ([], ["--first"]):
        sys.stderr.write("usage: parity.py [--first]\n")
        return 2
    begun = time.monotonic()
    # The longest step runs beside the others, on the second core; not if one may be enough.
    beside = None if arguments else start(*OF_THE_CHECKS)
    failed = 0
    for step in STEPS:
        print(f"--> {step.__doc__}", flush=True)
        try:
            problems = step() if beside is None or step is not tested else ended(beside)
        except node.Missing as missing:
            problems = [str(missing)]
        except (ValueError, KeyError, TypeError, OSError) as error:
            # A file may be damaged in any way; which one, the step and the message say.
            problems = [f"{type(error).__name__}: {error}"]
        for problem in problems[:20]:
            print(f"    {problem}")
        if len(problems) > 20:
            print(f"    and {len(problems) - 20} more")
        failed += bool(problems)
        if failed and arguments:
            break
    state = f"{failed} steps do not hold" if failed else "all of it holds"
    print(f"==> {state}, {time.monotonic() - begun:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
