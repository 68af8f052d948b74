"""What one work item is: stored pixels, where each output pixel reads them, and what is done to their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..augmentation import Draw
from ..preprocessing import Preprocessing

Kind = Literal["resize", "warp", "volume", "tiles", "mask"]
"""How a library is asked for it: a plain resize, a resize with a rotation, 3-D, very many small images, labels."""


@dataclass(frozen=True)
class Tone:
    """From stored values to what a network sees, in this order.

    v = stored * slope + intercept; u = (v - low) / (high - low), clamped to 0 to 1; 1 - u if `inverted`;
    (u - mean) / std.
    """

    low: float
    high: float
    slope: float = 1.0
    intercept: float = 0.0
    inverted: bool = False
    mean: float = 0.5
    std: float = 0.25

    @property
    def limits(self) -> tuple[float, float]:
        """The stored values at which the window begins and ends."""
        return (self.low - self.intercept) / self.slope, (self.high - self.intercept) / self.slope

    @property
    def line(self) -> tuple[float, float]:
        """(a, b): all else in one step, a * clip(stored, *limits) + b."""
        low, high = self.limits
        a, b = 1 / (high - low), -low / (high - low)
        if self.inverted:
            a, b = -a, 1 - b
        return a / self.std, (b - self.mean) / self.std


@dataclass(frozen=True, eq=False)
class Work:
    """One work item.

    `stored` is [images, (slices,) rows, columns] and `to_stored` [images, n, n + 1] maps an output index to a stored
    one, in index order. The answer is float32 [images, *shape]. `tone` is applied before interpolation if
    `values_first`, else after it; a mask has none. `outside` is the value beyond the image, in modality units; None
    repeats the edge. `recipe`, `spacing` (mm) and `draws` say the same in medplug's own words.
    """

    name: str
    title: str
    kind: Kind
    stored: NDArray[Any]
    to_stored: NDArray[np.float64]
    shape: tuple[int, ...]
    tone: Tone | None
    filter: Literal["antialias", "linear", "nearest"]
    values_first: bool = True
    outside: float | None = None
    recipe: Preprocessing | None = None
    spacing: tuple[float, ...] | None = None
    draws: tuple[Draw, ...] = ()

    @property
    def answer_shape(self) -> tuple[int, ...]:
        """[images, *shape]."""
        return (len(self.stored), *self.shape)

    @property
    def toned(self) -> Tone:
        """The tone of an item that has one."""
        assert self.tone is not None
        return self.tone

    def supports(self, image: int) -> NDArray[np.float64]:
        """How far one output pixel of an antialiased answer reaches along each stored axis, in stored pixels."""
        scales = np.linalg.norm(self.to_stored[image, :, :-1], axis=1)
        return np.maximum(scales, 1.0) if self.filter == "antialias" else np.ones(len(scales))

    @property
    def bytes_moved(self) -> int:
        """What must be read and written at least: the stored pixels under the answer, and the answer as float32."""
        outputs = float(np.prod(self.shape))
        covered = np.abs(np.linalg.det(self.to_stored[:, :, :-1])) * outputs
        stored = np.minimum(covered, float(np.prod(self.stored.shape[1:]))).sum() * self.stored.itemsize
        return round(float(stored) + 4 * outputs * len(self.stored))
