"""Augmentation as data: ranges, and one draw from them, which joins the same affine and the same tones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from .errors import PreprocessingError
from .geometry import Grid, about, compose, rotation

_Span = tuple[float, float]


class Augmentation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ranges to draw from, uniformly, for each case and epoch.

    `rotate` and `shear` are in degrees; `scale` above 1 enlarges the content; `shift` is a fraction of the frame, drawn
    for each axis; each axis in `flip` is mirrored half of the time. `contrast` and `brightness` move the window:
    u becomes (u - 0.5) * contrast + 0.5 + brightness on the 0 to 1 scale, before the clamp. `gamma` is the power.
    """

    rotate: _Span = (0.0, 0.0)
    scale: _Span = (1.0, 1.0)
    shear: _Span = (0.0, 0.0)
    shift: _Span = (0.0, 0.0)
    flip: tuple[int, ...] = ()
    contrast: _Span = (1.0, 1.0)
    brightness: _Span = (0.0, 0.0)
    gamma: _Span = (1.0, 1.0)

    def __post_init__(self) -> None:
        for name in ("rotate", "scale", "shear", "shift", "contrast", "brightness", "gamma"):
            low, high = getattr(self, name)
            if not (math.isfinite(low) and math.isfinite(high) and low <= high):
                raise PreprocessingError(f"augmentation {name} from {low} to {high}: want finite numbers, low first")
            if name in ("scale", "contrast", "gamma") and low <= 0:
                raise PreprocessingError(f"augmentation {name} from {low}: want it above 0")
        if not set(self.flip) <= {0, 1, 2}:
            raise PreprocessingError(f"augmentation flips axes {list(self.flip)}: want 0, 1 or 2")

    def draw(self, generator: np.random.Generator, dims: int) -> Draw:
        """Draw once, for an image of `dims` dimensions; the same generator state gives the same draw."""
        linear = np.eye(dims)
        for axis in range(1 if dims == 2 else 3):
            linear = linear @ rotation(generator.uniform(*self.rotate), axis, dims)
        shear = np.eye(dims)
        shear[-1, -2] = math.tan(math.radians(generator.uniform(*self.shear)))
        linear = linear @ shear / generator.uniform(*self.scale)
        shift = generator.uniform(*self.shift, size=dims)
        mirrored = generator.random(3) < 0.5
        for axis in self.flip:
            if axis < dims and mirrored[axis]:
                linear[:, axis] *= -1
        return Draw(
            linear=linear,
            shift=shift,
            contrast=generator.uniform(*self.contrast),
            brightness=generator.uniform(*self.brightness),
            gamma=generator.uniform(*self.gamma),
        )


@dataclass(frozen=True, eq=False)
class Draw:
    """One draw: a linear map about the frame's centre, a shift in fractions of the frame, and a change of tone."""

    linear: NDArray[np.float64]
    shift: NDArray[np.float64]
    contrast: float = 1.0
    brightness: float = 0.0
    gamma: float = 1.0

    def place(self, grid: Grid) -> Grid:
        """Return the grid after this draw; its shape stays. It turns in mm where the spacing is known."""
        linear = self.linear
        if grid.spacing is not None:
            metric = np.asarray(grid.spacing)
            linear = linear * metric[None, :] / metric[:, None]
        moved = about(linear, grid.shape, grid.shape)
        shifted = about(np.eye(grid.dims), grid.shape, grid.shape)
        shifted[:, -1] -= self.shift * np.asarray(grid.shape)
        return grid.step(grid.shape, compose(moved, shifted))
