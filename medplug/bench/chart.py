"""A report as one picture: bars of time on logarithmic axes, a panel for each item, a column for each thread count."""

from __future__ import annotations

import math
from xml.sax.saxutils import escape

from ..writers.html_plots import Axis
from .report import Report, Row

_LABEL, _BAR, _NUMBER, _GAP = 250.0, 300.0, 120.0, 24.0
_ROW, _HEAD, _TOP, _FOOT = 17.0, 30.0, 46.0, 14.0

_STYLE = """
  svg { color-scheme: light dark; }
  .paper { fill: #fff; } .ink { fill: #1c2430; } .muted { fill: #667085; }
  .grid { stroke: #e3e1da; } .peer { fill: #94a3b8; } .close { fill: #cbd5e1; } .ours { fill: #0f766e; }
  text { font: 12px ui-sans-serif, system-ui, "Segoe UI", "Helvetica Neue", "DejaVu Sans", sans-serif; }
  .name { font-weight: 600; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #131416; } .ink { fill: #e4e8ee; } .muted { fill: #94a0b2; }
    .grid { stroke: #2a323d; } .peer { fill: #64748b; } .close { fill: #3b4655; } .ours { fill: #2dd4bf; }
  }
"""


def svg(report: Report) -> str:
    """Return the picture. Answers that are wrong have no time, and so no bar."""
    width = _GAP + len(report.threads) * (_LABEL + _BAR + _NUMBER + _GAP)
    body: list[str] = []
    for column, threads in enumerate(report.threads):
        left = _GAP + column * (_LABEL + _BAR + _NUMBER + _GAP)
        figure = "1 thread: CPU time" if threads == 1 else f"{threads} threads: time on the clock"
        body.append(_text(left, 22, f"{figure}, ms, logarithmic", "ink name"))
    top = _TOP
    for item in report.items:
        rows = {threads: _shown(report.of(item.name, threads)) for threads in report.threads}
        tallest = max(len(shown) for shown in rows.values())
        body.append(_text(_GAP, top + 14, item.title, "muted"))
        for column, shown in enumerate(rows.values()):
            left = _GAP + column * (_LABEL + _BAR + _NUMBER + _GAP)
            body += _panel(shown, left, top + _HEAD - 8)
        top += _HEAD + tallest * _ROW + 8
    cpu = f"{report.machine.cpu} ({report.machine.instructions}); pale: another good filter, not the same answer"
    body.append(_text(_GAP, top + _FOOT - 4, cpu, "muted"))
    height = top + _FOOT + 6
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="Time of each work item by library">\n<style>{_STYLE}</style>\n'
        f'<rect class="paper" width="{width:.0f}" height="{height:.0f}"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _shown(rows: list[Row]) -> list[tuple[Row, float]]:
    """Return the rows that have a time, with their milliseconds."""
    return [(row, row.seconds * 1e3) for row in rows if row.seconds is not None]


def _panel(shown: list[tuple[Row, float]], left: float, top: float) -> list[str]:
    if not shown:
        return []
    fastest, slowest = min(ms for _, ms in shown), max(ms for _, ms in shown)
    axis = Axis(10.0 ** math.floor(math.log10(fastest / 1.5)), 10.0 ** math.ceil(math.log10(slowest * 1.01)), log=True)
    origin, bottom = left + _LABEL, top + len(shown) * _ROW
    drawn = [
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>'
        for x in (origin + axis.place(tick) * _BAR for tick in axis.ticks())
    ]
    for n, (row, ms) in enumerate(shown):
        y, length = top + n * _ROW, axis.place(ms) * _BAR
        mark = "ours" if row.library == "medplug" else "close" if row.answer == "close" else "peer"
        weight = "ink name" if mark == "ours" else "ink"
        drawn.append(_text(left + _LABEL - 6, y + 12, f"{row.library}: {row.how}", weight, "end"))
        box = f'x="{origin:.1f}" y="{y + 2:.1f}" width="{length:.1f}" height="{_ROW - 4:.1f}"'
        drawn.append(f'<rect class="{mark}" {box}/>')
        faster = "" if mark != "ours" or row.ratio is None else f"  ({row.ratio:.2f} x)"
        drawn.append(_text(origin + length + 5, y + 12, f"{ms:.3g}{faster}", weight))
    return drawn


def _text(x: float, y: float, text: str, mark: str, anchor: str = "start") -> str:
    return f'<text class="{mark}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
