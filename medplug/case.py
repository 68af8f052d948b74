"""What is read from a source: a case, its named images, and what their stored numbers mean."""

from __future__ import annotations

import enum
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]


class Unit(enum.StrEnum):
    """What one case is: a frame of a multi-frame instance, an instance, a series, or a study."""

    FRAME = "frame"
    INSTANCE = "instance"
    SERIES = "series"
    STUDY = "study"


class CaseReference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a case came from, in the source's own terms. Holds no patient identifier.

    `source` names the case, unique within a run: the path as the user gave it, or below the folder that the
    user gave; `files` lists every file of the case when there is more than one. `frame` counts from 1 as
    DICOM does; `row` is the index in an array file or a table, from 0. `resampled` where slices of uneven gaps were
    interpolated to even ones: what lies on the case's grid does not lie on its files' slices.
    """

    source: str
    files: tuple[str, ...] = ()
    frame: int | None = None
    row: int | None = None
    sop_class_uid: str | None = None
    sop_instance_uid: str | None = None
    series_instance_uid: str | None = None
    study_instance_uid: str | None = None
    resampled: bool = False


@dataclass(frozen=True, eq=False)
class LookupTable:
    """A modality or VOI LUT, PS3.3 C.11.1 and C.11.2: value v reads `entries[v - first]`, clamped at the ends.

    `maximum` is the largest value that an entry may have, 2 ** bits - 1.
    """

    entries: NDArray[np.float32]
    first: int
    maximum: float


@dataclass(frozen=True)
class VoiWindow:
    """Window Center and Window Width with their VOI LUT Function, PS3.3 C.11.2.1: LINEAR, LINEAR_EXACT or SIGMOID."""

    center: float
    width: float
    function: str = "LINEAR"


@dataclass(frozen=True, eq=False)
class ValueMeaning:
    """What stored numbers mean.

    The modality transform is `rescale` (slope, intercept) or `modality_lut`. `full_range` is the declared range
    of modality values that a display shows in full: of pictures (0, 2 ** bits - 1); None where nobody declared one.
    `voi_lut` comes before `windows` where an image has both, as in pydicom. `inverted`: the lowest value is
    displayed white (MONOCHROME1 or Presentation LUT Shape INVERSE, PS3.3 C.7.6.3.1.2 and C.11.6). `padding` is the
    lowest and highest stored value that means no measurement (PS3.3 C.7.5.1.1.2); `Image.read` leaves them in.
    """

    rescale: tuple[float, float] = (1.0, 0.0)
    modality_lut: LookupTable | None = None
    windows: tuple[VoiWindow, ...] = ()
    voi_lut: LookupTable | None = None
    inverted: bool = False
    full_range: tuple[float, float] | None = None
    padding: tuple[float, float] | None = None


@dataclass(frozen=True)
class FileSpan:
    """Stored values that lie in a file as they do in memory: [channels, *shape] of `dtype`, from the byte `offset` on.

    `dtype` is uint8, int8, uint16 or int16 in native byte order. Each value has `unused` bits above it, which may hold
    anything (PS3.5 8.1.1). `stamp` is the file's size and time of change when its header was read.
    """

    path: str
    offset: int
    unused: int
    stamp: tuple[int, int]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __post_init__(self) -> None:
        if self.dtype.kind not in "iu" or self.dtype.itemsize > 2 or not self.dtype.isnative:
            raise ValueError(f"{self.path}: a span of {self.dtype.str}; native integers of 8 or 16 bits are read so")

    @contextmanager
    def opened(self) -> Iterator[int | None]:
        """The file's descriptor, None where the file has changed since. Raises `OSError`."""
        descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            yield descriptor if stamp_of(descriptor) == self.stamp else None
        finally:
            os.close(descriptor)


def stamp_of(descriptor: int) -> tuple[int, int]:
    """The size and the time of the last change of an open file."""
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns


class SpanReader(ABC):
    """An `Image.read` that need not be called where `span` is not None: the kernel may read the file by itself."""

    span: FileSpan | None

    @abstractmethod
    def __call__(self) -> Pixels:
        """Read the pixels."""


@dataclass(frozen=True)
class FrameSource:
    """The DICOM file, and in a multi-frame one the frame, counted from 1, that a slice was read from.

    `name` is what people call the file. `sop_instance_uid` is the instance that lay there when it was read: whoever
    reads the file again can tell whether it still does.
    """

    path: str
    frame: int | None = None
    name: str = ""
    sop_instance_uid: str | None = None


@dataclass(frozen=True, eq=False)
class Image:
    """One image on one grid, its pixels not yet read.

    `shape` is (rows, columns) or (slices, rows, columns). `read()` decodes and returns the stored pixel values as
    [channels, *shape] of `dtype` (uint8, int8, uint16, int16 or float32), with any strides; it raises `SourceError`.
    A `SpanReader` may be left uncalled. Of slices whose rescales differ, as in PET, it returns the modality values.
    `stored_range` is the lowest and highest value that the stored bits can hold, None for floats.
    `spacing` is in mm, in index order (PixelSpacing, and along the normal for a volume); `imager_spacing` is
    ImagerPixelSpacing, measured at the detector. `to_patient` [4, 4] maps a (slice, row, column, 1) index to LPS mm.
    `modality`, `body_part`, `view`, `photometric` are DICOM's code strings, None where the source does not say;
    `description` is the Series Description. `frames` says where each slice, or the one plane, was read from: empty
    where that is no DICOM file, or the slices were interpolated between the files'.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], Pixels]
    channels: int = 1
    values: ValueMeaning = field(default_factory=ValueMeaning)
    bits: int | None = None
    stored_range: tuple[int, int] | None = None
    spacing: tuple[float, ...] | None = None
    imager_spacing: tuple[float, ...] | None = None
    to_patient: NDArray[np.float64] | None = None
    modality: str | None = None
    body_part: str | None = None
    view: str | None = None
    photometric: str | None = None
    description: str | None = None
    frames: tuple[FrameSource, ...] = ()

    @property
    def span(self) -> FileSpan | None:
        """Where the pixels lie in a file as they do in memory; None where they do not, or are others than declared."""
        span = self.read.span if isinstance(self.read, SpanReader) else None
        declared = (self.channels, *self.shape), self.dtype
        return span if span is not None and (span.shape, span.dtype) == declared else None


@dataclass(frozen=True, eq=False)
class Case:
    """Named images and an optional table row; the first image fixes the grid.

    `row` holds the columns of the table that named the case, empty where there was none. `patient` groups cases
    that must not be separated; it serves splitting and resampling and never leaves the process. `mask` is a
    reference segmentation on the first image's grid: 0 for background, n for label n.
    """

    reference: CaseReference
    images: Mapping[str, Image]
    row: Mapping[str, str] = field(default_factory=dict)
    patient: str | None = None
    mask: Image | None = None

    @property
    def image(self) -> Image:
        """The first image: it fixes the grid."""
        return next(iter(self.images.values()))
