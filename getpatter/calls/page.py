"""A waterfall as one self-contained HTML page: nothing is loaded, nothing runs. Pure."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from getpatter.calls.timeline import moment, printable, said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from getpatter.calls.event import Event
    from getpatter.calls.waterfall import Row, Waterfall

__all__ = ["page"]

# How many parts the scale over the bars has; on a narrow page every second tick is left out.
_TICKS = 4

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --dim: #60646c; --line: #d9d9e0; --bg: #fff;
  --success: #30a46c; --failure: #e5484d; --open: #b0b4ba; --other: #3e63dd; --mark: #8b8d98; }
@media (prefers-color-scheme: dark) { :root { --ink: #edeef0; --dim: #b0b4ba; --line: #363a3f;
  --bg: #18191b; --open: #696e77; } }
body { background: var(--bg); color: var(--ink); font: 14px/1.5 system-ui, sans-serif;
  margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.25rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1rem; margin: 2rem 0 .5rem; }
dl { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin: .75rem 0 1.5rem; }
dl div { display: flex; gap: .4rem; } dt { color: var(--dim); } dd { margin: 0; }
.chart { display: grid; grid-template-columns: fit-content(14rem) 1fr 6rem; gap: 0 .75rem; }
.scale { position: relative; height: 1.5rem; border-bottom: 1px solid var(--line);
  color: var(--dim); font-size: 12px; }
.scale span { position: absolute; transform: translateX(-50%); white-space: nowrap; }
.scale span:first-child { transform: none; }
.scale span:last-child { transform: translateX(-100%); }
@media (max-width: 45rem) { .chart { grid-template-columns: fit-content(8rem) 1fr 5rem; }
  .scale span:nth-child(even) { display: none; } }
.track { position: relative; height: 1.6rem; border-bottom: 1px solid var(--line); }
.name, .took { border-bottom: 1px solid var(--line); height: 1.6rem; white-space: nowrap;
  overflow: hidden; text-overflow: ellipsis; }
.took { text-align: right; font-variant-numeric: tabular-nums; color: var(--dim); }
.bar { position: absolute; top: .3rem; height: 1rem; min-width: 2px; border-radius: 2px; }
.bar.streams { opacity: .35; }
.success { background: var(--success); } .failure { background: var(--failure); }
.open { background: var(--open); }
.present { background: var(--mark); } .bar.present { top: .7rem; height: .2rem; }
.other { background: var(--other); }
.mark { background: var(--mark); top: 0; height: 1.6rem; width: 2px; min-width: 2px; }
.note { grid-column: 2 / 4; color: var(--failure); font-size: 12px; overflow-wrap: anywhere; }
.legend { color: var(--dim); font-size: 12px; display: flex; flex-wrap: wrap; gap: 1rem;
  margin-top: .75rem; }
.legend i { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px;
  vertical-align: -1px; margin-right: .35rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 12.5px; }
th, td { text-align: left; padding: .2rem .75rem .2rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; } th { color: var(--dim); font-weight: 500; }
td { font-variant-numeric: tabular-nums; } td:last-child { overflow-wrap: anywhere; }
"""

_LEGEND = (
    ("success", "succeeded"),
    ("failure", "failed"),
    ("open", "no end in this file"),
    ("other", "span of your own"),
    ("present", "a participant is there"),
)


def page(drawn: Waterfall, events: Sequence[Event]) -> str:
    """Return the page of a call: its facts, its waterfall, and every event below."""
    title = f"Call {html.escape(printable(drawn.session))}"
    facts = {
        "began": moment(drawn.started_us, "%Y-%m-%d %H:%M:%S %z"),
        "length": f"{drawn.length:,.0f} ms",
        **drawn.facts,
    }
    return "".join(
        (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta http-equiv="Content-Security-Policy" ',
            "content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            f"<title>{title}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{title}</h1><dl>{''.join(_fact(*fact) for fact in facts.items())}</dl>",
            f'<div class="chart"><div></div>{_scale(drawn.length)}<div></div>',
            "".join(_row(row, drawn.length) for row in drawn.rows),
            f'</div><div class="legend">{"".join(_key(*key) for key in _LEGEND)}',
            "<span>paler: after the first byte</span></div>",
            '<h2>Events</h2><div class="scroll"><table><tr><th>ms</th><th>#</th><th>node</th>',
            "<th>type</th><th>data</th></tr>",
            "".join(_event(event, drawn.started_us) for event in events),
            "</table></div></body></html>\n",
        )
    )


def _fact(name: str, value: str) -> str:
    return f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>"


def _key(state: str, text: str) -> str:
    return f'<span><i class="{state}"></i>{text}</span>'


def _scale(length: float) -> str:
    ticks = (
        f'<span style="left:{100 * tick / _TICKS:.0f}%">{length * tick / _TICKS:,.0f} ms</span>'
        for tick in range(_TICKS + 1)
    )
    return f'<div class="scale">{"".join(ticks)}</div>'


def _row(row: Row, length: float) -> str:
    took = "" if row.state == "mark" else row.took
    bars = [(row.state, row.begin, row.end)]
    if row.first is not None and row.first < row.end:
        bars = [(row.state, row.begin, row.first), (f"{row.state} streams", row.first, row.end)]
    note = ""
    if row.note and row.state in ("failure", "open"):
        note = f'<div></div><div class="note">{html.escape(row.note)}</div>'
    turn = f" · turn {row.turn}" if row.turn is not None and row.state != "mark" else ""
    name = html.escape(row.name)
    return (
        f'<div class="name">{name}</div>'
        f'<div class="track" title="{name}{html.escape(turn)} at {row.begin:,.1f} ms">'
        + "".join(_bar(state, begin, end, length) for state, begin, end in bars)
        + f'</div><div class="took">{took}</div>{note}'
    )


def _bar(state: str, begin: float, end: float, length: float) -> str:
    left = min(100.0, 100 * begin / length)
    wide = (
        ""
        if state == "mark"
        else f"width:{max(0.0, min(100 - left, 100 * (end - begin) / length)):.3f}%"
    )
    return f'<div class="bar {state}" style="left:{left:.3f}%;{wide}"></div>'


def _event(event: Event, origin: int) -> str:
    took = event.data.get("elapsed_ms", event.data.get("latency_ms"))
    what = said(event) if took is None else f"{printable(took)} ms {said(event)}"
    stage = f" {printable(event.data['stage'])}" if "stage" in event.data else ""
    outcome = f" {printable(event.data['outcome'])}" if "outcome" in event.data else ""
    cells = (
        f"{(event.timestamp_us - origin) / 1e3:,.1f}",
        str(event.sequence),
        printable(event.node),
        f"{printable(event.type)}{stage}{outcome}",
        what,
    )
    return f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"
