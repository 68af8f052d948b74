"""Each label as a question of yes or no: the score that a threshold cuts, and the rows whose answer is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..dataset import Dataset
from ..model import Labels, Task
from ..operating import ANOMALOUS
from .answered import Answered, anomalous_rows, targets_in_order
from .scores import Floats, Truths


@dataclass(frozen=True, eq=False)
class Question:
    """Whether a row has `label`: `scores` [N], larger for yes, and `positive` [N].

    `rows` [N] are places among the answered rows. `clusters` [N] numbers the patient of each row, or the row itself.
    """

    label: str
    scores: Floats
    positive: Truths
    rows: NDArray[np.intp]
    clusters: NDArray[np.int64]

    def of(self, which: Truths) -> Question:
        """Return the same question of the rows `which` [N]."""
        return Question(self.label, self.scores[which], self.positive[which], self.rows[which], self.clusters[which])

    def units(self, which: Truths) -> int:
        """Return how many independent rows, or patients, are among the rows `which` [N]."""
        return len(np.unique(self.clusters[which]))


def questions(
    task: Task, labels: Labels, answered: Answered, rows: Dataset, normal: str | None = None
) -> tuple[Question, ...]:
    """Return the questions that answers to a dataset's `rows` can be cut into; none for tasks without labels.

    Of an anomaly model there is one, whether a row is not `normal`: none where that is not known.
    """
    clusters = clusters_of(rows, answered.rows)
    if task is Task.ANOMALY:
        if normal is None:
            return ()
        anomalous, known = anomalous_rows(rows, normal)[answered.rows], np.flatnonzero(rows.targets[answered.rows] >= 0)
        return (Question(ANOMALOUS, answered.numbers[known, 0], anomalous[known], known, clusters[known]),)
    if task is not Task.CLASSIFICATION:
        return ()
    truth = targets_in_order(rows, labels)[answered.rows]
    found = []
    for index, name in enumerate(answered.names):
        if labels.exclusive:
            known, positive = np.flatnonzero(truth >= 0), truth == index
        else:
            known, positive = np.flatnonzero(np.isfinite(truth[:, index])), truth[:, index] > 0
        found.append(Question(name, answered.numbers[known, index], positive[known], known, clusters[known]))
    return tuple(found)


def clusters_of(rows: Dataset, places: NDArray[np.intp]) -> NDArray[np.int64]:
    """Return the number of the patient of each row at `places`; where patients are not known each has its own."""
    if rows.patients is None:
        return np.arange(len(places))
    numbers: NDArray[np.int64] = np.unique(rows.patients[places], return_inverse=True)[1].astype(np.int64)
    return numbers
