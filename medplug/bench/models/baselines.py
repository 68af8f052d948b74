"""What needs no network: the rows that a model must beat before anything is said of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...case import Case
from ...dataset import Dataset
from ...errors import CallError
from ...evaluation.probes import PROBES, probe_scores
from ...model import Task
from ...pipeline import Pipeline, Prepared, prepare_or_refuse
from ...preprocessing import Display, Percentiles, Preprocessing, Resize

MAJORITY, PCA = "majority", "PCA-16"

_SIDE = {2: 32, 3: 16}  # larger images are shrunk to it, by number of dimensions
_COMPONENTS = 16

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Images [N, 1, ...] of 0 to 1 and the rows of the dataset that they are: those that can be read."""

    images: NDArray[np.float32]
    rows: NDArray[np.intp]


def pictures(dataset: Dataset) -> Pictures:
    """Return a dataset's images as displayed, in grey, small and all of one shape."""
    shape = dataset.cases[0].image.shape
    sides = tuple(min(side, _SIDE[len(shape)]) for side in shape)
    preprocessing = Preprocessing(
        values=Display(fallback=Percentiles(0.5, 99.5)), channels="grey", geometry=(Resize(sides),)
    )
    pipeline = Pipeline(preprocessing)

    def prepared(case: Case) -> NDArray[np.float32] | None:
        made = prepare_or_refuse(pipeline, case)
        return made.arrays["image"] if isinstance(made, Prepared) else None

    with ThreadPoolExecutor() as pool:
        found = list(pool.map(prepared, dataset.cases))
    rows = np.array([row for row, image in enumerate(found) if image is not None], np.intp)
    if not len(rows):
        raise CallError("no image can be read for the baselines")
    return Pictures(np.stack([image for image in found if image is not None]), rows)


def answers(task: Task, learned: Pictures, targets: NDArray[np.int64], asked: Pictures) -> dict[str, Floats]:
    """Return each baseline's answers to images, [M, labels] or [M, 1].

    `targets` [N] are the labels of what is learned; an anomaly model's baseline learns the normal ones, `targets` 0.
    """
    if task is Task.ANOMALY:
        return {PCA: mahalanobis(learned.images[targets == 0], asked.images)[:, None]}
    shares = np.bincount(targets) / len(targets)
    found = {MAJORITY: np.tile(shares, (len(asked.images), 1))}
    for kind in PROBES:
        found[kind] = probe_scores(kind, learned.images, targets, asked.images)
    return found


def mahalanobis(learned: NDArray[np.float32], asked: NDArray[np.float32], count: int = _COMPONENTS) -> Floats:
    """Return the distances [M] from the mean of what is learned, within its first `count` principal components."""
    flat = learned.reshape(len(learned), -1).astype(np.float64)
    middle = flat.mean(axis=0)
    _, lengths, axes = np.linalg.svd(flat - middle, full_matrices=False)
    count = min(count, int((lengths > 1e-9 * lengths[0]).sum()))
    spread = lengths[:count] / np.sqrt(max(len(flat) - 1, 1))
    placed = (asked.reshape(len(asked), -1) - middle) @ axes[:count].T
    distances: Floats = np.sqrt(((placed / spread) ** 2).sum(axis=1))
    return distances
