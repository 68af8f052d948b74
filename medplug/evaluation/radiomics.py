"""Texture in numbers: statistics of grey images that no network had to learn.

The names and the formulae are those of the Image Biomarker Standardisation Initiative (IBSI reference manual, 2020),
on the whole image: intensity statistics (section 3.3), intensity histogram (3.4) and the grey level co-occurrence
matrix (3.6) of the four directions, merged and symmetric. Grey levels have a fixed bin size of 1/16 of the scale.
Beside them stand the size of the gradient, of the Laplacian, and local binary patterns (Ojala et al. 2002).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEVELS = 16
DISTANCES = (1, 2)
SMALLEST = 2 * max(DISTANCES) + 1
"""Pixels a side of an image that has a texture at these distances."""

_BLOCK = 256  # images at a time: the matrices of all would not fit a cache
_TINY = 1e-12


def radiomics(images: NDArray[np.float32]) -> tuple[tuple[str, ...], Floats]:
    """Return the names of the statistics, and those of `images` [N, H, W], 0 to 1, as [N, F]."""
    if images.ndim != 3 or min(images.shape[1:]) < SMALLEST:
        raise ValueError(f"images of shape {images.shape}; want [N, H, W], at least {SMALLEST} a side")
    names: tuple[str, ...] = ()
    rows = []
    for start in range(0, len(images), _BLOCK):
        found = dict(_statistics(images[start : start + _BLOCK].astype(np.float64)))
        names = tuple(found)
        rows.append(np.stack(list(found.values()), axis=1))
    return names, np.concatenate(rows) if rows else np.empty((0, 0))


def _statistics(images: Floats) -> Iterator[tuple[str, Floats]]:
    yield from _intensity(images.reshape(len(images), -1))
    levels = np.minimum((np.clip(images, 0, 1) * LEVELS).astype(np.int64), LEVELS - 1)
    yield from _histogram(levels)
    for distance in DISTANCES:
        for name, values in _co_occurrence(_matrices(levels, distance)):
            yield f"{name}, distance {distance}", values
    yield from _edges(images)
    yield from _patterns(images)


def _intensity(flat: Floats) -> Iterator[tuple[str, Floats]]:
    mean = flat.mean(axis=1)
    centred = flat - mean[:, None]
    variance = (centred**2).mean(axis=1)
    low, quarter, median, three_quarters, high = np.percentile(flat, [10, 25, 50, 75, 90], axis=1)
    yield "mean", mean
    yield "variance", variance
    yield "skewness", (centred**3).mean(axis=1) / np.maximum(variance, _TINY) ** 1.5
    yield "excess kurtosis", (centred**4).mean(axis=1) / np.maximum(variance, _TINY) ** 2 - 3
    yield "median", median
    yield "10th percentile", low
    yield "90th percentile", high
    yield "interquartile range", three_quarters - quarter
    yield "mean absolute deviation", np.abs(centred).mean(axis=1)


def _histogram(levels: NDArray[np.int64]) -> Iterator[tuple[str, Floats]]:
    shares = _counted(levels.reshape(len(levels), -1), LEVELS) / levels[0].size
    yield "discretised intensity entropy", _entropy(shares)
    yield "discretised intensity uniformity", (shares**2).sum(axis=1)


def _matrices(levels: NDArray[np.int64], distance: int) -> Floats:
    """How often grey levels i and j lie `distance` apart, as shares [N, LEVELS, LEVELS]."""
    rows, columns = levels.shape[1:]
    found = np.zeros((len(levels), LEVELS * LEVELS))
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        down, right = down * distance, right * distance
        one = levels[:, : rows - down, max(0, -right) : columns - max(0, right)]
        other = levels[:, down:, max(0, right) : columns - max(0, -right)]
        found += _counted((one * LEVELS + other).reshape(len(levels), -1), LEVELS * LEVELS)
    matrices = found.reshape(-1, LEVELS, LEVELS)
    matrices = matrices + matrices.transpose(0, 2, 1)
    shares: Floats = matrices / matrices.sum(axis=(1, 2), keepdims=True)
    return shares


def _co_occurrence(shares: Floats) -> Iterator[tuple[str, Floats]]:
    level = np.arange(1, LEVELS + 1, dtype=np.float64)
    row, column = level[:, None], level[None, :]
    apart = np.abs(row - column)
    flat = shares.reshape(len(shares), -1)
    average = (shares * row).sum(axis=(1, 2))
    from_average = row - average[:, None, None]
    variance = (shares * from_average**2).sum(axis=(1, 2))
    differences = np.stack([shares[:, apart == step].sum(axis=1) for step in range(LEVELS)], axis=1)
    difference: Floats = differences @ np.arange(LEVELS)
    product = from_average * (column - average[:, None, None])
    together = from_average + (column - average[:, None, None])
    yield "joint maximum", flat.max(axis=1)
    yield "joint average", average
    yield "joint variance", variance
    yield "joint entropy", _entropy(flat)
    yield "difference average", difference
    yield "difference variance", (differences * (np.arange(LEVELS) - difference[:, None]) ** 2).sum(axis=1)
    yield "difference entropy", _entropy(differences)
    yield "angular second moment", (flat**2).sum(axis=1)
    yield "contrast", (shares * apart**2).sum(axis=(1, 2))
    yield "inverse difference", (shares / (1 + apart)).sum(axis=(1, 2))
    yield "correlation", (shares * product).sum(axis=(1, 2)) / np.maximum(variance, _TINY)
    yield "cluster shade", (shares * together**3).sum(axis=(1, 2))


def _edges(images: Floats) -> Iterator[tuple[str, Floats]]:
    """The size of the central gradient and of the five-point Laplacian, inside the border."""
    inner = images[:, 1:-1, 1:-1]
    down = (images[:, 2:, 1:-1] - images[:, :-2, 1:-1]) / 2
    right = (images[:, 1:-1, 2:] - images[:, 1:-1, :-2]) / 2
    gradient = np.hypot(down, right).reshape(len(images), -1)
    around = images[:, 2:, 1:-1] + images[:, :-2, 1:-1] + images[:, 1:-1, 2:] + images[:, 1:-1, :-2]
    laplacian = np.abs(around - 4 * inner).reshape(len(images), -1)
    yield "mean gradient", gradient.mean(axis=1)
    yield "deviation of the gradient", gradient.std(axis=1)
    yield "90th percentile of the gradient", np.percentile(gradient, 90, axis=1)
    yield "mean Laplacian", laplacian.mean(axis=1)
    yield "90th percentile of the Laplacian", np.percentile(laplacian, 90, axis=1)


def _patterns(images: Floats) -> Iterator[tuple[str, Floats]]:
    """Shares of the rotation-invariant uniform patterns of 8 neighbours: how many are at least as bright.

    The share of patterns that are not uniform follows from the others, and is left out.
    """
    rows, columns = images.shape[1:]
    inner = images[:, 1:-1, 1:-1]
    ring = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))
    brighter = np.stack([images[:, r : rows - 2 + r, c : columns - 2 + c] >= inner for r, c in ring])
    changes = (brighter != np.roll(brighter, 1, axis=0)).sum(axis=0)
    pattern = np.where(changes <= 2, brighter.sum(axis=0), 9)
    shares = _counted(pattern.reshape(len(images), -1), 10) / inner[0].size
    for number in range(9):
        yield f"local binary pattern {number}", shares[:, number]


def _counted(numbers: NDArray[np.int64], below: int) -> Floats:
    """How often each number from 0 to `below` - 1 stands in each row of `numbers` [N, M], as [N, below]."""
    offset = np.arange(len(numbers))[:, None] * below
    return np.bincount((numbers + offset).ravel(), minlength=len(numbers) * below).reshape(-1, below).astype(np.float64)


def _entropy(shares: Floats) -> Floats:
    """In bits, of shares [N, K] that sum to 1."""
    bits: Floats = -(shares * np.log2(np.where(shares > 0, shares, 1))).sum(axis=1)
    return bits
