"""Abstention: the confidence below which the least sure answers lie, and how right the others are.

Chow's rule (1957): withholding the least sure answers first loses the fewest right ones for every wrong one spared.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CallError
from ..figures import Curve
from ..model_folder import Abstention
from .scores import Floats, Truths
from .tally import Key, Share

COVERAGES = (0.9, 0.8, 0.7)
"""At which the accuracy is measured, beside that of all answers."""

_POINTS = 200


def confidences(probabilities: Floats, exclusive: bool) -> Floats:
    """Return how sure each answer [N, L] is, as `operating.confidence` says it of one."""
    sure: Floats = probabilities.max(axis=1) if exclusive else np.maximum(probabilities, 1 - probabilities).min(axis=1)
    return sure


def checked_coverage(coverage: float) -> float:
    """Return a coverage that can be fitted; `CallError` for one that is no share of the rows."""
    if not 0 < coverage < 1:
        raise CallError(f"a coverage of {coverage:g}: say which part of the images is to be answered, 0.9 for instance")
    return coverage


def fit_abstention(sure: Floats, coverage: float) -> Abstention:
    """Return the highest confidence that at least `coverage` of the validation rows `sure` [N] reach.

    It stands midway between two rows, so that rounding withholds none of those that reach it.
    """
    falling = np.sort(sure)[::-1]
    last = falling[int(np.ceil(coverage * len(falling) - 1e-9)) - 1]
    below = falling[falling < last]
    limit = last if not len(below) else (last + below[0]) / 2
    return Abstention(confidence=float(limit), coverage=coverage, split="val", rows=len(sure))


def accuracy_at(sure: Floats, right: Floats, weights: Floats) -> dict[Key, Floats]:
    """Return the accuracy of the most sure part of the rows, by part; `right` [N] is 0 to 1, `weights` [D, N]."""
    order = np.argsort(-sure, kind="stable")
    drawn = weights[:, order]
    reached, hits = np.cumsum(drawn, axis=1), np.cumsum(drawn * right[order], axis=1)
    found: dict[Key, Floats] = {}
    for coverage in COVERAGES:
        place = (reached < coverage * reached[:, -1:] - 1e-9).sum(axis=1)
        rows = np.arange(len(weights))
        found[_name(coverage), None] = hits[rows, place] / reached[rows, place]
    return found


def covered(sure: Floats, right: Floats) -> dict[Key, Share]:
    """Return what each of these accuracies is a share of: the most sure rows as they are."""
    order = np.argsort(-sure, kind="stable")
    found: dict[Key, Share] = {}
    for coverage in COVERAGES:
        among = np.zeros(len(sure), dtype=np.bool_)
        among[order[: int(np.ceil(coverage * len(sure) - 1e-9))]] = True
        found[_name(coverage), None] = Share(right, among)
    return found


def _name(coverage: float) -> str:
    return f"accuracy at {coverage * 100:.0f} % coverage"


def coverage_curve(sure: Floats, right: Floats) -> tuple[Curve, ...]:
    """Return the accuracy of the most sure part of the rows against that part; nothing for no rows."""
    count = len(sure)
    if not count:
        return ()
    order = np.argsort(-sure, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(sure[order]) < 0, True))  # rows that are equally sure go together
    ends = ends[np.unique(np.linspace(0, len(ends) - 1, min(len(ends), _POINTS)).round().astype(int))]
    accuracy = np.cumsum(right[order])[ends] / (ends + 1)
    return (Curve(kind="coverage", label=None, x=tuple(((ends + 1) / count).tolist()), y=tuple(accuracy.tolist())),)


def rightness(told: Truths, truth: NDArray[Any]) -> Floats:
    """Return which part of each row's known labels [N, L] is answered rightly; 0 where none is known."""
    known = np.isfinite(truth)
    agree = (told == (truth > 0)) & known
    part: Floats = agree.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return part
