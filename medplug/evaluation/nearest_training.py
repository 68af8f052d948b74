"""How near generated images come to those that the generator learned from, and how near other real images do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .compared_images import Images
from .manifold import nearest

NEAR = 0.5
"""A near copy lies closer to a training image than this share of the median distance at which real images do."""


@dataclass(frozen=True, eq=False)
class Nearness:
    """Distances to the nearest training image, as shares of `typical`, that of the median real image; which it is.

    `made` [N] and `which` [N] are of the generated images, `real` [M] of other real ones. `typical` is a root mean
    square of grey values, 0 to 1.
    """

    made: NDArray[np.float64]
    which: NDArray[np.intp]
    real: NDArray[np.float64]
    typical: float

    @property
    def copies(self) -> NDArray[np.bool_]:
        """Which generated images are near copies, [N]."""
        return self.made < NEAR

    @property
    def real_copies(self) -> NDArray[np.bool_]:
        """Which other real images are as near: repeats within the data."""
        return self.real < NEAR


def nearness(made: Images, learned: Images, real: Images, apart: Images) -> Nearness:
    """Compare pixel by pixel on the generator's grid.

    `learned` are what it learned from; `apart` those of them among which `real` are not: usually all.
    """
    flat = [one.pixels.reshape(len(one), -1) for one in (made, learned, real, apart)]
    side = np.sqrt(flat[0].shape[1])
    found, which = nearest(flat[0], flat[1])
    others, _ = nearest(flat[2], flat[3])
    typical = float(np.median(others) / side)
    scale = typical * side if typical > 0 else 1.0
    return Nearness(found / scale, which, others / scale, typical)
