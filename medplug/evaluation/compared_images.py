"""The images that an evaluation of a generator compares: real ones on its own grid, its own, and a PCA generator's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..case import Case
from ..dataset import Dataset
from ..errors import CallError, PreprocessingError, SourceError
from ..preprocessing import Normalize
from ..result import Generated
from ..session import Session
from . import frechet
from .answered import Progress

UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class Images:
    """Images [N, C, H, W] of 0 to 1 in steps of 1/255, as files hold them; `labels` [N] are numbers, -1 if unknown.

    `names` [N] says where each is from. `patients` [N] numbers them, each its own where that is not known.
    """

    pixels: NDArray[np.float32]
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    patients: NDArray[np.int64]
    refused: int = 0

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, rows: NDArray[np.intp]) -> Self:
        """Return these images, in this order."""
        names = tuple(self.names[row] for row in rows)
        return type(self)(self.pixels[rows], self.labels[rows], names, self.patients[rows], self.refused)


def real(generator: Session, rows: Dataset, most: int, seed: int) -> Images:
    """Return at most `most` rows in an order of `seed`'s, without those that the generator's way refuses."""
    order = np.random.default_rng(seed).permutation(len(rows))[:most]
    contract = generator.loaded.contract
    admitted = [row for row in order if contract.admit(rows.cases[row]) is None]
    with ThreadPoolExecutor(generator.workers) as pool:
        prepared = pool.map(lambda row: _prepared(generator, rows.cases[row]), admitted)
        found = [(row, image) for row, image in zip(admitted, prepared) if image is not None]
    if len({image.shape for _, image in found}) > 1:
        raise CallError(f"{generator.loaded.model.name} prepares images of several shapes; none can be compared")
    kept = np.array([row for row, _ in found], dtype=np.intp)
    pixels = np.stack([image for _, image in found]) if found else np.empty((0, 1, 1, 1), dtype=np.float32)
    normalize = generator.loaded.preprocessing.normalize
    if isinstance(normalize, Normalize) and found:
        shape = (-1,) + (1,) * (pixels.ndim - 2)
        pixels = pixels * np.reshape(normalize.std, shape) + np.reshape(normalize.mean, shape)
    labels = rows.targets[kept] if rows.targets.ndim == 1 else np.full(len(kept), UNKNOWN)
    patients = np.unique(rows.patients[kept], return_inverse=True)[1] if rows.patients is not None else kept
    return Images(
        pixels=in_eight_bits(pixels),
        labels=labels.astype(np.int64),
        names=tuple(rows.cases[row].reference.source for row in kept),
        patients=patients.astype(np.int64),
        refused=len(order) - len(found),
    )


def generated(generator: Session, count: int, seed: int, progress: Progress | None) -> tuple[Images, int]:
    """Return `count` images of the generator and how many it withheld; those that it cannot make are left out."""
    names = generator.loaded.labels.names
    made: list[Generated] = []
    withheld = refused = 0
    for index, result in enumerate(generator.generate(count, seed)):
        if isinstance(result.prediction, Generated):
            made.append(result.prediction)
            withheld += result.prediction.withheld
        else:
            refused += 1
        if progress is not None:
            progress(index + 1, count)
    if len(made) < 2:
        raise CallError(f"{generator.loaded.model.name} made {len(made)} images of {count}: none can be compared")
    labels = [UNKNOWN if one.label is None else names.index(one.label) for one in made]
    return Images(
        pixels=in_eight_bits(np.stack([one.image for one in made])),
        labels=np.array(labels, dtype=np.int64),
        names=tuple(f"seed {seed}, image {one.index}" for one in made),
        patients=np.arange(len(made)),
        refused=refused,
    ), withheld


def gaussian(learned: Images, count: int, seed: int) -> Images:
    """Draw `count` images from Gaussians fitted to the pixels of `learned`, one for each label, as often as these.

    That is a generator of all principal components. Where no label is known there is one Gaussian.
    """
    generator = np.random.default_rng(seed)
    labels = generator.choice(learned.labels, count)
    pixels = np.empty((count, *learned.pixels.shape[1:]), dtype=np.float32)
    for label in np.unique(labels):
        own, of_label = labels == label, learned.pixels[learned.labels == label]
        source = of_label if len(of_label) > 1 else learned.pixels
        pixels[own] = frechet.sample_like(source, int(own.sum()), int(generator.integers(2**32)))
    names = tuple(f"Gaussian {index}" for index in range(count))
    return Images(in_eight_bits(pixels), labels.astype(np.int64), names, np.arange(count))


def in_eight_bits(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round to steps of 1/255: a texture of finer grey values than files hold would tell the generated at once."""
    rounded: NDArray[np.float32] = (np.rint(np.clip(images, 0, 1) * 255) / 255).astype(np.float32)
    return rounded


def _prepared(session: Session, case: Case) -> NDArray[np.float32] | None:
    try:
        return next(iter(session.pipeline.prepare(case).arrays.values()))
    except (SourceError, PreprocessingError):
        return None
