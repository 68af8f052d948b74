"""Operating points on rows that did not choose them: the rates they have there, and predictive values by prevalence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import CallError
from ..model_folder import LoadedModel, Threshold
from ..operating_figures import Drift, Predictive, Rate
from .bootstrap import Estimate, estimate
from .operating_points import promised, wilson
from .questions import Question
from .scores import Floats

PREVALENCES = (0.01, 0.05, 0.10, 0.20, 0.50)
"""At which predictive values are told when no prevalence is named."""


@dataclass(frozen=True, eq=False)
class _Point:
    """A point and its columns among the counted ones: true positives, positives, true negatives, negatives."""

    point: Threshold
    columns: Floats

    @staticmethod
    def at(point: Threshold, question: Question, rows: int) -> _Point:
        reached, positive = question.scores >= point.value, question.positive
        columns = np.zeros((rows, 4))
        columns[question.rows] = np.stack([reached & positive, positive, ~reached & ~positive, ~positive], axis=1)
        return _Point(point, columns)


def drift(
    loaded: LoadedModel,
    asked: Sequence[Question],
    clusters: NDArray[np.int64],
    prevalence: Mapping[str, float],
    resamples: int,
    seed: int,
) -> tuple[tuple[Drift, ...], tuple[Predictive, ...]]:
    """Return the drift of every stored point, and the predictive values of those in force.

    `clusters` [N] numbers the patient of each answered row, `prevalence` is by label; where it is empty the values are
    those at the rows' own prevalence and at `PREVALENCES`. `CallError` for a label without a threshold, or no fraction.
    """
    forced = {point.label: point for point in loaded.thresholds}
    by_label = {question.label: question for question in asked}
    _check(prevalence, {label for label in forced if label in by_label})
    every = dict.fromkeys([*loaded.thresholds, *loaded.operating_points])
    points = [_Point.at(one, by_label[one.label], len(clusters)) for one in every if one.label in by_label]
    points.sort(key=lambda one: list(by_label).index(one.point.label))
    if not points:
        return (), ()
    told = {label: _told(by_label[label], label, prevalence) for label in forced if label in by_label}
    counted = np.concatenate([one.columns for one in points], axis=1)

    def statistics(weights: Floats) -> dict[tuple[object, ...], Floats]:
        sums = (weights @ counted).reshape(len(weights), len(points), 4)
        found: dict[tuple[object, ...], Floats] = {}
        for index, one in enumerate(points):
            true_positive, positives, true_negative, negatives = np.moveaxis(sums[:, index], 1, 0)
            sensitivity, specificity = _part(true_positive, positives), _part(true_negative, negatives)
            found[index, "sensitivity"], found[index, "specificity"] = sensitivity, specificity
            if forced.get(one.point.label) != one.point:
                continue
            for at, sample in told[one.point.label]:
                share = _part(positives, positives + negatives) if sample else np.full(len(weights), at)
                hit, miss = sensitivity * share, (1 - sensitivity) * share
                found[index, at, sample, "positive"] = _part(hit, hit + (1 - specificity) * (1 - share))
                found[index, at, sample, "negative"] = _part(
                    specificity * (1 - share), specificity * (1 - share) + miss
                )
        return found

    found = estimate(statistics, clusters, resamples, seed)
    drifts, values = [], []
    for index, one in enumerate(points):
        in_force = forced.get(one.point.label) == one.point
        promise, question = promised(one.point), by_label[one.point.label]
        drifts.append(
            Drift(
                label=one.point.label,
                how=one.point.how,
                value=one.point.value,
                in_force=in_force,
                promised_sensitivity=promise[0],
                promised_specificity=promise[1],
                sensitivity=_rate(found.get((index, "sensitivity")), question.units(question.positive)),
                specificity=_rate(found.get((index, "specificity")), question.units(~question.positive)),
            )
        )
        values += [
            Predictive(
                label=one.point.label,
                prevalence=at,
                sample=sample,
                positive=_worth(
                    found.get((index, at, sample, "positive")), drifts[-1].sensitivity, drifts[-1].specificity, at
                ),
                negative=_worth(
                    found.get((index, at, sample, "negative")), drifts[-1].specificity, drifts[-1].sensitivity, 1 - at
                ),
            )
            for at, sample in (told[one.point.label] if in_force else ())
        ]
    return tuple(drifts), tuple(values)


def _told(question: Question, label: str, prevalence: Mapping[str, float]) -> tuple[tuple[float, bool], ...]:
    """The prevalences at which a label's predictive values are told, and whether each is the rows' own."""
    if label in prevalence:
        return ((prevalence[label], False),)
    own = (float(question.positive.mean()), True)
    return (own, *((at, False) for at in PREVALENCES)) if not prevalence else (own,)


def _check(prevalence: Mapping[str, float], labels: set[str]) -> None:
    for label, at in prevalence.items():
        if label not in labels:
            raise CallError(
                f"no threshold is in force for {label!r}, so a prevalence tells nothing; "
                f"there are thresholds for {', '.join(sorted(labels)) or 'no label'}"
            )
        if not 0 < at < 1:
            raise CallError(f"a prevalence of {at:g} for {label}: want a fraction between 0 and 1, 0.05 for 5 %")


def _part(above: Floats, below: Floats) -> Floats:
    quotient: Floats = np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)
    return quotient


def _rate(found: Estimate | None, units: int = 0) -> Rate | None:
    """A rate with its interval; of `units` rows or patients that all agree, whose draws say nothing, Wilson's."""
    if found is None:
        return None
    low, high = found.low, found.high
    if units and low is not None and found.value in (0.0, 1.0):
        low, high = wilson(round(found.value) * units, units)
    return Rate(value=found.value, low=low, high=high)


def _worth(found: Estimate | None, right: Rate | None, other: Rate | None, share: float) -> Rate | None:
    """A predictive value. `right` is the rate of these answers among the `share` that they are right of.

    `other` is the rate of the opposite answers among the rest. A value of 1 comes of an `other` of 1, and a value of 0
    of a `right` of 0: then all draws agree and say nothing, and the end of that rate's interval bounds the value.
    """
    rate = _rate(found)
    if rate is None or rate.low is None or rate.value not in (0.0, 1.0) or right is None or other is None:
        return rate
    if rate.value == 1.0 and other.low is not None:
        hit = right.value * share
        return Rate(value=1.0, low=hit / (hit + (1 - other.low) * (1 - share)), high=1.0)
    if rate.value == 0.0 and right.high is not None:
        hit = right.high * share
        return Rate(value=0.0, low=0.0, high=hit / (hit + (1 - other.value) * (1 - share)))
    return rate
