"""DeLong's test (1988) of two areas under ROC curves on the same rows, by ranks (Sun and Xu 2014)."""

from __future__ import annotations

import math

from ..comparison_figures import DeLong
from .scores import NORMAL_95, Floats, Truths, midranks


def delong(first: Floats, second: Floats, positive: Truths, label: str | None = None) -> DeLong | None:
    """Test whether two scores [N] of the same rows have the same area; None where the rows are too few to say.

    Each row must be a patient of its own: the variance takes rows as independent. It is 0 where the scores put all rows
    in the same order, or each of them is perfect or the same for all rows, and there is no test then.
    """
    if min(positive.sum(), (~positive).sum()) < 2:
        return None
    parts = [placements(scores, positive) for scores in (first, second)]
    areas = [float(of_positive.mean()) for of_positive, _ in parts]
    # The difference's own placements: the variance of a difference needs no covariance that way.
    variance = sum(float((one - other).var(ddof=1)) / len(one) for one, other in zip(*parts, strict=True))
    if variance <= 1e-18:
        return None
    difference, error = areas[0] - areas[1], math.sqrt(variance)
    return DeLong(
        label=label,
        difference=difference,
        low=max(-1.0, difference - NORMAL_95 * error),
        high=min(1.0, difference + NORMAL_95 * error),
        p=math.erfc(abs(difference) / error / math.sqrt(2)),
    )


def placements(scores: Floats, positive: Truths) -> tuple[Floats, Floats]:
    """Return for each positive row which part of the negative ones it stands above, and for each negative below.

    Ties count half. From midranks among all rows and among rows of its own kind, so that no pair is ever formed.
    """
    above, below = scores[positive], scores[~positive]
    ranks = midranks(scores)
    of_positive = (ranks[positive] - midranks(above)) / len(below)
    of_negative = 1 - (ranks[~positive] - midranks(below)) / len(above)
    return of_positive, of_negative
