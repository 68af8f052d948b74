"""Figures over seeds, folds and patients: means, and intervals that cover both the seeds and the patients."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from ...evaluation.bootstrap import draws
from ...evaluation.scores import Floats
from .report import Baseline, SeedValue, Summary, margin_name

Statistics = Callable[[Floats], Mapping[str, Floats]]
"""Weights [D, N] of a trial's rows to [D] of each figure."""

_LEAST = 0.5  # of the draws must give a value

_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201)
"""The 97.5 % quantiles of Student's t for 1, 2, ... degrees of freedom; more have the last."""


@dataclass(frozen=True, eq=False)
class Scored:
    """The answers of one trial. `rows` [N] are the data set's own numbers; `whole` are figures not made of rows."""

    seed: int
    fold: int
    rows: NDArray[np.int64]
    statistics: Statistics
    whole: Mapping[str, float]


Values = dict[str, Floats]
"""By figure, [S, F, 1 + D] of each seed and fold: on the rows as they are, and on each draw of the patients."""


def values(scored: Sequence[Scored], rows: NDArray[np.int64], clusters: NDArray[np.int64], resamples: int) -> Values:
    """Return every figure made of rows. `rows` are all that were to be answered, `clusters` number their patients.

    Each draw takes the same patients for every seed, fold, variant and baseline, so that differences are paired.
    """
    seeds = sorted({one.seed for one in scored})
    folds = sorted({one.fold for one in scored})
    place = np.full(int(rows.max()) + 1, -1, np.int64)
    place[rows] = np.arange(len(rows))
    found: dict[str, list[Floats]] = {}
    for weights in (np.ones((1, len(rows))), *draws(clusters, resamples, seed=0)):
        block: dict[str, Floats] = {}
        for one in scored:
            for name, numbers in one.statistics(weights[:, place[one.rows]]).items():
                into = block.setdefault(name, np.full((len(seeds), len(folds), len(weights)), np.nan))
                into[seeds.index(one.seed), folds.index(one.fold)] = numbers
        for name, numbers in block.items():
            found.setdefault(name, []).append(numbers)
    return {name: np.concatenate(parts, axis=2) for name, parts in found.items()}


Bounds = Callable[[str], tuple[float, float]]
"""The least and the largest value that a figure of this name can have: no interval leaves them."""


def _anything(name: str) -> tuple[float, float]:
    return -math.inf, math.inf


def summarise(scored: Sequence[Scored], made: Values, bounds: Bounds = _anything) -> tuple[Summary, ...]:
    """Return every figure's mean and intervals: those made of rows, from `values`, and the others."""
    seeds = sorted({one.seed for one in scored})
    summaries = [summary(name, seeds, numbers) for name, numbers in made.items()]
    folds = sorted({one.fold for one in scored})
    for name in dict.fromkeys(name for one in scored for name in one.whole):
        numbers = np.full((len(seeds), len(folds), 1), np.nan)
        for one in scored:
            numbers[seeds.index(one.seed), folds.index(one.fold), 0] = one.whole.get(name, np.nan)
        summaries.append(summary(name, seeds, numbers))
    return tuple(_within(one, *bounds(one.figure)) for one in summaries if one is not None)


def _within(one: Summary, least: float, largest: float) -> Summary:
    """Cut a figure's intervals to the values that it can have: stretched ones, and Student's, may leave them."""

    def cut(low: float | None, high: float | None) -> dict[str, float]:
        return {} if low is None or high is None else {"low": max(low, least), "high": min(high, largest)}

    seeds = tuple(msgspec.structs.replace(each, **cut(each.low, each.high)) for each in one.seeds)
    return msgspec.structs.replace(one, **cut(one.low, one.high), seeds=seeds)


def paired_by_seed(
    figures: Sequence[Summary], baseline: str, theirs: Callable[[str], str]
) -> tuple[Baseline, list[Summary]]:
    """Return the figures of a baseline that the trials measured themselves, and the differences to them by seed.

    `theirs` says what a figure is called where it is the baseline's.
    """
    by_name = {one.figure: one for one in figures}
    own, margins = [], []
    for one in figures:
        other = by_name.get(theirs(one.figure))
        if other is None:
            continue
        own.append(msgspec.structs.replace(other, figure=one.figure))
        values_of = {each.seed: each.value for each in other.seeds}
        both = [each for each in one.seeds if each.seed in values_of]  # a figure may lack of what one seed made
        if not both:
            continue
        apart = np.array([[[each.value - values_of[each.seed]]] for each in both])
        made = summary(margin_name(one.figure, baseline), [each.seed for each in both], apart)
        margins += [] if made is None else [made]
    return Baseline(name=baseline, figures=tuple(own)), margins


def summary(name: str, seeds: Sequence[int], numbers: Floats) -> Summary | None:
    """Return one figure over seeds and folds; `numbers` [S, F, 1 + D]. None where it has no value."""
    by_seed = _mean(numbers, 1)  # [S, 1 + D]
    points, drawn = by_seed[:, 0], by_seed[:, 1:]
    known = np.isfinite(points)
    if not known.any():
        return None
    points, drawn, spread = points[known], drawn[known], numbers[known, :, 0]
    count = len(points)
    if drawn.shape[1]:
        low, high = _percentiles(_with_seeds(drawn), points.mean())
        covers = "patients and seeds" if count > 1 else "patients"
    else:
        low, high = _student(points)
        covers = "seeds" if low is not None else ""
    each = [_percentiles(*one) for one in zip(drawn, points)] if drawn.shape[1] else [(None, None)] * count
    return Summary(
        figure=name,
        value=float(points.mean()),
        low=low,
        high=high,
        covers=covers if low is not None else "",
        sd_seeds=float(points.std(ddof=1)) if count > 1 else None,
        sd_folds=float(np.mean(np.nanstd(spread, axis=1, ddof=1))) if spread.shape[1] > 1 else None,
        seeds=tuple(
            SeedValue(seed=seed, value=float(point), low=interval[0], high=interval[1])
            for seed, point, interval in zip(np.array(seeds)[known].tolist(), points, each)
        ),
    )


def _with_seeds(drawn: Floats) -> Floats:
    """Return [D] means over the seeds of `drawn` [S, D], as they vary by patients and by seeds.

    In each draw the seeds are drawn with replacement too. Of S seeds that shows only (S - 1) / S of the variance, so
    what the draw of the seeds adds is stretched by the root of S / (S - 1).
    """
    count, resamples = drawn.shape
    middle: Floats = drawn.mean(axis=0)
    if count < 2:
        return middle
    picked = np.random.default_rng(0).integers(0, count, (count, resamples))
    stretched: Floats = middle + (np.take_along_axis(drawn, picked, 0).mean(axis=0) - middle) * math.sqrt(
        count / (count - 1)
    )
    return stretched


def _student(points: Floats) -> tuple[float | None, float | None]:
    count = len(points)
    if count < 2:
        return None, None
    quantile = _STUDENT[min(count - 2, len(_STUDENT) - 1)]
    half = quantile * float(points.std(ddof=1)) / math.sqrt(count)
    return float(points.mean()) - half, float(points.mean()) + half


def _percentiles(drawn: Floats, point: float) -> tuple[float | None, float | None]:
    """Return the percentiles of the draws, moved so that their mean is the point.

    A draw takes rows twice, and so has a larger calibration error than the rows have: by that alone no goal is missed.
    """
    finite = drawn[np.isfinite(drawn)]
    if len(finite) < max(1, _LEAST * len(drawn)):
        return None, None
    low, high = np.percentile(finite, [2.5, 97.5]) - (finite.mean() - point)
    return float(low), float(high)


def _mean(numbers: Floats, axis: int) -> Floats:
    """The mean over an axis of what is a number; NaN where nothing is."""
    some = np.isfinite(numbers)
    count = some.sum(axis=axis)
    total = np.where(some, numbers, 0.0).sum(axis=axis)
    made: Floats = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return made
