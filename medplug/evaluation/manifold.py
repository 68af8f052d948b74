"""How much of one set of images lies where another does (Kynkäänniemi et al. 2019, improved precision and recall).

The manifold of a set is the union of balls about its rows of features, each as wide as the distance to the k-th
nearest other row. Precision is the share of generated rows in the manifold of the real ones, recall the share of real
rows in that of the generated. Both grow with the number of rows: compare sets of equal sizes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CallError

NEIGHBOURS = 3
"""The k of the paper."""

_BLOCK = 1024


def inside(rows: NDArray[Any], manifold: NDArray[Any], neighbours: int = NEIGHBOURS) -> NDArray[np.bool_]:
    """Say which of `rows` [N, F] lie in the manifold of the rows `manifold` [M, F], [N]."""
    if len(manifold) <= neighbours:
        raise CallError(f"a manifold of {len(manifold)} images: want more than {neighbours}")
    radius = np.concatenate(
        [
            np.partition(distances(block, manifold), neighbours, axis=1)[:, neighbours]  # the nearest is itself
            for block in _blocks(manifold)
        ]
    )
    found = [(distances(block, manifold) <= radius).any(axis=1) for block in _blocks(rows)]
    return np.concatenate(found) if found else np.empty(0, bool)


def nearest(rows: NDArray[Any], others: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the Euclidean distance [N] of `rows` [N, F] to the nearest of `others` [M, F], and which it is."""
    apart, which = [np.empty(0)], [np.empty(0, np.intp)]
    for block in _blocks(rows):
        found = distances(block, others)
        which.append(found.argmin(axis=1))
        apart.append(found.min(axis=1))
    return np.concatenate(apart), np.concatenate(which)


def distances(rows: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float64]:
    """Return the Euclidean distances [N, M]."""
    rows, others = rows.astype(np.float64), others.astype(np.float64)
    squares = (rows**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * rows @ others.T
    apart: NDArray[np.float64] = np.sqrt(np.maximum(squares, 0))
    return apart


def _blocks(rows: NDArray[Any]) -> list[NDArray[Any]]:
    return [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]
