"""Where DICOM pixels lie in the patient, and whether frames form a regular volume (PS3.3 C.7.6.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import SourceError
from ..geometry import MAX_TILT_DEGREES, ROUNDED_MM
from .dicom_values import numbers

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Tilt = Literal["refuse", "correct"]
"""What becomes of a stack that is tilted or has uneven gaps."""

MIN_SLICES = 3
"""A volume takes at least so many."""

_DIRECTION_TOLERANCE = 1e-3  # Image Orientation is often written with 6 digits or fewer
_LENGTH_TOLERANCE = 2e-5  # of a direction: `ROUNDED_MM` in half a metre, and what 5 digits are off by
_SPACING_TOLERANCE = 1e-3  # relative
_MAX_FINER = 16  # how many times the slices may become when their gaps are made even
_GAP_TOLERANCE = 0.01  # relative to the usual gap, and never below as many mm
_DRIFT_TOLERANCE = 0.1  # how far a slice may lie from its even place, relative to the usual gap


@dataclass(frozen=True)
class Plane:
    """A frame's place, in mm and LPS; each part None where the source states none that is valid."""

    spacing: tuple[float, float] | None
    imager_spacing: tuple[float, float] | None
    orientation: tuple[float, ...] | None
    position: tuple[float, ...] | None

    @property
    def normal(self) -> NDArray[np.float64]:
        """The unit vector that completes the row and column directions."""
        assert self.orientation is not None
        return _normal(self.orientation)

    @property
    def to_patient(self) -> NDArray[np.float64] | None:
        """(slice, row, column, 1) to LPS, PS3.3 C.7.6.2.1.1; the slice axis is the unit normal."""
        if self.spacing is None or self.orientation is None or self.position is None:
            return None
        return _affine(self.normal, self, self.position)


@lru_cache(256)
def _normal(orientation: tuple[float, ...]) -> NDArray[np.float64]:
    """Once for all slices that share it: it takes longer than all else that is asked of a plane."""
    normal = _unit(np.cross(orientation[:3], orientation[3:]))
    normal.flags.writeable = False
    return normal


def _unit(direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of length 1: millimetres along it are the patient's. As it is where it is off by rounding alone."""
    length = float(np.linalg.norm(direction))
    return direction if abs(length - 1) <= _LENGTH_TOLERANCE else direction / length


def _affine(step: NDArray[np.float64], plane: Plane, origin: Sequence[float]) -> NDArray[np.float64]:
    assert plane.spacing is not None
    assert plane.orientation is not None
    matrix = np.eye(4)
    matrix[:3, 0] = step
    # The first direction is that of a row: it is followed as the column index grows.
    matrix[:3, 1] = _unit(np.array(plane.orientation[3:])) * plane.spacing[0]
    matrix[:3, 2] = _unit(np.array(plane.orientation[:3])) * plane.spacing[1]
    matrix[:3, 3] = origin
    return matrix


def plane_of(measures: Dataset, orientation: Dataset, position: Dataset) -> Plane:
    """The place that a dataset, or an enhanced frame's functional groups, state."""
    directions = numbers(orientation, "ImageOrientationPatient")
    return Plane(
        spacing=_spacing(measures, "PixelSpacing"),
        imager_spacing=_spacing(measures, "ImagerPixelSpacing"),
        orientation=directions if _orthonormal(directions) else None,
        position=position_of(position),
    )


def position_of(dataset: Dataset) -> tuple[float, ...] | None:
    """Image Position (Patient), in mm and LPS; None where there is none that is valid."""
    origin = numbers(dataset, "ImagePositionPatient")
    return origin if len(origin) == 3 else None


def _spacing(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    """Row spacing, then column spacing (PS3.3 10.7.1.3), in mm."""
    values = numbers(dataset, keyword)
    return (values[0], values[1]) if len(values) == 2 and min(values) > 0 else None


def _orthonormal(directions: Sequence[float]) -> bool:
    if len(directions) != 6:
        return False
    row, column = np.array(directions[:3]), np.array(directions[3:])
    products = (row @ row - 1, column @ column - 1, row @ column)
    return all(abs(p) < 5 * _DIRECTION_TOLERANCE for p in products)


@dataclass(frozen=True, eq=False)
class Stack:
    """A regular volume: `order` lists the frames along the normal; spacing (gap, row, column) in mm.

    `to_patient` is sheared where the stack is tilted. Where gaps were uneven, `places` says between which of the
    ordered frames each slice of the volume lies: 1.25 is a quarter of the way from the second to the third.
    """

    order: tuple[int, ...]
    spacing: tuple[float, float, float]
    to_patient: NDArray[np.float64]
    places: tuple[float, ...] | None = None


def stack(planes: Sequence[Plane], tilt: Tilt = "refuse") -> Stack:
    """Order frames along their common normal. Raises `SourceError` (`geometry`) unless they form a regular volume.

    With `tilt="correct"` they may lie on a slanted line, and at uneven distances.
    """
    if len(planes) < MIN_SLICES:
        raise _irregular(f"has {len(planes)} slices; a volume takes at least {MIN_SLICES}")
    first = planes[0]
    for plane in planes:
        if plane.orientation is None or plane.position is None or plane.spacing is None:
            raise _irregular("a slice lacks a valid ImageOrientationPatient, ImagePositionPatient or PixelSpacing")
        _check_alike(first, plane)
    positions = np.array([plane.position for plane in planes])
    heights = positions @ first.normal
    order = np.argsort(heights, kind="stable")
    positions, heights = positions[order], heights[order]
    places = None
    if tilt == "refuse":
        _check_direction(positions, first.normal)
        _check_places(heights)
        if not _are_even(heights):
            gaps = np.diff(heights)
            raise _irregular(f"the gaps between its slices are uneven: {gaps.min():.3f} to {gaps.max():.3f} mm")
    else:
        _check_places(heights)
        _check_line(positions, heights)
        places = None if _are_even(heights) else _even_places(heights)
    last = (len(planes) if places is None else len(places)) - 1
    steps = (positions[-1] - positions[0]) / last
    assert first.spacing is not None
    return Stack(
        tuple(int(i) for i in order),
        (float(heights[-1] - heights[0]) / last, *first.spacing),
        _affine(steps, first, positions[0].tolist()),
        places,
    )


def _check_alike(first: Plane, other: Plane) -> None:
    """Slices of one volume are parallel and have one pixel spacing."""
    assert first.orientation is not None
    assert other.orientation is not None
    assert first.spacing is not None
    assert other.spacing is not None
    if max(abs(a - b) for a, b in zip(first.orientation, other.orientation, strict=True)) > _DIRECTION_TOLERANCE:
        degrees = math.degrees(math.acos(float(np.clip(first.normal @ other.normal, -1, 1))))
        raise _irregular(f"its slices are not parallel: two differ by {degrees:.2f} degrees")
    if any(abs(a - b) > _SPACING_TOLERANCE * a for a, b in zip(first.spacing, other.spacing, strict=True)):
        raise _irregular(f"its slices have different PixelSpacing: {_mm(first.spacing)} and {_mm(other.spacing)}")


def _check_direction(positions: NDArray[np.float64], normal: NDArray[np.float64]) -> None:
    """The slices lie above one another: no gantry tilt, no slice shifted in its plane."""
    offsets = positions - positions[0]
    along = offsets @ normal
    across = np.linalg.norm(offsets - np.outer(along, normal), axis=1)
    tilt = math.degrees(math.atan2(across[-1], along[-1]))
    if tilt > MAX_TILT_DEGREES and across[-1] > ROUNDED_MM:
        raise _irregular(f"its slices are tilted by {tilt:.1f} degrees: they do not lie along the normal")
    lean = np.tan(math.radians(MAX_TILT_DEGREES)) * along + ROUNDED_MM
    if (across > lean).any():
        worst = int(np.argmax(across - lean))
        raise _irregular(f"slice {worst + 1} along the normal is shifted by {across[worst]:.2f} mm in its plane")


def _check_line(positions: NDArray[np.float64], heights: NDArray[np.float64]) -> None:
    """The slices lie on one line, whatever its slant."""
    along = (heights - heights[0]) / (heights[-1] - heights[0])
    off = np.linalg.norm(positions - positions[0] - np.outer(along, positions[-1] - positions[0]), axis=1)
    worst = int(np.argmax(off))
    if off[worst] > np.tan(math.radians(MAX_TILT_DEGREES)) * float(np.diff(heights).max()) + ROUNDED_MM:
        raise _irregular(f"slice {worst + 1} along the normal lies {off[worst]:.2f} mm beside the line of the others")


def same_places(heights: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which slices lie at the same place along the normal."""
    same: NDArray[np.bool_] = np.abs(heights - others) < _GAP_TOLERANCE
    return same


def _check_places(heights: NDArray[np.float64]) -> None:
    """No two slices lie at one place."""
    gaps = np.diff(heights)
    if gaps.min() < _GAP_TOLERANCE:
        place = heights[int(np.argmin(gaps))]
        raise _irregular(f"several slices lie at the same place, {place:.2f} mm along the normal")


def _are_even(heights: NDArray[np.float64]) -> bool:
    """Whether each gap is the usual one, and their differences do not add up along the stack."""
    gaps = np.diff(heights)
    usual = float(np.median(gaps))
    off = np.abs(heights - np.linspace(heights[0], heights[-1], len(heights)))
    return bool(
        np.abs(gaps - usual).max() <= max(_GAP_TOLERANCE, _GAP_TOLERANCE * usual)
        and off.max() <= _DRIFT_TOLERANCE * usual + ROUNDED_MM
    )


def _even_places(heights: NDArray[np.float64]) -> tuple[float, ...]:
    """Where slices at even distances lie among the given ones: no further from each other than the two nearest."""
    gaps = np.diff(heights)
    count = math.ceil(float((heights[-1] - heights[0]) / gaps.min()) - _GAP_TOLERANCE) + 1
    if count > _MAX_FINER * len(heights):
        raise _irregular(f"gaps from {gaps.min():.3f} to {gaps.max():.3f} mm are too uneven to be made even")
    even = np.linspace(heights[0], heights[-1], count)
    return tuple(np.interp(even, heights, np.arange(len(heights), dtype=float)).tolist())


def _mm(values: Sequence[float]) -> str:
    return " x ".join(f"{value:g}" for value in values) + " mm"


def _irregular(reason: str) -> SourceError:
    return SourceError("geometry", f"no regular volume: {reason}")
