"""What Node says: whether its packages are there, ajv's verdicts, the vectors, the types.

Sets its packages up by itself, in `schemas/node/node_modules`. Nothing else needs Node.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import golden

FOLDER = Path(__file__).resolve().parent / "node"
OLDEST_NODE = 18  # ajv and the compiler run on any that is still kept up
# Keywords that a type can express: what breaks one of these must not compile.
IN_TYPES = frozenset({"type", "enum", "const", "required", "additionalProperties"})


class Missing(Exception):  # noqa: N818 - said in these words
    """What has to be there, and is not."""


def run(*command: str, text: str | None = None, cwd: Path = FOLDER) -> tuple[int, str]:
    """Run a command; return its exit code and all that it wrote."""
    done = subprocess.run(
        command,
        check=False,
        cwd=cwd,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=300,
    )
    return done.returncode, done.stdout


def set_up() -> None:
    """Install the packages, once for each state of package.json. Raises Missing."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        message = (
            f"Node is missing: parity needs `node` ({OLDEST_NODE} or newer) and `npm` on the PATH "
            "to judge with ajv and to check the types. `make test` and `make demo` do not."
        )
        raise Missing(message)
    code, version = run("node", "--version")
    if code or int(version.strip().lstrip("v").partition(".")[0]) < OLDEST_NODE:
        message = f"Node {version.strip()} is too old: parity needs {OLDEST_NODE} or newer."
        raise Missing(message)
    wanted = (FOLDER / "package.json").read_text("utf-8")
    stamp = FOLDER / "node_modules" / ".ready"
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return
    code, said = run(
        *("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts")
    )
    if code:
        message = f"npm could not install what schemas/node/package.json names:\n{said}"
        raise Missing(message)
    stamp.write_text(wanted, "utf-8")


def verdicts(texts: list[str], folder: Path) -> list[bool]:
    """Return what ajv says of each text by the schemas in `folder`. Raises ValueError."""
    code, said = run("node", "judge.mjs", str(folder), text="".join(f"{t}\n" for t in texts))
    found = [line == "1" for line in said.split()]
    if code or len(found) != len(texts):
        message = f"ajv does not compile or judge {folder.name}:\n{said}"
        raise ValueError(message)
    return found


def conform(root: Path) -> list[str]:
    """Return where the client that was written from the pages does not agree with the vectors.

    It runs on a copy of the pages and of the schemas, so that there is nothing else to look at.
    """
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "docs").mkdir()
        for page in ("rules.mdx", "telemetry.mdx"):
            shutil.copy(root / "docs" / page, place / "docs")
        ignored = shutil.ignore_patterns("node_modules", "*.py", "__pycache__", "changes.json")
        shutil.copytree(root / "schemas", place / "schemas", ignore=ignored)
        code, said = run("node", "conform.mjs", str(place))
    return said.splitlines() if code else []


def types(root: Path, number: int) -> list[str]:
    """Return where the compiler and the vectors do not agree on the generated types."""
    vectors = root / "schemas" / "vectors" / f"v{number}"
    valid, invalid = golden.rows("valid", vectors), golden.rows("invalid", vectors)
    lines = ['import type { TelemetryEvent } from "./events";']
    for index, row in enumerate(valid):
        lines += [f"// {row['name']}", f"export const v{index}: TelemetryEvent = {literal(row)};"]
    for index, row in enumerate(invalid):
        if is_in_types(row):
            lines += [
                f"// {row['name']}",
                "// @ts-expect-error",
                f"export const i{index}: TelemetryEvent = {literal(row)};",
            ]
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        shutil.copy(root / "schemas" / "types" / f"v{number}.d.ts", place / "events.d.ts")
        (place / "vectors.ts").write_text("\n".join(lines) + "\n", "utf-8")
        compiler = FOLDER / "node_modules" / "typescript" / "bin" / "tsc"
        code, said = run(
            *("node", str(compiler), "--strict", "--noEmit", "--target", "es2022"),
            *("--module", "es2022", "--moduleResolution", "bundler", "vectors.ts", "events.d.ts"),
            cwd=place,
        )
    return said.splitlines() if code else []


def literal(row: dict[str, Any]) -> str:
    """Return the event of a row as it stands in a program."""
    return json.dumps(row["event"])


def is_in_types(row: dict[str, Any]) -> bool:
    """Return whether a type can say what is wrong with a row."""
    if row["rule"] not in IN_TYPES:
        return False
    field = row["pointer"].removeprefix("/")
    is_number = field != "" and type(row["event"].get(field)) in {int, float}
    # Half a number is a number to the compiler.
    return not (row["rule"] == "type" and is_number and field not in TEXTS)


# Fields that hold no number, so that a number in them is an error of type.
TEXTS = frozenset(
    {
        *("run_id", "install_id", "sdk_version", "runtime_version", "ci", "container"),
        *("call_uid", "stt_model", "tts_model", "llm_model", "previous_sdk_version"),
        *("preambles_used", "per_tool_timeouts_set", "llm_fallback_configured"),
    }
)
