"""The figures of answers that are numbers or masks: anomaly scores, regressions, segmentations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..figures import Scored
from ..model import Labels
from ..model_folder import Threshold
from ..operating import ANOMALOUS
from .answered import Answered
from .scores import Floats, area, explained, mean
from .tally import Area, Key, Kind, Share, Tally, across, most, roc, shares, small


def anomaly(
    answered: Answered,
    truth: NDArray[Any],
    anomalous: NDArray[np.bool_] | None,
    labels: Labels,
    thresholds: Sequence[Threshold],
) -> Tally:
    """Tally anomaly scores; `truth` [N] is the index of each row's label, `anomalous` [N] which are not normal.

    "AUROC" of the score against `anomalous`, and by label where several are anomalous: each against the normal rows.
    "sensitivity", "specificity" and "precision" at the stored threshold. Nothing where `anomalous` is not known.
    """
    scores = answered.numbers[:, 0]
    if anomalous is None:
        note = "no label is known to be normal, so there is nothing to compare the scores with"
        return Tally(statistics=lambda weights: {}, notes=(note,))
    cut = next((point.value for point in thresholds if point.label == ANOMALOUS), None)
    different = {name: truth == index for index, name in enumerate(labels.names) if (truth == index).any()}
    findings = {name: here for name, here in different.items() if anomalous[here].all()}
    everywhere = np.ones(len(scores), dtype=np.bool_)
    kinds: dict[Key, Kind] = {("AUROC", None): Area(anomalous, everywhere)}
    if len(findings) > 1:
        kinds |= {("AUROC", name): Area(here, here | ~anomalous) for name, here in findings.items()}
    if cut is not None:
        reached = scores >= cut
        kinds["sensitivity", None] = Share(reached, anomalous)
        kinds["specificity", None] = Share(~reached, ~anomalous)
        kinds["precision", None] = Share(anomalous, reached)
        kinds["accuracy", None] = Share(reached == anomalous, everywhere)

    def statistics(weights: Floats) -> dict[Key, Floats]:
        areas = {
            key: area(scores[kind.among], kind.positive[kind.among], weights[:, kind.among])
            for key, kind in kinds.items()
            if isinstance(kind, Area)
        }
        return areas | shares(kinds, weights)

    counts = {name: int(here.sum()) for name, here in different.items()}
    worst: tuple[Scored, ...] = ()
    if cut is not None:
        worst = tuple(
            Scored(
                source=answered.sources[row],
                truth=labels.names[truth[row]],
                answer=ANOMALOUS if scores[row] >= cut else "normal",
                score=float(scores[row]),
            )
            for row in most(np.abs(scores - cut), (scores >= cut) != anomalous)
        )
    return Tally(
        statistics=statistics,
        kinds=kinds,
        labels=tuple(counts),
        counts=counts,
        curves=tuple(roc(scores, anomalous, None)),
        worst=worst,
        notes=small(counts) + (() if cut is not None else ("the model has no threshold: errors are not listed",)),
    )


def regression(answered: Answered, truth: NDArray[Any]) -> Tally:
    """Tally numbers; `truth` [N, V]. By name: "MAE" and "RMSE" in its own unit, and "R2"."""
    names, told = answered.names, answered.numbers
    truth = truth.astype(np.float64)
    errors = np.abs(told - truth)

    def statistics(weights: Floats) -> dict[Key, Floats]:
        found: dict[Key, Floats] = {}
        for index, name in enumerate(names):
            found["MAE", name] = mean(errors[:, index], weights)
            found["RMSE", name] = np.sqrt(mean(errors[:, index] ** 2, weights))
            found["R2", name] = explained(truth[:, index], told[:, index], weights)
        return found

    spread = np.nanstd(truth, axis=0)
    sized = np.nan_to_num(errors / np.where(spread > 0, spread, 1))  # names have units of their own
    worst = []
    for place in most(sized.ravel(), sized.ravel() > 0):
        row, index = divmod(place, len(names))
        worst.append(
            Scored(
                source=answered.sources[row],
                truth=f"{names[index]} {truth[row, index]:g}",
                answer=f"{told[row, index]:g}",
                score=float(errors[row, index]),
            )
        )
    return Tally(statistics=statistics, labels=names, worst=tuple(worst))


def segmentation(answered: Answered) -> Tally:
    """Tally masks by the pixels of overlap, answer and reference: "Dice" and "IoU", the mean over the cases.

    A label that neither mask of a case shows is left out of that case; without a label, the mean over the labels.
    """
    names = answered.names
    overlap, told, wanted = np.moveaxis(answered.numbers.reshape(len(answered), len(names), 3), 2, 0)
    some = told + wanted > 0
    dice = np.where(some, 2 * overlap / np.where(some, told + wanted, 1), np.nan)
    union = np.where(some, overlap / np.where(some, told + wanted - overlap, 1), np.nan)

    def statistics(weights: Floats) -> dict[Key, Floats]:
        found: dict[Key, Floats] = {}
        for kind, values in (("Dice", dice), ("IoU", union)):
            for index, name in enumerate(names):
                found[kind, name] = mean(values[:, index], weights)
            found[kind, None] = across([found[kind, name] for name in names])
        return found

    counts = {name: int((wanted[:, index] > 0).sum()) for index, name in enumerate(names)}
    worst = []
    for place in most(-np.nan_to_num(dice, nan=1.0).ravel(), (dice < 1).ravel()):
        row, index = divmod(place, len(names))
        worst.append(
            Scored(
                source=answered.sources[row],
                truth=f"{names[index]} {wanted[row, index]:.0f} pixels",
                answer=f"{told[row, index]:.0f} pixels, {overlap[row, index]:.0f} of them there",
                score=float(dice[row, index]),
            )
        )
    return Tally(statistics=statistics, labels=names, counts=counts, worst=tuple(worst), notes=small(counts))
