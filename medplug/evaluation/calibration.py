"""Calibration slope and intercept: whether probabilities are too extreme, and whether they are too high (Cox 1958).

The slope b is that of a logistic regression of the truth on the log-odds that were stated, log-odds = a + b * stated: 1
is right, below 1 the probabilities are too extreme, above 1 too timid. The intercept is a with b = 1: 0 is right, above
0 the probabilities are too low on the whole (Van Calster et al. 2016, "weak calibration").

Their intervals are the estimates -+ 1.96 standard errors of a sandwich whose meat is summed by patient (Liang and Zeger
1986), which also holds where the logistic curve does not.

Beside them stands what the expected calibration error would be by chance, were every probability right: of few rows it
is far from 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .bootstrap import Estimate
from .questions import Question
from .scores import BINS, NORMAL_95, Floats, Truths, bin_of
from .tally import SMALL, Key

SLOPE, INTERCEPT = "calibration slope", "calibration intercept"
BY_CHANCE = "ECE if calibrated"

_DRAWS = 500  # of the truth, from which the calibration error by chance is taken
_SURE = 2.0**-24  # the nearest to 1 that a probability of 32 bits comes: nearer to 0 or 1 nothing is told apart
_ALIKE = 1e-5  # log-odds so near each other are one answer, and the rounding of 32 bits
_ROUNDS = 50
_CLOSE = 1e-10
_FARTHEST = 4.0  # that any row's log-odds move in a round: far out the curve is flat, and Newton's steps are leaps


def calibration(
    asked: Sequence[Question], intervals: bool, exclusive: bool = False, seed: int = 0
) -> dict[Key, Estimate]:
    """Return slope and intercept of each label's probabilities; none with fewer than ten rows of either kind.

    There is no slope where the scores part the rows without an overlap, for it would be infinite, or are all the same
    but for rounding. The calibration error by chance is that of each label, or of `exclusive` ones together, like the
    error itself: of the probability of the answer.
    """
    found: dict[Key, Estimate] = {}
    intervals = intervals and any(len(np.unique(question.clusters)) > 1 for question in asked)
    if exclusive and asked:
        surest = np.max([question.scores for question in asked], axis=0)
        found[BY_CHANCE, None] = error_by_chance(surest, intervals, seed)
    for question in asked:
        if not exclusive:
            found[BY_CHANCE, question.label] = error_by_chance(question.scores, intervals, seed)
        positive, clusters = question.positive, question.clusters
        if min(positive.sum(), (~positive).sum()) < SMALL:
            continue
        stated = log_odds(question.scores)
        if _overlap(stated, positive):
            spread = stated.std()  # at one scale, Newton's equations can be solved however near the answers lie
            columns = np.stack([np.ones(len(stated)), (stated - stated.mean()) / spread], axis=1)
            place, error = logistic(columns, positive, np.zeros(len(stated)), clusters)
            found[SLOPE, question.label] = _estimate(place[1] / spread, error[1] / spread, intervals)
        place, error = logistic(np.ones((len(stated), 1)), positive, stated, clusters)
        found[INTERCEPT, question.label] = _estimate(place[0], error[0], intervals)
    return found


def error_by_chance(stated: Floats, interval: bool, seed: int) -> Estimate:
    """Return the mean calibration error of probabilities `stated` [N] that are right, where chance alone decides.

    The interval is what 95 % of draws of the truth have.
    """
    draws = np.random.default_rng(seed)
    place = bin_of(stated)
    errors = np.empty(_DRAWS)
    for draw in range(_DRAWS):
        right = draws.random(len(stated)) < stated
        errors[draw] = np.abs(np.bincount(place, right - stated, BINS)).sum() / max(len(stated), 1)
    if not interval:
        return Estimate(float(errors.mean()), None, None)
    low, high = np.quantile(errors, (0.025, 0.975))
    return Estimate(float(errors.mean()), float(low), float(high))


def log_odds(probabilities: Floats) -> Floats:
    """Return the log-odds of probabilities [N], those nearer to 0 or 1 than 2^-24 taken for that."""
    kept = np.clip(probabilities, _SURE, 1 - _SURE)
    odds: Floats = np.log(kept) - np.log1p(-kept)
    return odds


def logistic(columns: Floats, positive: Truths, offset: Floats, clusters: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the coefficients [K] of a logistic regression on `columns` [N, K], and their standard errors.

    By Newton's method, each step halved until it climbs. Errors are NaN where all rows are of one patient. The rows
    must have a maximum: both kinds, and in no column parted.
    """
    found = np.zeros(columns.shape[1])
    height = _likelihood(columns @ found + offset, positive)
    for _ in range(_ROUNDS):
        chance = _chance(columns @ found + offset)
        slope = columns.T @ (positive - chance)
        step = np.linalg.solve(_curvature(columns, chance), slope)
        step /= max(1.0, float(np.abs(columns @ step).max()) / _FARTHEST)
        while True:
            reached = _likelihood(columns @ (found + step) + offset, positive)
            if reached >= height or np.abs(step).max() < _CLOSE:
                break
            step = step / 2
        found, height = found + step, reached
        if np.abs(step).max() < _CLOSE:
            break
    chance = _chance(columns @ found + offset)
    numbers, place = np.unique(clusters, return_inverse=True)
    units = len(numbers)
    if units < 2:
        return found, np.full(len(found), np.nan)
    scores = np.zeros((units, len(found)))
    np.add.at(scores, place, columns * (positive - chance)[:, None])
    bread = np.linalg.inv(_curvature(columns, chance))
    variance = bread @ (scores.T @ scores) @ bread * units / (units - 1)
    return found, np.sqrt(np.diag(variance))


def _overlap(stated: Floats, positive: Truths) -> bool:
    """Whether no cut parts the answers to rows of both kinds, so that a slope is finite (Albert and Anderson 1984)."""
    with_it, without = stated[positive], stated[~positive]
    overlap = with_it.min() < without.max() and without.min() < with_it.max()
    return bool(overlap and np.ptp(stated) > _ALIKE)


def _chance(log_odds: Floats) -> Floats:
    chance: Floats = np.exp(-np.logaddexp(0, -log_odds))
    return chance


def _likelihood(log_odds: Floats, positive: Truths) -> float:
    return -float(np.logaddexp(0, np.where(positive, -log_odds, log_odds)).sum())


def _curvature(columns: Floats, chance: Floats) -> Floats:
    curvature: Floats = (columns * (chance * (1 - chance))[:, None]).T @ columns
    return curvature


def _estimate(value: float, error: float, interval: bool) -> Estimate:
    if not interval or not np.isfinite(error):
        return Estimate(float(value), None, None)
    return Estimate(float(value), float(value - NORMAL_95 * error), float(value + NORMAL_95 * error))
