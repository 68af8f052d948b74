"""The figures of a task, made of answers to rows; their definitions are those of `medplug evaluate`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...evaluation.answered import Answered
from ...evaluation.classification_tally import exclusive
from ...evaluation.scores import Floats, area, share
from ...model import Task
from .summary import Statistics

SPECIFICITY_ERROR = "specificity error"

COMPARED = {
    Task.CLASSIFICATION: ("accuracy", "balanced accuracy", "macro AUC"),
    Task.ANOMALY: ("AUROC",),
    Task.GENERATION: (),
}
"""The figures in which a model is compared with the baselines, by task."""

_SHOWN = (*COMPARED[Task.CLASSIFICATION], "ECE")


PCA_GENERATOR = "PCA generator"
"""In the label of a generator's figure: that of a Gaussian fitted to the pixels of what it learned from."""

TAUGHT = "AUC of a classifier of generated images"
"""What a classifier reaches that has seen a generator's images alone."""

_OF_PCA = {TAUGHT: "AUC of a classifier of PCA images"}
_DIFFERENCES = ("accuracy gained", "pointing hit above")
_LOWER = ("ECE", "Frechet", "near copies", SPECIFICITY_ERROR)


def whole_name(name: str, label: str | None) -> str:
    """Return what a figure that is not made of rows is called: its name and, in brackets, its label."""
    return name if label is None else f"{name} ({label})"


def of_pca(figure: str) -> str:
    """Return what the same figure of a PCA generator is called."""
    return _OF_PCA.get(figure) or (
        f"{figure[:-1]}, {PCA_GENERATOR})" if figure.endswith(")") else f"{figure} ({PCA_GENERATOR})"
    )


def lower_is_better(figure: str) -> bool:
    """Return whether less is more."""
    return figure.startswith(_LOWER)


def bounds(figure: str) -> tuple[float, float]:
    """Return the least and the largest value that a figure can have: most are shares, some differences of shares."""
    if figure.startswith("Frechet"):
        return 0.0, math.inf
    return (-1.0 if figure.startswith(_DIFFERENCES) else 0.0), 1.0


def classification(
    numbers: Floats, truth: NDArray[np.int64], names: Sequence[str], promises: Mapping[str, tuple[float, float]]
) -> Statistics:
    """Return the figures of probabilities [N, labels] of rows with the labels `truth` [N].

    "macro AUC" of two labels is the plain AUC. `promises` give by label a threshold and the specificity that it had on
    validation rows: "specificity error" is by how much it is off here, at the label that is off the most.
    """
    tally = exclusive(_answered(numbers, names), truth, (), 0)

    def statistics(weights: Floats) -> Mapping[str, Floats]:
        all_of_them = tally.statistics(weights)
        found = {name: all_of_them[name, None] for name in _SHOWN}
        off = [
            np.abs(share(numbers[:, names.index(label)] < cut, truth != names.index(label), weights) - promised)
            for label, (cut, promised) in promises.items()
        ]
        if off:
            found[SPECIFICITY_ERROR] = np.max(off, axis=0)
        return found

    return statistics


def anomaly(scores: Floats, anomalous: NDArray[np.bool_]) -> Statistics:
    """Return "AUROC" of scores [N]."""
    return lambda weights: {"AUROC": area(scores, anomalous, weights)}


def _answered(numbers: Floats, names: Sequence[str]) -> Answered:
    rows: NDArray[Any] = np.arange(len(numbers), dtype=np.int64)
    return Answered(numbers=numbers, rows=rows, sources=("",) * len(numbers), names=tuple(names))
