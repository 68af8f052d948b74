"""A model's answers to the rows of a dataset, reduced to the numbers that evaluation and calibration need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..case import Case
from ..dataset import Dataset
from ..errors import CallError
from ..model import Labels
from ..model_folder import LoadedModel
from ..result import Anomaly, Classification, Prediction, Regression, Result, Segmentation
from ..session import Session

Progress = Callable[[int, int], None]
"""Called with how many rows are done and how many there are."""


@dataclass(frozen=True, eq=False)
class Answered:
    """What a model said about the rows of a dataset that it did not refuse.

    `numbers` [N, K] holds for each row the probability of each of `names`, an anomaly's score, the value of each of
    `names`, or for each of `names` the pixels of the overlap, of the answer and of the reference mask (NaN where the
    row has none). `rows` [N] are the dataset's rows; `refused` are the results of the others. `novel` [N] says which
    are unlike what the model was trained on, and is empty where the model has no measure of it.
    """

    numbers: NDArray[np.float64]
    rows: NDArray[np.int64]
    sources: tuple[str, ...]
    names: tuple[str, ...]
    refused: tuple[Result, ...] = ()
    novel: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, dtype=np.bool_))

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, which: NDArray[np.intp]) -> Answered:
        """Return the answers at the places `which`, in this order; what was refused stays."""
        return replace(
            self,
            numbers=self.numbers[which],
            rows=self.rows[which],
            sources=tuple(self.sources[place] for place in which),
            novel=self.novel[which] if len(self.novel) else self.novel,
        )


def answer(session: Session, dataset: Dataset, progress: Progress | None = None) -> Answered:
    """Ask a session about every row, exactly as in service. Maps and masks are dropped as soon as they are read."""
    names = session.loaded.labels.names or dataset.labels.names
    numbers: list[list[float]] = []
    rows: list[int] = []
    sources: list[str] = []
    refused: list[Result] = []
    novel: list[bool] = []
    for row, answered in enumerate(session.answer(dataset.cases)):
        if not answered.result.answered:
            refused.append(answered.result)
        else:
            assert answered.case is not None
            numbers.append(_numbers(answered.result.prediction, answered.case, names))
            rows.append(row)
            sources.append(answered.result.case.source)
            if answered.result.novelty is not None:
                novel.append(answered.result.novelty.novel)
        if progress is not None:
            progress(row + 1, len(dataset.cases))
    return Answered(
        numbers=np.array(numbers, dtype=np.float64).reshape(len(rows), -1 if rows else 0),
        rows=np.array(rows, dtype=np.int64),
        sources=tuple(sources),
        names=names,
        refused=tuple(refused),
        novel=np.array(novel, dtype=np.bool_),
    )


def _numbers(prediction: Any, case: Case, names: tuple[str, ...]) -> list[float]:
    if isinstance(prediction, Classification):
        return _named(prediction.probabilities, names, prediction)
    if isinstance(prediction, Regression):
        return _named(prediction.values, names, prediction)
    if isinstance(prediction, Anomaly):
        return [prediction.score]
    if isinstance(prediction, Segmentation):
        return _overlaps(prediction, case, names)
    raise CallError(f"a {type(prediction).__name__.lower()} cannot be compared with a row's label")


def _named(values: dict[str, float], names: tuple[str, ...], prediction: Prediction) -> list[float]:
    missing = [name for name in names if name not in values]
    if missing:
        kind = type(prediction).__name__.lower()
        raise CallError(f"the {kind} gives no {', '.join(missing)}; it gives {', '.join(values)}")
    return [values[name] for name in names]


def _overlaps(prediction: Segmentation, case: Case, names: tuple[str, ...]) -> list[float]:
    if case.mask is None:
        return [np.nan] * (3 * len(names))
    answer, reference = prediction.mask, case.mask.read()[0]
    if answer is None or answer.shape != reference.shape:
        raise CallError(f"{case.reference.source}: the reference mask does not lie on the image's grid")
    found: list[float] = []
    for name in names:
        if name not in prediction.labels:
            raise CallError(f"the segmentation gives no {name}; it gives {', '.join(prediction.labels)}")
        inside = answer == prediction.labels.index(name) + 1
        wanted = reference == names.index(name) + 1
        found += [float((inside & wanted).sum()), float(inside.sum()), float(wanted.sum())]
    return found


def targets_in_order(dataset: Dataset, labels: Labels) -> NDArray[Any]:
    """Return the targets in the order of a model's labels; `CallError` when the data knows others.

    Exclusive targets are [N] int64, the others [N, L] float with NaN where unknown.
    """
    theirs, ours = dataset.labels.names, labels.names
    targets: NDArray[Any] = dataset.targets
    if theirs == ours or not ours:
        return targets
    strange = [name for name in theirs if name not in ours]
    if strange:
        raise CallError(
            f"the data has the label {', '.join(map(repr, strange))}, which the model does not know; "
            f"it knows {', '.join(ours)}"
        )
    if targets.ndim == 1:
        order = np.array([ours.index(name) for name in theirs], dtype=np.int64)
        moved: NDArray[Any] = np.where(targets < 0, targets, order[targets])
        return moved
    reordered = np.full((len(targets), len(ours)), np.nan)
    reordered[:, [ours.index(name) for name in theirs]] = targets
    return reordered


def normal_of(loaded: LoadedModel) -> str | None:
    """Return the label of the rows that an anomaly model was trained on, None when it was trained on all."""
    training = None if loaded.card is None else loaded.card.training
    return None if training is None else training.normal


def anomalous_rows(dataset: Dataset, normal: str) -> NDArray[np.bool_]:
    """Return which rows do not have the label `normal`, named as the model or as the data names it; `CallError`."""
    for names in (dataset.labels.names, dataset.labels.values):
        if normal in names and dataset.targets.ndim == 1:
            different: NDArray[np.bool_] = dataset.targets != names.index(normal)
            return different
    known = ", ".join(dataset.labels.names) or "none"
    raise CallError(
        f"no label {normal!r} for the normal rows among labels that shut each other out; the data has {known}"
    )
