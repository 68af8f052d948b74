"""Where DICOM pixels lie in the patient, and whether frames form a regular volume (PS3.3 C.7.6.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import SourceError
from .dicom_values import numbers

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MAX_TILT_DEGREES = 0.5
"""How far the stack may lean from the normal: enough for rounded positions, far below any gantry tilt."""

_MIN_SLICES = 3
_DIRECTION_TOLERANCE = 1e-3  # Image Orientation is often written with 6 digits or fewer
_SPACING_TOLERANCE = 1e-3  # relative
_GAP_TOLERANCE = 0.01  # relative to the usual gap, and never below as many mm


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
        return np.cross(self.orientation[:3], self.orientation[3:])

    @property
    def to_patient(self) -> NDArray[np.float64] | None:
        """(slice, row, column, 1) to LPS, PS3.3 C.7.6.2.1.1; the slice axis is the unit normal."""
        if self.spacing is None or self.orientation is None or self.position is None:
            return None
        return _affine(self.normal, self, self.position)


def _affine(step: NDArray[np.float64], plane: Plane, origin: Sequence[float]) -> NDArray[np.float64]:
    assert plane.spacing is not None
    assert plane.orientation is not None
    matrix = np.eye(4)
    matrix[:3, 0] = step
    # The first direction is that of a row: it is followed as the column index grows.
    matrix[:3, 1] = np.multiply(plane.orientation[3:], plane.spacing[0])
    matrix[:3, 2] = np.multiply(plane.orientation[:3], plane.spacing[1])
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


@dataclass(frozen=True)
class Stack:
    """A regular volume: `order` lists the frames along the normal; spacing (gap, row, column) in mm."""

    order: tuple[int, ...]
    spacing: tuple[float, float, float]
    to_patient: NDArray[np.float64]


def stack(planes: Sequence[Plane]) -> Stack:
    """Order frames along their common normal. Raises `SourceError` (`geometry`) unless they form a regular volume."""
    if len(planes) < _MIN_SLICES:
        raise _irregular(f"has {len(planes)} slices; a volume takes at least {_MIN_SLICES}")
    first = planes[0]
    for plane in planes:
        if plane.orientation is None or plane.position is None or plane.spacing is None:
            raise _irregular("a slice lacks a valid ImageOrientationPatient, ImagePositionPatient or PixelSpacing")
        _check_alike(first, plane)
    positions = np.array([plane.position for plane in planes])
    heights = positions @ first.normal
    order = np.argsort(heights, kind="stable")
    _check_direction(positions[order], first.normal)
    gap = _check_gaps(heights[order])
    steps = (positions[order[-1]] - positions[order[0]]) / (len(planes) - 1)
    assert first.spacing is not None
    return Stack(
        tuple(int(i) for i in order), (gap, *first.spacing), _affine(steps, first, positions[order[0]].tolist())
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
    if tilt > MAX_TILT_DEGREES and across[-1] > _GAP_TOLERANCE:
        raise _irregular(f"its slices are tilted by {tilt:.1f} degrees: they do not lie along the normal")
    lean = np.tan(math.radians(MAX_TILT_DEGREES)) * along + _GAP_TOLERANCE
    if (across > lean).any():
        worst = int(np.argmax(across - lean))
        raise _irregular(f"slice {worst + 1} along the normal is shifted by {across[worst]:.2f} mm in its plane")


def _check_gaps(heights: NDArray[np.float64]) -> float:
    """The mean gap in mm; all gaps are alike."""
    gaps = np.diff(heights)
    usual = float(np.median(gaps))
    if gaps.min() < _GAP_TOLERANCE:
        place = heights[int(np.argmin(gaps))]
        raise _irregular(f"several slices lie at the same place, {place:.2f} mm along the normal")
    if np.abs(gaps - usual).max() > max(_GAP_TOLERANCE, _GAP_TOLERANCE * usual):
        raise _irregular(f"the gaps between its slices are uneven: {gaps.min():.3f} to {gaps.max():.3f} mm")
    return float(heights[-1] - heights[0]) / len(gaps)


def _mm(values: Sequence[float]) -> str:
    return " x ".join(f"{value:g}" for value in values) + " mm"


def _irregular(reason: str) -> SourceError:
    return SourceError("geometry", f"no regular volume: {reason}")
