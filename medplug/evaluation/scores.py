"""Scores under weights: how well answers fit the truth, for many weightings of the same rows at once.

`weights` is [D, N]: D weightings of N rows, ones for the rows as they are and multiplicities for a bootstrap draw.
Every score is [D]; NaN where it cannot be had, such as the recall of a label that no row has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]

NORMAL_95 = 1.959963984540054
"""The standard errors on either side of an estimate that make a 95 % interval, where it is normally distributed."""

BINS = 15
"""Of the expected calibration error, as in Guo et al. 2017."""


def mean(values: Floats, weights: Floats) -> Floats:
    """Return the weighted mean of `values` [N], of which NaN do not count."""
    known = np.isfinite(values)
    return ratio(weights[:, known] @ values[known], weights[:, known].sum(axis=1))


def share(hit: Truths, among: Truths, weights: Floats) -> Floats:
    """Return which part of the rows `among` [N] are also `hit` [N]."""
    return ratio(weights[:, hit & among].sum(axis=1), weights[:, among].sum(axis=1))


def area(scores: Floats, positive: Truths, weights: Floats) -> Floats:
    """Return the area under the ROC curve: how often a positive row scores above a negative one, ties half."""
    order = np.argsort(scores, kind="stable")
    if not len(order):
        return np.full(len(weights), np.nan)
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    ordered = weights[:, order]
    above = np.add.reduceat(ordered * positive[order], starts, axis=1)
    below = np.add.reduceat(ordered * ~positive[order], starts, axis=1)
    before = np.cumsum(below, axis=1) - below
    won = (above * (before + below / 2)).sum(axis=1)
    return ratio(won, above.sum(axis=1) * below.sum(axis=1))


def bin_of(stated: Floats) -> NDArray[np.int64]:
    """Return into which of `BINS` equal bins of 0 to 1 each probability [N] falls."""
    place: NDArray[np.int64] = np.minimum((stated * BINS).astype(np.int64), BINS - 1)
    return place


def calibration_error(stated: Floats, right: Truths, weights: Floats) -> Floats:
    """Return the expected calibration error of probabilities `stated` [N]: over equal bins, |observed - stated|."""
    member = np.eye(BINS)[bin_of(stated)]
    gaps = np.abs(weights @ (member * (right - stated)[:, None]))
    return ratio(gaps.sum(axis=1), weights.sum(axis=1))


def explained(truth: Floats, answer: Floats, weights: Floats) -> Floats:
    """Return the coefficient of determination, 1 - residual / total sum of squares."""
    known = np.isfinite(truth) & np.isfinite(answer)
    truth, answer, weights = truth[known], answer[known], weights[:, known]
    middle = ratio(weights @ truth, weights.sum(axis=1))
    total = (weights * (truth - middle[:, None]) ** 2).sum(axis=1)
    return 1 - ratio(weights @ (truth - answer) ** 2, total)


def log_loss(probability: Floats) -> Floats:
    """Return each row's loss, -log of the probability that it gave to the truth, at most 30 (no row is infinite)."""
    return -np.log(np.maximum(probability, np.exp(-30.0)))


def roc_curve(scores: Floats, positive: Truths, points: int = 400) -> tuple[Floats, Floats]:
    """Return 1 - specificity and sensitivity from (0, 0) to (1, 1), as threshold falls; at most about `points`."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    sensitivity = np.append(0.0, np.cumsum(positive[order])[ends] / max(positive.sum(), 1))
    fall_out = np.append(0.0, np.cumsum(~positive[order])[ends] / max((~positive).sum(), 1))
    turns = np.flatnonzero(
        np.diff(fall_out[:-1]) * np.diff(sensitivity[1:]) != np.diff(sensitivity[:-1]) * np.diff(fall_out[1:])
    )
    keep = np.concatenate([[0], turns + 1, [len(ends)]])
    if len(keep) > points:
        keep = keep[np.unique(np.linspace(0, len(keep) - 1, points).round().astype(int))]
    return fall_out[keep], sensitivity[keep]


def calibration_curve(stated: Floats, right: Truths, bins: int = 10) -> tuple[Floats, Floats]:
    """Return the mean stated and the observed frequency of each equal bin that is not empty."""
    place = np.minimum((stated * bins).astype(np.int64), bins - 1)
    count = np.bincount(place, minlength=bins)
    some = count > 0
    mean_stated = np.bincount(place, weights=stated, minlength=bins)[some] / count[some]
    return mean_stated, np.bincount(place, weights=right, minlength=bins)[some] / count[some]


def ratio(above: Floats, below: Floats) -> Floats:
    """Return the quotients; NaN where there is nothing below."""
    quotient: Floats = np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)
    return quotient


def midranks(values: NDArray[np.floating[Any]]) -> Floats:
    """Return ranks [N] from 1, of ties their mean."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends: NDArray[np.int64] = np.cumsum(counts)
    ranks: Floats = (ends - (counts - 1) / 2)[place]
    return ranks
