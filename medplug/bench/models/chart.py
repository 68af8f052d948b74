"""Runs as one picture: a panel a figure, in it the seeds, their mean with its interval, the baselines and the goal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from xml.sax.saxutils import escape

from ...writers.html_plots import Axis, around
from .goals import Goal, judge
from .report import Measured, Summary

_LABEL, _PLOT, _NUMBER, _GAP = 300.0, 460.0, 190.0, 24.0
_ROW, _HEAD, _FOOT = 30.0, 34.0, 26.0

_STYLE = """
  svg { color-scheme: light dark; }
  .paper { fill: #fff; } .ink { fill: #1c2430; } .muted { fill: #667085; }
  .grid { stroke: #e3e1da; } .base { stroke: #94a3b8; stroke-width: 2; } .goal { stroke: #b45309; stroke-width: 1.5; }
  .goal-word { fill: #b45309; } .interval { stroke: #0f766e; stroke-width: 3; } .mean { fill: #0f766e; }
  .seed { fill: #0f766e; fill-opacity: .35; } .seed-interval { stroke: #0f766e; stroke-opacity: .35; }
  text { font: 12px ui-sans-serif, system-ui, "Segoe UI", "Helvetica Neue", "DejaVu Sans", sans-serif; }
  .name { font-weight: 600; }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #131416; } .ink { fill: #e4e8ee; } .muted { fill: #94a0b2; }
    .grid { stroke: #2a323d; } .base { stroke: #64748b; } .goal { stroke: #f59e0b; } .goal-word { fill: #f59e0b; }
    .interval, .seed-interval { stroke: #2dd4bf; } .mean, .seed { fill: #2dd4bf; }
  }
"""


def svg(runs: Sequence[Measured], goals: Sequence[Goal] = ()) -> str:
    """Return the picture of at least one run. Figures that runs share stand in one panel."""
    width = _GAP + _LABEL + _PLOT + _NUMBER + _GAP
    body: list[str] = []
    top = 14.0
    for dataset, name in dict.fromkeys((run.dataset, one.figure) for run in runs for one in run.figures):
        having = [(run, one) for run in runs if run.dataset == dataset for one in [run.find(name)] if one is not None]
        drawn, height = _panel(dataset, name, having, goals, top)
        body += drawn
        top += height
    legend = "dots: seeds; bar: their mean, with a 95 % interval over patients and seeds; grey: trivial baselines"
    body.append(_text(_GAP, top + 12, legend, "muted"))
    height = top + _FOOT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="Figures of each model with their intervals">\n<style>{_STYLE}</style>\n'
        f'<rect class="paper" width="{width:.0f}" height="{height:.0f}"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _panel(
    dataset: str, name: str, having: Sequence[tuple[Measured, Summary]], goals: Sequence[Goal], top: float
) -> tuple[list[str], float]:
    """Return a panel's elements and its height."""
    wanted = {
        judged.goal.value: judged.goal
        for run, _ in having
        for judged in judge(run, goals)
        if judged.goal.figure == name
    }
    baselines = {
        baseline.name: one.value
        for run, _ in having
        for baseline in run.baselines
        for one in baseline.figures
        if one.figure == name
    }
    told = [value for _, one in having for value in _values(one)]
    axis = around([*told, *wanted, *baselines.values()])
    if axis.log:
        axis = Axis(0.0, axis.high)
    left, bottom = _GAP + _LABEL, top + _HEAD + len(having) * _ROW

    def x(value: float) -> float:
        return left + axis.place(value) * _PLOT

    drawn = [_text(_GAP, top + 16, f"{name}, {dataset}", "ink name")]
    for tick in axis.ticks():
        drawn.append(_line("grid", x(tick), top + _HEAD - 8, x(tick), bottom))
        drawn.append(_text(x(tick), top + _HEAD - 12, f"{tick:g}", "muted", "middle"))
    for baseline, value in baselines.items():
        drawn.append(f"<g><title>{escape(baseline)}: {value:.3f}</title>")
        drawn.append(_line("base", x(value), top + _HEAD - 6, x(value), bottom - 6) + "</g>")
    for number, (run, one) in enumerate(having):
        drawn += _row(run, one, x, top + _HEAD + number * _ROW + _ROW / 2, left)
    for value, goal in wanted.items():
        drawn.append(_line("goal", x(value), top + _HEAD - 8, x(value), bottom))
        words = f"goal {'at most' if goal.lower else 'at least'} {value:g}"
        drawn.append(_text(left + _PLOT + 8, top + 16, words, "goal-word"))
    named = ", ".join(f"{baseline} {value:.3f}" for baseline, value in baselines.items())
    if named:
        drawn.append(_text(left, bottom + 10, named, "muted"))
    return drawn, bottom - top + _FOOT


def _row(run: Measured, one: Summary, place: Callable[[float], float], y: float, left: float) -> list[str]:
    named = f"{run.plugin} {run.variant}".strip()
    drawn = [_text(left - 10, y + 4, f"{named} {run.recipe_sha256[:6]}", "ink", "end")]
    step = min(4.0, 16.0 / max(len(one.seeds), 1))
    for index, seed in enumerate(one.seeds):
        height = y - 4 - step * (len(one.seeds) - 1) / 2 + step * index
        if seed.low is not None and seed.high is not None:
            drawn.append(_line("seed-interval", place(seed.low), height, place(seed.high), height))
        drawn.append(f'<circle class="seed" cx="{place(seed.value):.1f}" cy="{height:.1f}" r="2.5"/>')
    if one.low is not None and one.high is not None:
        drawn.append(_line("interval", place(one.low), y + 9, place(one.high), y + 9))
    drawn.append(f'<circle class="mean" cx="{place(one.value):.1f}" cy="{y + 9:.1f}" r="4.5"/>')
    ends = "" if one.low is None or one.high is None else f"  ({one.low:.3f} to {one.high:.3f})"
    drawn.append(_text(left + _PLOT + 8, y + 8, f"{one.value:.3f}{ends}", "ink name"))
    return drawn


def _values(one: Summary) -> list[float]:
    found = [one.value, one.low, one.high]
    for seed in one.seeds:
        found += [seed.value, seed.low, seed.high]
    return [value for value in found if value is not None]


def _line(mark: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{mark}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, mark: str, anchor: str = "start") -> str:
    return f'<text class="{mark}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
