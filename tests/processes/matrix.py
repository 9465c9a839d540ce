"""The table of process models in the documents: written from what the tests of this tier see.

`WRITE_MATRIX=1` writes the rows of the tests that run, otherwise each test compares its own.
"""

import os
from pathlib import Path

from models import MODELS

DOCS = Path(__file__).parents[2] / "docs" / "telemetry.mdx"
BEGIN, END = "{/* generated: process models */}", "{/* end of process models */}"
HEAD = (
    "| process model | recorded before it forks | while it runs | as it ends | how |\n"
    "| --- | --- | --- | --- | --- |\n"
)


def _rows() -> dict[str, str]:
    """Return the rows of the documents by their model, in their order."""
    block = DOCS.read_text("utf-8").partition(BEGIN)[2].partition(END)[0]
    lines = [line for line in block.splitlines() if line.startswith("| ")][2:]
    return {line.split(" | ")[0].removeprefix("| "): line for line in lines}


def documented() -> list[str]:
    """Return the process models that the documents know."""
    return list(_rows())


def _write(rows: dict[str, str]) -> None:
    before, begin, rest = DOCS.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    table = HEAD + "\n".join(rows.values())
    DOCS.write_text(f"{before}{begin}\n\n{table}\n\n{end}{after}", "utf-8")


def check(model: str, cells: tuple[str, ...]) -> None:
    """Hold the documents to what was seen of a model."""
    row = f"| {' | '.join([model, *cells, MODELS[model]])} |"
    rows = _rows()
    if os.environ.get("WRITE_MATRIX"):
        rows[model] = row
        _write({name: rows[name] for name in MODELS if name in rows})
    assert _rows().get(model) == row
