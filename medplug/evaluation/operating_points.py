"""Operating points for a stated aim: the best balance, or at least so much sensitivity or specificity.

A threshold that had a specificity of 0.90 on a few validation rows has less on the next rows about half of the time,
and much less where nearly separated scores leave the threshold to a handful of easy rows. So a stated rate is taken as
a promise, and kept in two steps:

1. Only thresholds whose rate keeps the promise with 95 % confidence are considered. Of n independent rows, k must lie
   on the right side, where k is the least for which a binomial of n and the rate stays below k with a probability of
   0.95 (Wilks 1941, a tolerance limit without assumptions on the distribution). Rows of one patient count as one.
2. Of these, the one with the most room is taken that costs nothing measurable: the farthest whose other rate lies
   within one standard error of the best. It leaves the tail, where a few rows decide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from msgspec.structs import replace as with_fields
from numpy.typing import NDArray

from ..errors import CallError
from ..model_folder import Threshold
from .questions import Question
from .scores import NORMAL_95, Floats, Truths
from .youden import cuts, youden

Kind = Literal["youden", "sensitivity", "specificity"]

CONFIDENCE = 0.95

LEAST_ROWS = 10
"""With fewer rows nothing is fitted."""

LEAST_OF_A_KIND = 5
"""With fewer rows that have a label, or that do not, no threshold is chosen between the two."""


@dataclass(frozen=True)
class Aim:
    """What a threshold is chosen for: "youden", or at least a `rate`, 0 to 1, of sensitivity or of specificity."""

    kind: Kind
    rate: float = 0.0

    @property
    def how(self) -> str:
        """How a card says it: "youden", "specificity 0.90"."""
        if self.kind == "youden":
            return "youden"
        hundredths = round(100 * self.rate, 9)
        return f"{self.kind} {self.rate:.2f}" if hundredths == round(hundredths) else f"{self.kind} {self.rate:g}"


YOUDEN = Aim("youden")

AIMS = (
    YOUDEN,
    Aim("sensitivity", 0.95),
    Aim("sensitivity", 0.90),
    Aim("specificity", 0.95),
    Aim("specificity", 0.90),
)
"""What is chosen at every training."""

_PROMISES: dict[str, Kind] = {"sensitivity": "sensitivity", "specificity": "specificity"}


def aim_of(text: str) -> Aim:
    """Read "youden", "sensitivity=0.95" or "specificity=0.9"; `CallError` for anything else."""
    kind, equals, rate = text.strip().partition("=")
    if kind == "youden" and not equals:
        return YOUDEN
    promise = _PROMISES.get(kind)
    if promise is not None:
        try:
            value = float(rate)
        except ValueError:
            value = math.nan
        if 0 < value < 1:
            return Aim(promise, value)
    raise CallError(f"{text!r} is no aim: write youden, sensitivity=0.95 or specificity=0.9, the rate between 0 and 1")


def promised(point: Threshold) -> tuple[float | None, float | None]:
    """Return the sensitivity and the specificity that a point stands for: the rate aimed at, or what it reached."""
    kind, _, rate = point.how.partition(" ")
    sensitivity = float(rate) if kind == "sensitivity" else point.sensitivity
    specificity = float(rate) if kind == "specificity" else point.specificity
    return sensitivity, specificity


def choose(question: Question, aim: Aim) -> Threshold | str:
    """Return the operating point for an aim, from validation rows, or why there is none."""
    if aim.kind == "youden":
        here = int(question.positive.sum())
        others = len(question.positive) - here
        if here + others < LEAST_ROWS or min(here, others) < LEAST_OF_A_KIND:
            return (
                f"{here} validation rows have it and {others} do not; wanted are {LEAST_ROWS} rows, and "
                f"{LEAST_OF_A_KIND} of either kind"
            )
        point = youden(question.scores, question.positive, question.label)
        missing = "its score does not tell the rows that have it from the others"
        return missing if point is None else with_intervals(point, question)
    kept = question.positive if aim.kind == "sensitivity" else ~question.positive
    units, what = question.units(kept), "have it" if aim.kind == "sensitivity" else "do not have it"
    least = least_share(units, aim.rate)
    if least is None:
        return f"{units} validation rows or patients {what}, and {fewest(aim.rate)} are wanted to promise {aim.how}"
    found = _roomy(question, aim, least)
    return f"no threshold has {aim.how}" if found is None else with_intervals(found, question)


def _roomy(question: Question, aim: Aim, least: float) -> Threshold | None:
    values, sensitivity, specificity = cuts(question.scores, question.positive)
    wanted, other = (sensitivity, specificity) if aim.kind == "sensitivity" else (specificity, sensitivity)
    keeps = wanted >= least - 1e-12
    if not keeps.any():
        return None
    units = question.units(~question.positive if aim.kind == "sensitivity" else question.positive)
    best = float(other[keeps].max())
    error = math.sqrt(best * (1 - best) / units) if units else 0.0
    among = np.flatnonzero(keeps & (other >= best - error - 1e-12)) if units else np.flatnonzero(keeps)
    farthest = (aim.kind == "specificity") == bool(units)  # with one kind of rows nothing says what room costs
    place = among[-1] if farthest else among[0]
    return Threshold(
        label=question.label,
        value=float(values[place]),
        how=aim.how,
        split="val",
        rows=len(question.scores),
        sensitivity=float(sensitivity[place]) if question.positive.any() else None,
        specificity=float(specificity[place]) if not question.positive.all() else None,
    )


def least_share(units: int, rate: float) -> float | None:
    """Return which share of `units` independent rows must be right for `rate` to hold of others, at 95 % confidence.

    None where even all of them would not do.
    """
    below = 0.0  # P(Binomial(units, rate) <= k)
    for k in range(units):
        logarithm = math.lgamma(units + 1) - math.lgamma(k + 1) - math.lgamma(units - k + 1)
        below += math.exp(logarithm + k * math.log(rate) + (units - k) * math.log1p(-rate))
        if below >= CONFIDENCE:
            return (k + 1) / units
    return None


def fewest(rate: float) -> int:
    """Return how many independent rows can promise a rate at all, when every one of them is right."""
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(rate))


def with_intervals(point: Threshold, question: Question) -> Threshold:
    """Return the point with 95 % intervals of its rates; rows of one patient count for as much as they tell."""
    reached, positive = question.scores >= point.value, question.positive
    return with_fields(
        point,
        sensitivity_interval=_interval(reached[positive], question.clusters[positive]),
        specificity_interval=_interval(~reached[~positive], question.clusters[~positive]),
    )


def _interval(hit: Truths, clusters: NDArray[np.int64]) -> tuple[float, float] | None:
    if not len(hit):
        return None
    share, independent = float(hit.mean()), effective_rows(hit, clusters)
    return wilson(share * independent, independent)


def effective_rows(hit: Truths | Floats, clusters: NDArray[np.int64]) -> float:
    """Return how many independent rows would tell a share as well (Kish 1965): rows / design effect.

    The variance is that of a ratio over clusters. Where all rows agree, each cluster counts once.
    """
    rows, share = len(hit), float(hit.mean())
    numbers, place = np.unique(clusters, return_inverse=True)
    units = len(numbers)
    if units == rows or share in (0.0, 1.0) or units == 1:
        return float(units)
    apart = np.bincount(place, weights=hit - share, minlength=units)
    variance = float((apart**2).sum()) / rows**2 * units / (units - 1)
    return min(float(rows), share * (1 - share) / variance) if variance > 0 else float(rows)


def wilson(hits: float, rows: float) -> tuple[float, float]:
    """Return the 95 % score interval of a proportion (Wilson 1927); it is honest for few rows and at 0 and 1."""
    share_, weight = hits / rows, NORMAL_95**2 / rows
    middle = (share_ + weight / 2) / (1 + weight)
    half = NORMAL_95 / (1 + weight) * math.sqrt(share_ * (1 - share_) / rows + weight / (4 * rows))
    return 0.0 if hits == 0 else middle - half, 1.0 if hits == rows else middle + half  # exact, not nearly
