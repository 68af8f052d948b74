"""Plots as inline SVG: this places the points, the template draws them in the page's own type and colours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from .html_page import fill, number

WIDTH, HEIGHT = 420.0, 280.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 14.0, 12.0, 44.0

Points = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class Axis:
    """One axis: the values at its ends, and whether it is logarithmic."""

    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        """Return where a value lies, 0 to 1."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Return round values between the ends: steps of 1, 2 or 5, or powers of ten."""
        if self.log:
            powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            found = [10.0**power for power in powers]
            return found if len(found) > 1 else [self.low, self.high]
        rough = (self.high - self.low) / 5
        scale = 10.0 ** math.floor(math.log10(rough))
        step = scale * next(factor for factor in (1, 2, 5, 10) if factor * scale >= rough * (1 - 1e-9))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(step * n, 12) + 0.0 for n in range(first, last + 1)]


def around(values: Sequence[float], zero: bool = False) -> Axis:
    """Return an axis that holds the values, and zero if asked: else logarithmic where they span a factor of 30."""
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    if low > 0 and high / low > 30 and not zero:
        return Axis(low, high, log=True)
    if zero:
        low = min(low, 0.0)
    room = 0.04 * (high - low) or 0.5 * abs(high) or 1.0
    return Axis(low if zero and low == 0 else low - room, high + room)


def lines(
    series: Mapping[str, Points],
    x_label: str,
    y_label: str,
    *,
    x: Axis | None = None,
    y: Axis | None = None,
    diagonal: bool = False,
    dots: bool = False,
    mark: tuple[float, str] | None = None,
    title: str = "",
) -> Markup:
    """Draw named lines; `diagonal` adds the line of x = y, `mark` a vertical line with a word.

    Points that are not finite are left out. Without `x` the axis is linear; without `y` it is what `around` says.
    """
    x = x or around([value for xs, _ in series.values() for value in xs], zero=True)
    y = y or around([value for _, ys in series.values() for value in ys])
    drawn = []
    for name, (xs, ys) in series.items():
        finite = [(a, b) for a, b in zip(xs, ys) if math.isfinite(a) and math.isfinite(b)]
        drawn.append({"name": name, "points": [(_x(x, a), _y(y, b)) for a, b in finite]})
    return fill(
        "plot.html",
        **_frame(x, y, x_label, y_label, title),
        series=drawn,
        bars=[],
        dots=dots,
        diagonal=(_x(x, x.low), _y(y, x.low), _x(x, x.high), _y(y, x.high)) if diagonal else None,
        mark=(_x(x, mark[0]), mark[1]) if mark and x.low <= mark[0] <= x.high else None,
    )


def histogram(
    values: Sequence[float], x_label: str, *, mark: tuple[float, str] | None = None, title: str = ""
) -> Markup:
    """Draw how many values lie where, and `mark`, such as a threshold."""
    values = [value for value in values if math.isfinite(value)] or [0.0]
    inside = [*values, mark[0]] if mark else list(values)
    counts, edges = np.histogram(values, bins=min(24, max(6, len(values) // 3)), range=_range(inside))
    x, y = Axis(float(edges[0]), float(edges[-1])), Axis(0.0, max(float(counts.max()) * 1.05, 1.0))
    places, tops = [_x(x, edge) for edge in edges.tolist()], [_y(y, float(n)) for n in counts]
    base = HEIGHT - _BOTTOM
    bars = [(left, top, right - left, base - top) for left, right, top in zip(places, places[1:], tops) if top < base]
    return fill(
        "plot.html",
        **_frame(x, y, x_label, "cases", title),
        series=[],
        bars=bars,
        dots=False,
        diagonal=None,
        mark=(_x(x, mark[0]), mark[1]) if mark else None,
    )


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = 0.03 * (high - low) or 0.5
    return low - room, high + room


def _x(axis: Axis, value: float) -> float:
    return _LEFT + axis.place(value) * (WIDTH - _LEFT - _RIGHT)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - _BOTTOM - axis.place(value) * (HEIGHT - _TOP - _BOTTOM)


def _frame(x: Axis, y: Axis, x_label: str, y_label: str, title: str) -> dict[str, object]:
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "left": _LEFT,
        "right": WIDTH - _RIGHT,
        "top": _TOP,
        "bottom": HEIGHT - _BOTTOM,
        "x_ticks": [(_x(x, tick), number(tick)) for tick in x.ticks()],
        "y_ticks": [(_y(y, tick), number(tick)) for tick in y.ticks()],
        "x_label": x_label,
        "y_label": y_label,
        "title": title,
    }
