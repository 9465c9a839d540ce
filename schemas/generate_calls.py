"""Writes the schemas of samples, stats records and the vocabulary from the tables of the code.

python schemas/generate_calls.py           write
python schemas/generate_calls.py --check   exit 1 and name every file that differs
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from call_descriptions import SCHEMAS

HERE = Path(__file__).resolve().parent / "diagnostics" / "v1"


def main(arguments: list[str]) -> int:
    """Write the files, or say which differ."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: generate_calls.py [--check]\n")
        return 2
    differing = 0
    for name, make in SCHEMAS.items():
        path = HERE / f"{name}.schema.json"
        text = json.dumps(make(), indent=2) + "\n"
        if path.exists() and path.read_text("ascii") == text:
            continue
        differing += 1
        if arguments:
            print(f"schemas/diagnostics/v1/{path.name} differs from the tables")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "ascii")
    return 1 if arguments and differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
