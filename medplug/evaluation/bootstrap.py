"""Percentile bootstrap (Efron 1979): 95 % intervals from rows, or whole clusters of rows, drawn with replacement."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Key = TypeVar("Key", bound=Hashable)

_BLOCK = 2**21  # weights at a time: 16 MiB
_LEAST = 0.5  # of the draws must give a value, or the interval would be that of the lucky ones


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; None where no interval can be had."""

    value: float
    low: float | None
    high: float | None


def estimate(
    statistics: Callable[[Floats], Mapping[Key, Floats]],
    clusters: Sequence[int] | NDArray[np.int64],
    resamples: int,
    seed: int,
) -> dict[Key, Estimate]:
    """Return each statistic on the rows as they are, with its interval; those that are NaN there are left out.

    `statistics` is given weights [D, N] and returns [D] of each. `clusters` [N] numbers the cluster of each row:
    rows of one cluster are drawn together.
    """
    rows = np.asarray(clusters, dtype=np.int64)
    points = {name: float(value[0]) for name, value in statistics(np.ones((1, len(rows)))).items()}
    blocks = [statistics(weights) for weights in draws(rows, resamples, seed)]
    found = {}
    for name, value in points.items():
        if math.isfinite(value):
            drawn = np.concatenate([block[name] for block in blocks]) if blocks else np.empty(0)
            low, high = _interval(drawn[np.isfinite(drawn)], len(drawn))
            found[name] = Estimate(value, low, high)
    return found


def draws(clusters: NDArray[np.int64], resamples: int, seed: int) -> Iterator[Floats]:
    """Yield blocks [D, N] of how often each row is drawn, `resamples` in all; none where there are not 2 clusters."""
    names, cluster = np.unique(clusters, return_inverse=True)
    count = len(names)
    if count < 2:
        return
    generator = np.random.default_rng(seed)
    block = max(1, _BLOCK // len(clusters))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        picked = generator.integers(0, count, (size, count)) + np.arange(size)[:, None] * count
        times = np.bincount(picked.ravel(), minlength=size * count).reshape(size, count)
        yield times[:, cluster].astype(np.float64)


def _interval(drawn: Floats, resamples: int) -> tuple[float | None, float | None]:
    if resamples == 0 or len(drawn) < _LEAST * resamples:
        return None, None
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)
