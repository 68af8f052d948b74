"""Affine maps between index spaces, and the grid that a chain of geometry steps ends on.

Indices are (slice, row, column) or (row, column); an integer is a pixel's centre. Patient coordinates are LPS in mm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .errors import PreprocessingError

MAX_TILT_DEGREES = 0.5
"""How far a stack may lean from its slices' normal and still count as upright: enough for rounded positions."""

ROUNDED_MM = 0.01
"""How far positions may be off by rounding alone."""

Affine = NDArray[np.float64]
"""[n, n + 1]: the linear part, and the translation in the last column."""


def identity(dims: int) -> Affine:
    """Return the map that changes nothing."""
    return np.eye(dims, dims + 1)


def compose(outer: Affine, inner: Affine) -> Affine:
    """Return the map that applies `inner` first, then `outer`."""
    linear = outer[:, :-1] @ inner[:, :-1]
    return np.column_stack([linear, outer[:, :-1] @ inner[:, -1] + outer[:, -1]])


def invert(affine: Affine) -> Affine:
    """Return the inverse map; `PreprocessingError` when there is none."""
    try:
        linear = np.linalg.inv(affine[:, :-1])
    except np.linalg.LinAlgError:
        raise PreprocessingError(f"the geometry cannot be inverted: {affine.tolist()}", "geometry") from None
    return np.column_stack([linear, -linear @ affine[:, -1]])


def transform(affine: Affine, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Apply the map to points [..., n]."""
    return points @ affine[:, :-1].T + affine[:, -1]


def centre(shape: Sequence[int]) -> NDArray[np.float64]:
    """Return the index of the middle of a grid."""
    return (np.asarray(shape, dtype=float) - 1) / 2


def about(linear: NDArray[np.float64], source: Sequence[int], target: Sequence[int]) -> Affine:
    """Return the map from `target` indices to `source` indices that is `linear` and keeps the centres together."""
    return np.column_stack([linear, centre(source) - linear @ centre(target)])


def rotation(degrees: float, axis: int, dims: int) -> NDArray[np.float64]:
    """Return the linear map, output to input, that turns an image counter-clockwise as displayed.

    Rows run down. In 3-D the turn is about index axis `axis`, seen along it. Quarter turns are exact, so that they
    move pixels without filtering them.
    """
    if degrees % 90 == 0:
        quarter = round(degrees / 90) % 4
        cosine, sine = (1.0, 0.0, -1.0, 0.0)[quarter], (0.0, 1.0, 0.0, -1.0)[quarter]
    else:
        cosine, sine = float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))
    first, second = (0, 1) if dims == 2 else [other for other in range(3) if other != axis]
    linear = np.eye(dims)
    linear[first, first] = linear[second, second] = cosine
    linear[first, second], linear[second, first] = sine, -sine
    return linear


@dataclass(frozen=True, eq=False)
class Grid:
    """An output grid: its shape, and the map from its indices to the stored indices of one image.

    `stored_spacing` (mm, index order) and `to_patient` [4, 4] are the image's own, None where it has none.
    """

    shape: tuple[int, ...]
    to_stored: Affine
    stored_shape: tuple[int, ...]
    stored_spacing: tuple[float, ...] | None = None
    stored_to_patient: NDArray[np.float64] | None = None

    @classmethod
    def of(
        cls,
        shape: tuple[int, ...],
        spacing: tuple[float, ...] | None = None,
        to_patient: NDArray[np.float64] | None = None,
    ) -> Grid:
        """Return the grid on which an image is stored; of a tilted stack, the upright one that holds all of it."""
        stored = cls(shape, identity(len(shape)), shape, spacing, to_patient)
        lean = stored._stored_lean
        if lean is None or spacing is None:
            return stored
        offset = np.minimum(0.0, lean * (shape[0] - 1))
        grown = np.ceil(np.abs(lean) * (shape[0] - 1)).astype(int)
        to_stored = identity(3)
        to_stored[1:, 0], to_stored[1:, 3] = -lean, offset
        return stored.step((shape[0], shape[1] + grown[0], shape[2] + grown[1]), to_stored)

    @property
    def dims(self) -> int:
        """2 or 3."""
        return len(self.shape)

    @cached_property
    def spacing(self) -> tuple[float, ...] | None:
        """The distance in mm between neighbours along each axis of this grid; None where the image has none."""
        if self.stored_spacing is None:
            return None
        steps = np.asarray(self.stored_spacing)[:, None] * self.to_stored[:, :-1]
        if self._stored_lean is not None:
            lean = self._stored_lean
            steps[1:] += np.asarray(self.stored_spacing)[1:, None] * lean[:, None] * self.to_stored[:1, :-1]
        return tuple(float(step) for step in np.linalg.norm(steps, axis=0))

    @cached_property
    def _stored_lean(self) -> NDArray[np.float64] | None:
        if self.dims != 3 or self.stored_to_patient is None:
            return None
        return _lean(self.stored_to_patient, self.stored_shape[0])

    @cached_property
    def from_stored(self) -> Affine:
        """The map from stored indices to this grid's."""
        return invert(self.to_stored)

    @property
    def to_patient(self) -> NDArray[np.float64] | None:
        """[4, 4]: this grid's (slice, row, column, 1) to LPS mm; None where the image has no position."""
        if self.stored_to_patient is None:
            return None
        lifted = np.eye(4)
        lifted[3 - self.dims : 3, 3 - self.dims :] = self.to_stored
        matrix: NDArray[np.float64] = self.stored_to_patient @ lifted
        return matrix

    def step(self, shape: Sequence[int], to_previous: Affine) -> Grid:
        """Return the grid of `shape` whose indices `to_previous` maps to this grid's."""
        return replace(self, shape=tuple(int(n) for n in shape), to_stored=compose(self.to_stored, to_previous))

    def turned(self, linear: NDArray[np.float64]) -> Grid:
        """Return this grid with `linear` applied about its centre, in mm where the spacing is known."""
        if self.spacing is not None:
            metric = np.asarray(self.spacing)
            linear = linear * metric[None, :] / metric[:, None]
        return self.step(self.shape, about(linear, self.shape, self.shape))


def _lean(to_patient: NDArray[np.float64], slices: int) -> NDArray[np.float64] | None:
    """How many rows and columns a slice of a tilted stack is shifted from the one before; None for an upright stack."""
    step, row, column = to_patient[:3, :3].T
    normal = np.cross(row, column)
    along = step @ normal / np.linalg.norm(normal)
    across = np.linalg.norm(step - along * normal / np.linalg.norm(normal))
    if not (across > np.tan(np.radians(MAX_TILT_DEGREES)) * abs(along) and across * (slices - 1) > ROUNDED_MM):
        return None
    return np.array([step @ row / (row @ row), step @ column / (column @ column)])
