"""The thresholds between scores, and of these the one with the best balance."""

from __future__ import annotations

import numpy as np

from ..model_folder import Threshold
from .scores import Floats, Truths


def cuts(scores: Floats, positive: Truths) -> tuple[Floats, Floats, Floats]:
    """Return every threshold between two scores, rising, with its sensitivity and its specificity.

    Each stands midway, so that rounding moves no row across. The rate of a kind that no row has is 0 throughout.
    """
    values, place = np.unique(scores, return_inverse=True)
    here = np.bincount(place, weights=positive, minlength=len(values))
    there = np.bincount(place, weights=~positive, minlength=len(values))
    sensitivity = (here.sum() - (np.cumsum(here) - here)) / max(here.sum(), 1)  # positive from this value on
    specificity = (np.cumsum(there) - there) / max(there.sum(), 1)
    midway = (values[:-1] + values[1:]) / 2
    between = np.where(values[:-1] < midway, midway, values[1:])  # neighbours without a number between them
    return between, sensitivity[1:], specificity[1:]  # not the first: to call every row positive is no threshold


def youden(scores: Floats, positive: Truths, label: str) -> Threshold | None:
    """Return the threshold with the largest sensitivity + specificity - 1 (Youden 1950).

    Of equals the most sensitive is taken. None for one kind of rows, and where no threshold is better than chance.
    """
    if positive.all() or not positive.any():
        return None
    values, sensitivity, specificity = cuts(scores, positive)
    both = np.round(sensitivity + specificity, 12)
    if not len(both) or both.max() <= 1:
        return None
    best = int(np.argmax(both))
    return Threshold(
        label=label,
        value=float(values[best]),
        how="youden",
        split="val",
        rows=len(scores),
        sensitivity=float(sensitivity[best]),
        specificity=float(specificity[best]),
    )
