"""The spaces in which generated images are compared with real ones: no single one of them tells the whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ..case import Case
from ..errors import CallError
from ..preprocessing import Display, Percentiles
from ..session import Session
from ..sources import from_array
from .radiomics import SMALLEST, radiomics

Images = NDArray[np.float32]
Features = NDArray[np.float64]
Space = Callable[[Images], Features]
"""From images [N, C, H, W], 0 to 1, to features [N, F]."""

CLASSIFIER, RADIOMICS, PIXELS = "classifier", "radiomics", "pixels"

_COMPONENTS = 48
_FARTHEST = 4.0  # standard deviations: beyond, a few odd images would decide a covariance
_FITTED = 2000  # rows at most from which the pixels' principal components are taken
_BATCH = 64


def spaces(classifier: Session, learned: Images) -> Mapping[str, Space]:
    """Return the spaces by name, each fitted to `learned`, the real rows that the generator learned from.

    "classifier": what `Model.features` gives. "radiomics": the statistics of `radiomics` in standard deviations of the
    learned rows, 4 at most. "pixels": the first 48 principal components of the learned rows. Volumes, and images
    too small for a texture, have no radiomics.
    """
    _check(classifier)
    found: dict[str, Space] = {CLASSIFIER: lambda images: _classified(classifier, images)}
    if learned.ndim == 4 and min(learned.shape[2:]) >= SMALLEST:
        found[RADIOMICS] = _radiomics(learned)
    found[PIXELS] = _components(learned)
    return found


def _check(classifier: Session) -> None:
    """Generated images are on a 0 to 1 scale: a preprocessing in modality units would misread them."""
    values = classifier.loaded.preprocessing.values
    if not isinstance(values, Display | Percentiles):
        raise CallError(
            f"{classifier.loaded.model.name} reads values as {type(values).__name__.lower()}, and generated images "
            "are on a 0 to 1 scale: name a classifier with values as displayed"
        )


def _classified(classifier: Session, images: Images) -> Features:
    """The features of images through the classifier's own contract and preprocessing."""
    found = []
    for start in range(0, len(images), _BATCH):
        cases = [_case(classifier, image, start + place) for place, image in enumerate(images[start : start + _BATCH])]
        found.append(classifier.features([classifier.pipeline.prepare(case) for case in cases]))
    return np.concatenate(found).astype(np.float64)


def _case(classifier: Session, image: Images, index: int) -> Case:
    case = from_array(image, dims=image.ndim - 1, channels_first=True, name=f"image {index}", value_range=(0, 1))
    refused = classifier.loaded.contract.admit(case)
    if refused is not None:
        raise CallError(f"{classifier.loaded.model.name} refuses generated images: {refused.reason}")
    return case


def _radiomics(learned: Images) -> Space:
    _, values = radiomics(learned.mean(axis=1))
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    deviation = np.where(deviation > 1e-9, deviation, 1)

    def space(images: Images) -> Features:
        scaled: Features = np.clip((radiomics(images.mean(axis=1))[1] - mean) / deviation, -_FARTHEST, _FARTHEST)
        return scaled

    return space


def _components(learned: Images) -> Space:
    flat = learned[:_FITTED].reshape(min(len(learned), _FITTED), -1).astype(np.float64)
    mean = flat.mean(axis=0)
    components = np.linalg.svd(flat - mean, full_matrices=False)[2][:_COMPONENTS]

    def space(images: Images) -> Features:
        projected: Features = (images.reshape(len(images), -1).astype(np.float64) - mean) @ components.T
        return projected

    return space
