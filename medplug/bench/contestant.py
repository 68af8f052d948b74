"""Who takes part: a way of doing one item, ready to be called."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Run = Callable[[], NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Contestant:
    """A library's way of doing one item: `how` says it in a few words, `run` does it once and returns the answer."""

    library: str
    how: str
    run: Run


def image_by_image(
    one: Callable[[int, NDArray[np.float32]], None], shape: tuple[int, ...], threads: int
) -> Callable[[], NDArray[np.float32]]:
    """Return a run that calls one(n, out[n]) for each image, in `threads` threads if there are several images."""
    count = shape[0]
    if threads == 1 or count == 1:

        def alone() -> NDArray[np.float32]:
            out = np.empty(shape, np.float32)
            for n in range(count):
                one(n, out[n])
            return out

        return alone

    pool = ThreadPoolExecutor(threads)
    step = -(-count // (4 * threads))

    def shared() -> NDArray[np.float32]:
        out = np.empty(shape, np.float32)

        def some(first: int) -> None:
            for n in range(first, min(first + step, count)):
                one(n, out[n])

        list(pool.map(some, range(0, count, step)))
        return out

    return shared
