"""Intervals that keep a width: what the bootstrap cannot see of a figure near 0 or 1.

A share that is 1 on all rows is 1 in every draw, as if it were known to be; with one error among n rows the draws still
reach no lower than 1 - 3/n. So the interval of a share is the bootstrap's, made to reach at least as far as Wilson's
(1927), in which the rows of a patient count for as much as they tell (Kish 1965). Brown, Cai and DasGupta (2001) say
why Wilson's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .bootstrap import Estimate
from .operating_points import effective_rows, wilson
from .scores import NORMAL_95, Floats, Truths
from .tally import Area, Key, Kind, Mean, Share

Ends = tuple[float, float]

_HALVINGS = 60  # of the unit interval: to the last bit of a float


def widened(
    found: Mapping[Key, Estimate], kinds: Mapping[Key, Kind], clusters: NDArray[np.int64]
) -> dict[Key, Estimate]:
    """Return estimates with intervals that keep a width, by what `kinds` of figures they are.

    `clusters` [N] numbers the patient of each row. What has no interval gets none. A figure of exactly 0 or 1 of which
    nothing is known loses an interval without a width, since it would say too much.
    """
    return {key: _widened(key, one, found, kinds, clusters) for key, one in found.items()}


def reaching(one: Estimate, ends: Ends | None) -> Estimate:
    """Return an estimate whose interval, where it has one, reaches at least as far as `ends`."""
    if ends is None or one.low is None or one.high is None:
        return one
    return Estimate(one.value, min(one.low, ends[0]), max(one.high, ends[1]))


def of_share(hit: Truths | Floats, clusters: NDArray[np.int64]) -> Ends | None:
    """Return Wilson's interval of the share of rows that are `hit` [N], 0 to 1 each; None without a row."""
    if not len(hit):
        return None
    told = hit.astype(np.float64)
    rows = effective_rows(told, clusters)
    return wilson(float(told.mean()) * rows, rows)


def of_area(area: float, positives: float, negatives: float) -> Ends:
    """Return a 95 % interval of an area under a ROC curve that has a width at 0 and 1 (Newcombe 2006, method 5).

    Like Wilson's it takes the variance, that of Hanley and McNeil (1982), at the ends of the interval and not at the
    area that was found.
    """
    return 1 - _farthest(1 - area, positives, negatives), _farthest(area, positives, negatives)


def of_mean(values: Sequence[float], ends: Sequence[Ends], least: float = 0.0) -> Ends:
    """Return the interval of the mean of figures of different rows, from theirs (Zou and Donner 2008).

    The figures lie between `least` and 1.
    """
    middle = sum(values) / len(values)
    below = math.hypot(*(value - low for value, (low, _) in zip(values, ends, strict=True))) / len(values)
    above = math.hypot(*(high - value for value, (_, high) in zip(values, ends, strict=True))) / len(values)
    return max(least, middle - below), min(1.0, middle + above)


def of_same(one: Estimate, units: int, least: float, most: float) -> Estimate:
    """Return a mean with a width when all rows have the same value, which lies between `least` and `most`.

    Of as many rows, or patients, no more than Wilson's share has another value, at worst one of these two.
    """
    if one.low is None or one.high is None or one.low < one.high or not units:
        return one
    other = 1 - wilson(units, units)[0]
    return reaching(one, (one.value - other * (one.value - least), one.value + other * (most - one.value)))


def _widened(
    key: Key, one: Estimate, found: Mapping[Key, Estimate], kinds: Mapping[Key, Kind], clusters: NDArray[np.int64]
) -> Estimate:
    if one.low is None or one.high is None:
        return one
    kind = kinds.get(key)
    sure = one.value in (0.0, 1.0)
    if isinstance(kind, Share):
        return reaching(one, of_share(kind.hit[kind.among], clusters[kind.among]))
    if isinstance(kind, Area) and sure:
        return reaching(one, _units_of_area(one.value, kind, clusters))
    if isinstance(kind, Mean):
        parts = [(found[name].value, kinds[name]) for name in kind.of if name in found]
        shares = [part for _, part in parts if isinstance(part, Share)]
        if shares:
            ends = [of_share(part.hit[part.among], clusters[part.among]) for part in shares]
            return reaching(one, of_mean([value for value, _ in parts], [each for each in ends if each is not None]))
        if sure:  # areas of one table share their rows: as if they rose and fell together
            each = [_units_of_area(value, part, clusters) for value, part in parts if isinstance(part, Area)]
            return reaching(one, (min(low for low, _ in each), max(high for _, high in each)))
    return Estimate(one.value, None, None) if sure and kind is None and one.low == one.high else one


def _units_of_area(area: float, kind: Area, clusters: NDArray[np.int64]) -> Ends:
    """The interval of an area of as many independent rows as there are patients of either kind."""
    units = [len(np.unique(clusters[kind.among & which])) for which in (kind.positive, ~kind.positive)]
    return of_area(area, *units)


def _farthest(area: float, positives: float, negatives: float) -> float:
    """The largest area whose distance from the one found is no more than its own 1.96 standard errors."""
    others = (positives + negatives) / 2 - 1

    def too_far(other: float) -> bool:
        variance = other * (1 - other) / (positives * negatives)
        variance *= 1 + others * ((1 - other) / (2 - other) + other / (1 + other))
        return other - area > NORMAL_95 * math.sqrt(variance)

    low, high = area, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if too_far(middle) else (middle, high)
    return (low + high) / 2
