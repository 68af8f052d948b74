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
from .intervals import of_share, reaching
from .operating_points import promised
from .questions import Question
from .scores import Floats, Truths, ratio

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
            sensitivity, specificity = ratio(true_positive, positives), ratio(true_negative, negatives)
            found[index, "sensitivity"], found[index, "specificity"] = sensitivity, specificity
            if forced.get(one.point.label) != one.point:
                continue
            for at, sample in told[one.point.label]:
                share = ratio(positives, positives + negatives) if sample else np.full(len(weights), at)
                hit, miss = sensitivity * share, (1 - sensitivity) * share
                found[index, at, sample, "positive"] = ratio(hit, hit + (1 - specificity) * (1 - share))
                found[index, at, sample, "negative"] = ratio(
                    specificity * (1 - share), specificity * (1 - share) + miss
                )
        return found

    found = estimate(statistics, clusters, resamples, seed)
    drifts, values = [], []
    for index, one in enumerate(points):
        in_force = forced.get(one.point.label) == one.point
        promise, question = promised(one.point), by_label[one.point.label]
        reached, positive = question.scores >= one.point.value, question.positive
        sensitivity = _rate(found.get((index, "sensitivity")), reached[positive], question.clusters[positive])
        specificity = _rate(found.get((index, "specificity")), ~reached[~positive], question.clusters[~positive])
        drifts.append(
            Drift(
                label=one.point.label,
                how=one.point.how,
                value=one.point.value,
                in_force=in_force,
                promised_sensitivity=promise[0],
                promised_specificity=promise[1],
                reached_sensitivity=None if one.point.how.startswith("sensitivity") else one.point.sensitivity_interval,
                reached_specificity=None if one.point.how.startswith("specificity") else one.point.specificity_interval,
                sensitivity=sensitivity,
                specificity=specificity,
            )
        )
        values += [
            Predictive(
                label=one.point.label,
                prevalence=at,
                sample=sample,
                positive=_worth(found.get((index, at, sample, "positive")), at, (sensitivity, specificity)),
                negative=_worth(found.get((index, at, sample, "negative")), 1 - at, (specificity, sensitivity)),
            )
            for at, sample in (told[one.point.label] if in_force else ())
        ]
    return tuple(drifts), tuple(values)


def _told(question: Question, label: str, prevalence: Mapping[str, float]) -> tuple[tuple[float, bool], ...]:
    """The prevalences at which a label's predictive values are told, and whether each is the rows' own."""
    if label in prevalence:
        return ((prevalence[label], False),)
    if not len(question.positive):
        return ()  # nothing is known of any row
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


def _rate(found: Estimate | None, right: Truths, clusters: NDArray[np.int64]) -> Rate | None:
    """A rate with its interval, which keeps a width: of the rows that it is of, which are `right` [N]."""
    if found is None:
        return None
    one = reaching(found, of_share(right, clusters))
    return Rate(value=one.value, low=one.low, high=one.high)


def _worth(found: Estimate | None, share: float, rates: tuple[Rate | None, Rate | None]) -> Rate | None:
    """What an answer is worth that `share` of the rows should get; `rates`: right where it should, where it should not.

    It rises with either rate. One that is 0 or 1 on these rows is so in every draw, as if it were known to be: there
    the interval is made to reach what it is worth at the ends of that rate's own interval.
    """
    if found is None:
        return None
    ends = [(one.low, one.high) if one.value in (0.0, 1.0) else (one.value, one.value) for one in rates if one]
    if found.low is None or found.high is None or len(ends) < len(rates):
        return Rate(value=found.value, low=found.low, high=found.high)
    low, high = (_bayes(share, hit, calm) for hit, calm in zip(*ends))
    return Rate(
        value=found.value,
        low=found.low if low is None else min(found.low, low),
        high=found.high if high is None else max(found.high, high),
    )


def _bayes(share: float, hit: float | None, calm: float | None) -> float | None:
    """How often an answer is right that `hit` of those get who should, and all but `calm` of the others."""
    if hit is None or calm is None:
        return None
    given = hit * share + (1 - calm) * (1 - share)
    return hit * share / given if given > 0 else None
