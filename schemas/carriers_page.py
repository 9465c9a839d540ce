"""Writes the tables of `docs/carriers.mdx` from the tables that the carriers' callbacks go by.

python schemas/carriers_page.py           write
python schemas/carriers_page.py --check   exit 1 if the page differs
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from getpatter.integrations.carriers import tables
from getpatter.integrations.carriers.tables import End
from getpatter.telemetry.call_metrics import ending

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["BEGIN", "END", "render"]

PAGE = Path(__file__).resolve().parents[1] / "docs" / "carriers.mdx"
BEGIN, END = "{/* generated: carriers */}", "{/* end generated */}"
_HEADS = ("Twilio", "Telnyx", "Plivo", "SIP", "outcome", "error_layer", "disconnect_reason")
# Response codes of SIP that stand for their like.
_SIP = ("486", "600", "603", "408", "480", "487", "401", "403", "407", "404", "484", "503")


def render(current: str) -> str:
    """Return `current` with the table between its markers written anew."""
    before, found_begin, rest = current.partition(BEGIN)
    _, found_end, after = rest.partition(END)
    if not (found_begin and found_end):
        message = f"carriers.mdx has no {BEGIN} … {END}"
        raise ValueError(message)
    lines = [f"| {' | '.join(_HEADS)} |", f"|{' --- |' * len(_HEADS)}", *_rows()]
    return f"{before}{BEGIN}\n\n" + "\n".join(lines) + f"\n\n{END}{after}"


def _rows() -> Iterable[str]:
    codes = [(_range(low, high), end) for low, high, end in tables.PLIVO_CODES]
    sip = {code: tables.sip_end(code) for code in _SIP}
    ends = dict.fromkeys(
        [
            *tables.TWILIO_STATUSES.values(),
            *tables.TELNYX_CAUSES.values(),
            *tables.PLIVO_STATUSES.values(),
            *(end for _, end in codes),
            *sip.values(),
        ]
    )
    for end in ends:
        if end is not None:
            cells = [
                _words(tables.TWILIO_STATUSES, end),
                _words(tables.TELNYX_CAUSES, end),
                ", ".join(
                    [
                        *[f"`{word}`" for word, one in tables.PLIVO_STATUSES.items() if one == end],
                        *[code for code, one in codes if one == end],
                    ]
                ),
                ", ".join(_sip_name(code) for code, one in sip.items() if one == end),
                *_said(end),
            ]
            yield f"| {' | '.join(cells)} |"


def _words(words: Mapping[str, End], end: End) -> str:
    return ", ".join(f"`{word}`" for word, one in words.items() if one == end)


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"


def _sip_name(code: str) -> str:
    return "5xx" if code.startswith("5") else code


def _said(end: End) -> tuple[str, str, str]:
    said = ending(
        connected=end.answered,
        error_code=end.error,
        error_stage=end.stage,
        hung_up=end.hung_up,
        unanswered=end.unanswered,
    )
    code = "" if end.error is None else f" (`{end.error}`)"
    reason = f"`{said.disconnect_reason}`{code}"
    return f"`{said.outcome}`", f"`{said.error_layer}`", reason


def main(arguments: list[str]) -> int:
    """Write the page, or say that it differs."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: carriers_page.py [--check]\n")
        return 2
    current = PAGE.read_text("utf-8")
    made = render(current)
    if made == current:
        return 0
    if arguments:
        print("docs/carriers.mdx differs from the tables")
        return 1
    PAGE.write_text(made, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
