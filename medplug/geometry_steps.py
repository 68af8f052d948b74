"""The geometry steps of a preprocessing: each maps a new grid's indices to those of the grid before it.

They compose into one affine map, so a step costs nothing by itself. `crop` and `pad` move only the frame: image that
lies inside it stays visible.
"""

from __future__ import annotations

import itertools
import math
from typing import Literal

import msgspec
import numpy as np

from .errors import PreprocessingError
from .geometry import Grid, about, identity, rotation

MAX_SIZE = 1 << 15
"""The longest axis that a step may ask for, in pixels."""

_MAX_GRID_BYTES = 1 << 31
"""What a channel of a grid may take as float32: the sizes that spacing makes are the image's, not the author's."""


class _Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="op"):
    pass


def _check_size(step: str, size: tuple[int, ...]) -> None:
    if len(size) not in (2, 3) or not all(1 <= n <= MAX_SIZE for n in size):
        raise PreprocessingError(f"{step} to {list(size)}: want 2 or 3 sizes from 1 to {MAX_SIZE}")


def _check_dims(step: str, numbers: int, grid: Grid) -> None:
    if numbers != grid.dims:
        raise PreprocessingError(
            f"{step} names {numbers} axes and the image has {grid.dims}: write one number for each axis",
            "dimensions",
        )


class Spacing(_Step, frozen=True, tag="spacing"):
    """Resample to a spacing in mm, in index order; the image's centre stays where it is."""

    mm: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mm) not in (2, 3) or not all(math.isfinite(mm) and mm > 0 for mm in self.mm):
            raise PreprocessingError(f"spacing {list(self.mm)}: want 2 or 3 positive numbers of mm")

    def place(self, grid: Grid) -> Grid:
        """Return the grid after this step; an image without spacing is refused."""
        _check_dims("spacing", len(self.mm), grid)
        if grid.spacing is None:
            raise PreprocessingError("the preprocessing asks for a spacing in mm and the image states none", "spacing")
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # the check below catches inf and NaN
            factor = np.asarray(self.mm) / np.asarray(grid.spacing)
            size = np.maximum(1, np.round(np.asarray(grid.shape) / factor))
        made = f"a spacing of {list(self.mm)} mm makes a grid of {' x '.join(f'{n:g}' for n in size)} pixels"
        if not (size <= MAX_SIZE).all():
            raise PreprocessingError(f"{made}, and no axis may have more than {MAX_SIZE}", "spacing")
        if size.prod() * 4 > _MAX_GRID_BYTES:
            raise PreprocessingError(
                f"{made}, which is more than {_MAX_GRID_BYTES >> 30} GiB: choose a wider spacing", "spacing"
            )
        shape = size.astype(int).tolist()
        return grid.step(shape, about(np.diag(factor), grid.shape, shape))


class Resize(_Step, frozen=True, tag="resize"):
    """Resize to `size`: `stretch` each axis by itself; `pad` or `crop` keep the aspect ratio of the pixels."""

    size: tuple[int, ...]
    fit: Literal["stretch", "pad", "crop"] = "stretch"

    def __post_init__(self) -> None:
        _check_size("resize", self.size)

    def place(self, grid: Grid) -> Grid:
        """Return the grid after this step."""
        _check_dims("resize", len(self.size), grid)
        factors = np.asarray(grid.shape) / np.asarray(self.size)
        if self.fit == "pad":
            factors[:] = factors.max()
        elif self.fit == "crop":
            factors[:] = factors.min()
        return grid.step(self.size, about(np.diag(factors), grid.shape, self.size))


class Crop(_Step, frozen=True, tag="crop"):
    """Cut the frame down to at most `size`, at the centre or from the corner `anchor` (first index of each axis)."""

    size: tuple[int, ...]
    anchor: Literal["center"] | tuple[int, ...] = "center"

    def __post_init__(self) -> None:
        _check_size("crop", self.size)

    def place(self, grid: Grid) -> Grid:
        """Return the grid after this step."""
        _check_dims("crop", len(self.size), grid)
        return _reframe(grid, [min(n, size) for n, size in zip(grid.shape, self.size)], self.anchor)


class Pad(_Step, frozen=True, tag="pad"):
    """Widen the frame to at least `size`, evenly or with the old corner at `anchor` of the new frame."""

    size: tuple[int, ...]
    anchor: Literal["center"] | tuple[int, ...] = "center"

    def __post_init__(self) -> None:
        _check_size("pad", self.size)

    def place(self, grid: Grid) -> Grid:
        """Return the grid after this step."""
        _check_dims("pad", len(self.size), grid)
        corner = self.anchor if self.anchor == "center" else tuple(-n for n in self.anchor)
        return _reframe(grid, [max(n, size) for n, size in zip(grid.shape, self.size)], corner)


def _reframe(grid: Grid, shape: list[int], corner: Literal["center"] | tuple[int, ...]) -> Grid:
    """Move the frame; a centred one moves by whole pixels, so that no pixel is filtered."""
    if corner == "center":
        offset = [(old - new) // 2 for old, new in zip(grid.shape, shape)]
    else:
        _check_dims("the anchor", len(corner), grid)
        offset = list(corner)
    to_previous = identity(grid.dims)
    to_previous[:, -1] = offset
    return grid.step(shape, to_previous)


class Rotate(_Step, frozen=True, tag="rotate"):
    """Turn counter-clockwise as displayed, about the centre, in mm where the spacing is known; the frame stays.

    In 3-D about index axis `axis`: 0 turns within the slices.
    """

    degrees: float
    axis: Literal[0, 1, 2] = 0

    def __post_init__(self) -> None:
        if not math.isfinite(self.degrees):
            raise PreprocessingError(f"rotate by {self.degrees} degrees: give a finite number")

    def place(self, grid: Grid) -> Grid:
        """Return the grid after this step."""
        return grid.turned(rotation(self.degrees, self.axis, grid.dims))


class Flip(_Step, frozen=True, tag="flip"):
    """Mirror along one index axis."""

    axis: Literal[0, 1, 2]

    def place(self, grid: Grid) -> Grid:
        """Return the grid after this step."""
        if self.axis >= grid.dims:
            raise PreprocessingError(f"flip names axis {self.axis} and the image has {grid.dims}", "dimensions")
        signs = np.ones(grid.dims)
        signs[self.axis] = -1
        return grid.step(grid.shape, about(np.diag(signs), grid.shape, grid.shape))


_DIRECTIONS = {
    letter: (axis, sign) for axis, pair in enumerate(("LR", "PA", "SI")) for letter, sign in zip(pair, (1, -1))
}


class Orient(_Step, frozen=True, tag="orient"):
    """Permute and flip the axes so that each points nearest to a patient direction.

    One letter for each index axis says where it grows to: L or R, P or A, S or I. "SPL" is the usual axial volume.
    """

    axes: str

    def __post_init__(self) -> None:
        try:
            named = {_DIRECTIONS[letter][0] for letter in self.axes}
        except KeyError as error:
            raise PreprocessingError(f"orient {self.axes!r}: {error} is none of L, R, P, A, S, I") from None
        if len(self.axes) not in (2, 3) or len(named) != len(self.axes):
            raise PreprocessingError(f"orient {self.axes!r}: want one letter of each of two or three different pairs")

    def place(self, grid: Grid) -> Grid:
        """Return the grid after this step; an image without orientation is refused."""
        _check_dims("orient", len(self.axes), grid)
        if grid.to_patient is None:
            raise PreprocessingError(
                "the preprocessing orients by the patient; the image has no orientation", "geometry"
            )
        steps = grid.to_patient[:3, 3 - grid.dims : 3]
        steps = steps / np.linalg.norm(steps, axis=0)
        wanted = [_DIRECTIONS[letter] for letter in self.axes]
        best = max(
            itertools.permutations(range(grid.dims)),
            key=lambda order: sum(abs(steps[wanted[new][0], old]) for new, old in enumerate(order)),
        )
        linear = np.zeros((grid.dims, grid.dims))
        for new, old in enumerate(best):
            direction, sign = wanted[new]
            if abs(steps[direction, old]) < 0.5:
                raise PreprocessingError(f"no axis of the image points along {self.axes[new]!r}", "geometry")
            linear[old, new] = sign * np.sign(steps[direction, old])
        shape = [grid.shape[old] for old in best]
        return grid.step(shape, about(linear, grid.shape, shape))


GeometryStep = Spacing | Orient | Resize | Crop | Pad | Rotate | Flip
