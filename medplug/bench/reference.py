"""What the answer should be: float64, written down plainly, with nothing of medplug's kernels or geometry in it."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from .work import Work

PLACES = 1 << 14
"""How many output pixels of an item are compared, corners aside."""

_UNSURE = 1e-3
"""How near to a tie, in pixels, the nearest neighbour is either one."""


def places(work: Work, count: int = PLACES, seed: int = 0) -> NDArray[np.int64]:
    """Return [about count, 1 + n]: which (image, *index) are compared. All corners, and others drawn at random.

    Left out are those where libraries rightly differ: ties of the nearest neighbour, and the outermost pixel's
    width where the image ends in a constant.
    """
    shape = work.answer_shape
    total = int(np.prod(shape))
    flat = np.arange(total) if total <= count else np.random.default_rng(seed).integers(0, total, count)
    corners = np.array(list(itertools.product(*[(0, n - 1) for n in shape])))
    drawn = np.stack(np.unravel_index(flat, shape), axis=1)
    chosen = np.unique(np.concatenate([corners, drawn]), axis=0).astype(np.int64)
    position = _positions(work, chosen)
    sizes = np.array(work.stored.shape[1:])
    sure = np.ones(len(chosen), bool)
    if work.filter == "nearest":
        sure &= (np.abs(position - np.floor(position) - 0.5) > _UNSURE).all(axis=1)
    if work.outside is not None:
        sure &= (np.abs(position + 0.5) > 0.51).all(axis=1) & (np.abs(position - sizes + 0.5) > 0.51).all(axis=1)
    kept: NDArray[np.int64] = chosen[sure]
    return kept


def expected(work: Work, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the answer at the places [count, 1 + n]."""
    sizes = work.stored.shape[1:]
    position = _positions(work, chosen)
    if work.outside is None:
        position = np.clip(position, 0, np.array(sizes) - 1)
    supports = np.stack([work.supports(n) for n in range(len(work.stored))])[chosen[:, 0]]
    taps = [_taps(work.filter, position[:, n], supports[:, n]) for n in range(len(sizes))]

    total, weight = np.zeros(len(chosen)), np.zeros(len(chosen))
    for offsets in itertools.product(*[range(indices.shape[1]) for indices, _ in taps]):
        indices = [taps[n][0][:, offset] for n, offset in enumerate(offsets)]
        weights = np.prod([taps[n][1][:, offset] for n, offset in enumerate(offsets)], axis=0)
        inside = np.all([(index >= 0) & (index < n) for index, n in zip(indices, sizes)], axis=0)
        clipped = [np.clip(index, 0, n - 1) for index, n in zip(indices, sizes)]
        values = _modality(work, work.stored[(chosen[:, 0], *clipped)])
        if work.outside is None:
            weights = weights * inside
        else:
            values = np.where(inside, values, work.outside)
        total += weights * (_windowed(work, values) if work.values_first else values)
        weight += weights
    result = total / weight
    if not work.values_first:
        result = _windowed(work, result)
    return result if work.tone is None else (result - work.tone.mean) / work.tone.std


def _positions(work: Work, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
    maps = work.to_stored[chosen[:, 0]]
    placed: NDArray[np.float64] = np.einsum("kij,kj->ki", maps[:, :, :-1], chosen[:, 1:]) + maps[:, :, -1]
    return placed


def _taps(
    filter: str, position: NDArray[np.float64], support: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return which pixels one position reads along one axis, and how much of each: a triangle of this half-width."""
    if filter == "nearest":
        return np.floor(position + 0.5).astype(np.int64)[:, None], np.ones((len(position), 1))
    first = np.floor(position - support).astype(np.int64)
    indices = first[:, None] + np.arange(int(np.ceil(2 * support.max())) + 2)
    return indices, np.maximum(0.0, 1 - np.abs(indices - position[:, None]) / support[:, None])


def _modality(work: Work, stored: NDArray[np.generic]) -> NDArray[np.float64]:
    values = stored.astype(np.float64)
    return values if work.tone is None else values * work.tone.slope + work.tone.intercept


def _windowed(work: Work, values: NDArray[np.float64]) -> NDArray[np.float64]:
    if work.tone is None:
        return values
    shown = np.clip((values - work.tone.low) / (work.tone.high - work.tone.low), 0.0, 1.0)
    return 1 - shown if work.tone.inverted else shown
