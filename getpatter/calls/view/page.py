"""A waterfall as one self-contained HTML page: nothing is loaded, nothing runs. Pure."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from getpatter.calls.view.drawing import answer_means, answered, legend
from getpatter.calls.view.timeline import milliseconds, moment, printable, rounded, said
from getpatter.calls.view.turns import FAILED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from getpatter.calls.events.event import Event
    from getpatter.calls.view.turns import Turn
    from getpatter.calls.view.waterfall import Row, Waterfall

__all__ = ["page"]

# How many parts the scale over the bars has; on a narrow page every second tick is left out.
_TICKS = 4
# Up to this length of a call whole milliseconds do not distinguish the ticks of its scale.
_DIGITS_TO_MS = 100

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --dim: #60646c; --line: #d9d9e0; --bg: #fff;
  --success: #30a46c; --failure: #ce2c31; --open: #b0b4ba; --other: #3e63dd; --mark: #8b8d98; }
@media screen and (prefers-color-scheme: dark) { :root { --ink: #edeef0; --dim: #b0b4ba;
  --line: #363a3f; --bg: #18191b; --open: #696e77; --failure: #ff6369; } }
* { box-sizing: border-box; }
body { background: var(--bg); color: var(--ink); font: 14px/1.5 system-ui, sans-serif;
  margin: 2rem auto; max-width: 72rem; padding: 0 1rem; print-color-adjust: exact;
  -webkit-print-color-adjust: exact; }
h1 { font-size: 1.25rem; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1rem; margin: 2rem 0 .5rem; }
.reason { border-left: .25rem solid var(--failure); padding: .25rem .75rem; margin: .75rem 0;
  overflow-wrap: anywhere; } .reason b, .failed .name, tr.failed td { color: var(--failure); }
dl { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin: .75rem 0 1.5rem; }
dl div { display: flex; gap: .4rem; min-width: 0; } dt { color: var(--dim); }
dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }
.row { display: grid; grid-template: "name track took" "none note note" / 13rem 1fr 6rem;
  gap: 0 .75rem; border-bottom: 1px solid var(--line); break-inside: avoid; }
.name { grid-area: name; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.track { grid-area: track; position: relative; height: 1.6rem; }
.took { grid-area: took; text-align: right; font-variant-numeric: tabular-nums;
  color: var(--dim); white-space: nowrap; }
.note { grid-area: note; color: var(--dim); font-size: 12px; overflow-wrap: anywhere;
  padding-bottom: .3rem; }
.failed .note { color: var(--failure); }
.scale { grid-area: track; position: relative; height: 1.5rem; color: var(--dim);
  font-size: 12px; }
.scale span { position: absolute; transform: translateX(-50%); white-space: nowrap; }
.scale span:first-child { transform: none; }
.scale span:last-child { transform: translateX(-100%); }
.bar { position: absolute; top: .3rem; height: 1rem; min-width: 2px; border-radius: 2px; }
.bar.streams, i.streams { opacity: .35; }
.bar.success, i.success, i.streams { background: var(--success); }
.bar.failure, i.failure { background: var(--failure); }
.bar.open, i.open { background: var(--open); }
.bar.other, i.other { background: var(--other); }
.bar.present, i.present { background: var(--mark); }
.bar.present { top: .7rem; height: .2rem; } .legend i.present { height: .2rem;
  vertical-align: .2rem; }
.bar.mark, i.mark { background: var(--mark); }
.bar.mark { top: 0; height: 1.6rem; width: 2px; } .legend i.mark { width: 2px; }
.legend { color: var(--dim); font-size: 12px; display: flex; flex-wrap: wrap; gap: .25rem 1rem;
  margin-top: .75rem; }
.legend i { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px;
  vertical-align: -1px; margin-right: .35rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 12.5px; } .events { width: 100%; }
th, td { text-align: left; padding: .2rem .75rem .2rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; } th { color: var(--dim); font-weight: 500; }
td { font-variant-numeric: tabular-nums; } td:last-child { overflow-wrap: anywhere; }
.turns td, .turns th { text-align: right; min-width: 5rem; }
.turns td:first-child, .turns th:first-child { text-align: left; min-width: 3rem; }
tr { break-inside: avoid; }
@media screen and (max-width: 45rem) { body { margin: 1rem auto; }
  .row { grid-template: "name took" "track track" "note note" / 1fr auto; }
  .row.top .name, .row.top .took { display: none; } .scale span:nth-child(even) { display: none; }
  .track { height: 1.3rem; } .bar { top: .15rem; height: .8rem; } .bar.present { top: .45rem; }
  .bar.mark { top: 0; height: 1.1rem; }
  .events, .events tbody, .events tr { display: block; } .events th { display: none; }
  .events tr { border-bottom: 1px solid var(--line); padding: .3rem 0; }
  .events td { display: inline; border: 0; padding: 0; overflow-wrap: anywhere; }
  .events td:nth-child(2), .events td:nth-child(3) { display: none; }
  .events td:first-child { color: var(--dim); display: inline-block; min-width: 4rem; }
  .events td:last-child { color: var(--dim); display: block; }
  .events .failed td { color: var(--failure); } }
@media print { body { margin: 0; max-width: none; font-size: 11px; }
  .note, .legend, .scale, table { font-size: 10px; }
  .scroll { overflow: visible; } }
"""


def page(drawn: Waterfall, events: Sequence[Event]) -> str:
    """Return the page of a call: its facts, its waterfall, and every event below."""
    title = f"Call {html.escape(printable(drawn.session))}"
    facts = {
        "began": moment(drawn.started_us, "%Y-%m-%d %H:%M:%S %z"),
        "length": rounded(drawn.length),
        **drawn.facts,
    }
    return "".join(
        (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta http-equiv="Content-Security-Policy" ',
            "content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            f"<title>{title}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{title}</h1>{_reason(drawn)}",
            f"<dl>{''.join(_fact(*fact) for fact in facts.items())}</dl>",
            f'<div class="row top"><div class="name"></div>{_scale(drawn.length)}</div>',
            "".join(_row(row, drawn.length) for row in drawn.rows),
            f'<div class="legend">{"".join(_key(*key) for key in legend(drawn))}</div>',
            _turns(drawn.turns),
            '<h2>Events</h2><div class="scroll"><table class="events">',
            "<tr><th>ms</th><th>#</th><th>node</th>",
            "<th>type</th><th>data</th></tr>",
            "".join(_event(event, drawn) for event in events),
            "</table></div></body></html>\n",
        )
    )


def _reason(drawn: Waterfall) -> str:
    if not drawn.is_failed:
        return ""
    return f'<p class="reason"><b>Failed:</b> {html.escape(drawn.reason)}</p>'


def _turns(turns: Sequence[Turn]) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(turn.number)}</td><td>{milliseconds(turn.length)}</td>"
        f"<td>{html.escape(answered(turn))}</td></tr>"
        for turn in turns
    )
    if not rows:
        return ""
    return (
        f"<h2>Turns</h2><p>{html.escape(answer_means(turns))}</p>"
        '<table class="turns"><tr><th>turn</th><th>length</th><th>answer</th></tr>'
        f"{rows}</table>"
    )


def _fact(name: str, value: str) -> str:
    return f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>"


def _key(state: str, text: str) -> str:
    return f'<span><i class="{state}"></i>{text}</span>'


def _scale(length: float) -> str:
    ticks = (
        f'<span style="left:{100 * tick / _TICKS:.0f}%">{_tick(length, tick)}</span>'
        for tick in range(_TICKS + 1)
    )
    return f'<div class="scale">{"".join(ticks)}</div>'


def _tick(length: float, tick: int) -> str:
    # As many digits as distinguish the ticks.
    at = length * tick / _TICKS
    return f"{at:,.0f} ms" if length >= _DIGITS_TO_MS else f"{at:.3g} ms"


def _row(row: Row, length: float) -> str:
    took = "" if row.state == "mark" else row.took
    bars = [(row.state, row.begin, row.end)]
    if row.first is not None and row.first < row.end:
        bars = [(row.state, row.begin, row.first), (f"{row.state} streams", row.first, row.end)]
    note = f'<div class="note">{html.escape(row.note)}</div>' if row.note else ""
    turn = f" · turn {row.turn}" if row.turn is not None and row.state != "mark" else ""
    name = html.escape(row.name)
    return (
        f'<div class="row{" failed" if row.is_failure else ""}"><div class="name">{name}</div>'
        f'<div class="track" title="{name}{html.escape(turn)} at {milliseconds(row.begin)}">'
        + "".join(_bar(state, begin, end, length) for state, begin, end in bars)
        + f'</div><div class="took">{took}</div>{note}</div>'
    )


def _bar(state: str, begin: float, end: float, length: float) -> str:
    left = min(100.0, 100 * begin / length)
    wide = (
        ""
        if state == "mark"
        else f"width:{max(0.0, min(100 - left, 100 * (end - begin) / length)):.3f}%"
    )
    return f'<div class="bar {state}" style="left:{left:.3f}%;{wide}"></div>'


def _event(event: Event, drawn: Waterfall) -> str:
    took = event.data.get("elapsed_ms", event.data.get("latency_ms"))
    what = said(event) if took is None else f"{printable(took)} ms {said(event)}"
    stage = f" {printable(event.data['stage'])}" if "stage" in event.data else ""
    outcome = f" {printable(event.data['outcome'])}" if "outcome" in event.data else ""
    at = (event.timestamp_us - drawn.started_us) / 1e3
    cells = (
        f"{at:,.1f}" if drawn.length >= _DIGITS_TO_MS else f"{at:,.3f}",
        str(event.sequence),
        printable(event.node),
        f"{printable(event.type)}{stage}{outcome}",
        what,
    )
    is_failed = event.data.get("outcome") in ("failure", *FAILED) or "error" in event.data
    begin = '<tr class="failed">' if is_failed else "<tr>"
    return f"{begin}{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"
