"""Shrink, then turn: how libraries without an antialiased rotation do one, and the sums that it takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..work import Work


@dataclass(frozen=True, eq=False)
class Shrunk:
    """One image of a warp: the part of it that is needed, the size to shrink that to, and the map that is left.

    `first` and `last` bound the part, `size` is (rows, columns), and `rest` maps an output index to the shrunk image.
    `blur` is the deviation of a Gaussian as wide as the item's own filter, for libraries that blur and do not shrink.
    """

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    size: tuple[int, int]
    rest: NDArray[np.float64]
    unshrunk: NDArray[np.float64]
    blur: tuple[float, float]

    def part(self, image: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return a view of what is needed."""
        return image[self.first[0] : self.last[0], self.first[1] : self.last[1]]


def shrunk(work: Work, n: int) -> Shrunk:
    """Work it out for image `n`."""
    linear, shift = work.to_stored[n, :, :-1], work.to_stored[n, :, -1]
    supports, sizes = work.supports(n), np.array(work.stored.shape[1:])
    rows, columns = np.array(work.shape) - 1
    corners = np.array([[0, 0], [rows, 0], [0, columns], [rows, columns]]) @ linear.T + shift
    first = np.clip(np.floor(corners.min(axis=0) - supports - 1), 0, sizes - 2).astype(np.int64)
    last = np.clip(np.ceil(corners.max(axis=0) + supports + 2), first + 2, sizes).astype(np.int64)
    size = np.maximum(2, np.round((last - first) / supports)).astype(np.int64)
    factor = (last - first) / size
    unshrunk = np.column_stack([linear, shift - first])
    rest = unshrunk / factor[:, None]
    rest[:, -1] = (unshrunk[:, -1] + 0.5) / factor - 0.5
    blurs = tuple((supports / np.sqrt(6)).tolist())  # a triangle of half-width s has the variance s * s / 6
    return Shrunk(first, last, (int(size[0]), int(size[1])), rest, unshrunk, blurs)


def xy(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a map in index order, or several, with x first, as OpenCV, Pillow and SimpleITK write it."""
    return np.concatenate([affine[..., ::-1, -2::-1], affine[..., ::-1, -1:]], axis=-1)


def corner_based(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a map between pixel centres as one between coordinates in which a pixel's centre is at a half."""
    moved = affine.copy()
    moved[..., -1] += 0.5 - 0.5 * affine[..., :-1].sum(axis=-1)
    return moved
