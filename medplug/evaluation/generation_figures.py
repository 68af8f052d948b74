"""How far generated images lie from real ones, in the features of a classifier."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..case import Case
from ..dataset import Dataset
from ..errors import CallError, PreprocessingError, SourceError
from ..figures import Figure
from ..preprocessing import Display, Normalize, Percentiles
from ..result import Generated
from ..session import Session
from ..sources import from_array
from . import frechet
from .answered import Progress

MOST = 2000
"""Images of each kind, unless more are asked for."""

DISTANCE = "Frechet distance"
GAUSSIAN = "Frechet distance of a Gaussian fitted to the pixels"
REAL = "Frechet distance of other real images"
RATIO = "Frechet distance, share of the Gaussian's"

_BATCH = 64


@dataclass(frozen=True, eq=False)
class Distances:
    """The figures of a generator, how many real rows they were compared with, and how many it refuses."""

    figures: tuple[Figure, ...]
    rows: int
    refused: int
    notes: tuple[str, ...]


def distances(
    generator: Session,
    classifier: Session,
    dataset: Dataset,
    split: str,
    samples: int | None,
    seed: int,
    progress: Progress | None = None,
) -> Distances:
    """Compare `samples` generated images with the rows of `split` (Heusel et al. 2017), and two anchors with them.

    The anchors are as many images drawn from a Gaussian fitted to the pixels of the train rows, and other real
    images. All of them lie on the generator's own grid and enter the classifier as images in memory on a 0 to 1 scale.
    """
    _check(classifier)
    real, refused = _real(generator, dataset.of(split), seed)
    if len(real) < 4:
        raise CallError(f"a Fréchet distance wants at least 4 {split} rows, and there are {len(real)}")
    count = samples if samples is not None else min(len(real), MOST)
    if count < 2:
        raise CallError(f"a Fréchet distance of {count} generated images: want at least 2")
    notes = [f"{count} generated images against {len(real)} {split} rows, on the generator's own grid"]
    learned = real[:0] if split == "train" else _real(generator, dataset.of("train"), seed)[0]
    if len(learned) >= 2:
        against, other = real, learned[: len(real)]
        notes.append(f"the other real images are {len(other)} train rows")
    else:
        learned = real
        against, other = real[::2], real[1::2]
        notes.append(f"the Gaussian is fitted to the {split} rows; the other real images are one half of them")
    reference = frechet.fit(_features(classifier, real))
    made = frechet.fit(_features(classifier, _generated(generator, count, seed, progress)))
    blurred = frechet.fit(_features(classifier, frechet.sample_like(learned, count, seed)))
    halves = reference if against is real else frechet.fit(_features(classifier, against))
    found = {
        DISTANCE: frechet.distance(made, reference),
        GAUSSIAN: frechet.distance(blurred, reference),
        REAL: frechet.distance(frechet.fit(_features(classifier, other)), halves),
    }
    if found[GAUSSIAN] > 0:
        found[RATIO] = found[DISTANCE] / found[GAUSSIAN]
    features = len(reference.mean)
    if min(count, len(real)) <= features:
        notes.append(
            f"fewer images than the {features} features: distances are too large by a common amount, "
            "so compare them with each other only"
        )
    notes.append("no intervals: to draw rows twice makes a Fréchet distance larger, not uncertain")
    return Distances(
        figures=tuple(Figure(name=name, value=value) for name, value in found.items()),
        rows=len(real),
        refused=refused,
        notes=tuple(notes),
    )


def _check(classifier: Session) -> None:
    """Generated images are on a 0 to 1 scale: a preprocessing in modality units would misread them."""
    values = classifier.loaded.preprocessing.values
    if not isinstance(values, Display | Percentiles):
        raise CallError(
            f"{classifier.loaded.model.name} reads values as {type(values).__name__.lower()}, and generated images "
            "are on a 0 to 1 scale: name a classifier with values as displayed"
        )


def _real(generator: Session, rows: Dataset, seed: int) -> tuple[NDArray[np.float32], int]:
    """Return at most `MOST` rows as images [N, C, ...] of 0 to 1, and how many the generator's way refuses."""
    order = np.random.default_rng(seed).permutation(len(rows))[:MOST]
    contract = generator.loaded.contract
    cases = [case for case in (rows.cases[row] for row in order) if contract.admit(case) is None]
    with ThreadPoolExecutor(generator.workers) as pool:
        found = pool.map(lambda case: _prepared(generator, case), cases)
        images = [image for image in found if image is not None]
    shapes = {image.shape for image in images}
    if len(shapes) > 1:
        raise CallError(f"{generator.loaded.model.name} prepares images of several shapes; none can be compared")
    normalize = generator.loaded.preprocessing.normalize
    stacked = np.stack(images) if images else np.empty((0,), dtype=np.float32)
    if isinstance(normalize, Normalize) and images:
        shape = (-1,) + (1,) * (stacked.ndim - 2)
        stacked = stacked * np.reshape(normalize.std, shape) + np.reshape(normalize.mean, shape)
    return np.clip(stacked, 0, 1).astype(np.float32), len(order) - len(images)


def _prepared(session: Session, case: Case) -> NDArray[np.float32] | None:
    try:
        return next(iter(session.pipeline.prepare(case).arrays.values()))
    except (SourceError, PreprocessingError):
        return None


def _generated(generator: Session, count: int, seed: int, progress: Progress | None) -> Iterator[NDArray[np.float32]]:
    for index, result in enumerate(generator.generate(count, seed)):
        assert isinstance(result.prediction, Generated)
        yield result.prediction.image
        if progress is not None:
            progress(index + 1, count)


def _features(classifier: Session, images: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the features [N, F] of images [C, ...] of 0 to 1, through the classifier's contract and preprocessing."""
    found, waiting = [], []
    for index, image in enumerate(images):
        case = from_array(image, dims=image.ndim - 1, channels_first=True, name=f"image {index}", value_range=(0, 1))
        refused = classifier.loaded.contract.admit(case)
        if refused is not None:
            raise CallError(f"{classifier.loaded.model.name} refuses generated images: {refused.reason}")
        waiting.append(classifier.pipeline.prepare(case))
        if len(waiting) == _BATCH:
            found.append(classifier.features(waiting))
            waiting = []
    if waiting:
        found.append(classifier.features(waiting))
    return np.concatenate(found)
