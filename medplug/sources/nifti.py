"""NIfTI: volumes with their affine, through nibabel. Indices are (slice, row, column) = (k, j, i); RAS becomes LPS."""

from __future__ import annotations

import gzip
import importlib.util
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from ..case import Case, CaseReference, Image, Pixels, Unit, ValueMeaning
from ..errors import SourceError
from ..geometry import MAX_TILT_DEGREES
from .dicom_geometry import Tilt
from .refusal import MAX_IMAGE_BYTES, reading

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Image

EXTRA = "pip install 'medplug[nifti]'"
_KEPT = ("uint8", "int8", "uint16", "int16", "float32")
_WIDER = ("int32", "uint32", "int64", "uint64", "float64")  # read as float32 where that keeps every value
_MM = {"unknown": 1.0, "mm": 1.0, "meter": 1e3, "micron": 1e-3}  # what states no unit is taken in mm by all readers
_HEAD_BYTES, _HEAD_BYTES_2 = 348, 540  # sizeof_hdr
_MAX_EXTENSION_BYTES = 2**24
_SQUARE = 1e-3  # how far from a right angle an affine may be


def nifti_cases(path: str, name: str, unit: Unit, tilt: Tilt) -> Iterator[Case]:
    """The volume of a NIfTI file; with `Unit.FRAME` each of several. Raises `SourceError`, which names the file."""
    if importlib.util.find_spec("nibabel") is None:
        raise SourceError("decoder", f"{name}: is NIfTI, and nibabel is not installed: {EXTRA}")
    with reading(name):
        _check_extensions(path)
        opened = _opened(path)
        shape, volumes = _shape(opened.shape)
        if volumes > 1 and unit is not Unit.FRAME:
            raise SourceError("dimensions", f"has {volumes} volumes; read it one by one, with the unit 'frame'")
        image = _image(opened, shape, volumes, tilt)
    for volume in range(volumes):
        reference = CaseReference(source=name)
        if volumes > 1:
            reference = CaseReference(source=f"{name}:frame/{volume + 1}", frame=volume + 1)
        reader = _Reader(path, name, shape, image.dtype, volume if volumes > 1 else None)
        yield Case(reference, {"image": replace(image, read=reader)})


def _opened(path: str) -> Nifti1Image:
    import nibabel

    opened = nibabel.load(path, mmap=False)  # a mapped file that shrinks would end the process
    return cast("Nifti1Image", opened)


def _check_extensions(path: str) -> None:
    """Refuse what would fill the memory before the image is reached: nibabel reads all that precedes it."""
    with gzip.open(path) if path.lower().endswith(".gz") else Path(path).open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    if len(head) < _HEAD_BYTES:
        raise SourceError("unreadable", "is cut short within its header")
    for order in "<>":
        if struct.unpack_from(f"{order}i", head)[0] == _HEAD_BYTES:
            [offset] = struct.unpack_from(f"{order}f", head, 108)  # vox_offset, NIfTI-1
        elif struct.unpack_from(f"{order}i", head)[0] == _HEAD_BYTES_2:
            [offset] = struct.unpack_from(f"{order}q", head, 168)  # NIfTI-2
        else:
            continue
        if not offset <= _MAX_EXTENSION_BYTES:
            raise SourceError("unreadable", f"claims more than {_MAX_EXTENSION_BYTES >> 20} MiB of header extensions")
        return
    raise SourceError("unreadable", "has no NIfTI header")


def _shape(stored: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """[slices,] rows, columns, and how many volumes; one slice is a flat image."""
    i, j, k, *more = (*stored, 1, 1)[: max(3, len(stored))]
    if 0 in stored or len(stored) < 2:
        raise SourceError("dimensions", f"has the shape {stored}, which is no image")
    return ((k, j, i) if k > 1 else (j, i)), math.prod(more)


def _image(opened: Nifti1Image, shape: tuple[int, ...], volumes: int, tilt: Tilt) -> Image:
    header: Any = opened.header
    stored = np.dtype(header.get_data_dtype())
    if stored.fields is not None or stored.kind not in "iuf" or stored.name not in (*_KEPT, *_WIDER):
        raise SourceError("values", f"holds {stored.name if stored.fields is None else 'colours'}, which is not read")
    if math.prod(shape) * volumes * stored.itemsize > MAX_IMAGE_BYTES:
        raise SourceError("unreadable", f"claims {math.prod(shape) * volumes} values, more than is read")
    dtype = stored.newbyteorder("=") if stored.name in _KEPT else np.dtype(np.float32)
    low, high = float(header["cal_min"]), float(header["cal_max"])
    spacing, to_patient = _place(opened, tilt)
    proxy: Any = opened.dataobj
    return Image(
        shape=shape,
        dtype=dtype,
        read=_unread,
        values=ValueMeaning(
            rescale=(float(proxy.slope), float(proxy.inter)),
            full_range=(low, high) if math.isfinite(low) and math.isfinite(high) and low < high else None,
        ),
        bits=8 * stored.itemsize,
        stored_range=None if dtype.kind == "f" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)),
        spacing=None if spacing is None else spacing[3 - len(shape) :],
        to_patient=to_patient,
        photometric="MONOCHROME2",
    )


def _place(opened: Nifti1Image, tilt: Tilt) -> tuple[tuple[float, ...] | None, NDArray[np.float64] | None]:
    """Spacing in mm in index order, and the map to LPS: None where neither an sform nor a qform states it."""
    header: Any = opened.header
    factor = _MM[header.get_xyzt_units()[0]]
    if not (int(header["sform_code"]) or int(header["qform_code"])):
        sizes = [float(size) * factor for size in header["pixdim"][3:0:-1]]
        return (tuple(sizes) if all(math.isfinite(size) and size > 0 for size in sizes) else None), None
    affine = np.array(opened.affine, np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise SourceError("geometry", "its affine cannot be inverted")
    to_patient = np.diag([-factor, -factor, factor, 1.0]) @ affine[:, [2, 1, 0, 3]]
    step, row, column = to_patient[:3, :3].T
    if abs(row @ column) > _SQUARE * np.linalg.norm(row) * np.linalg.norm(column):
        raise SourceError("geometry", "its affine is sheared within the slices")
    normal = np.cross(row, column)
    gap = abs(step @ normal) / np.linalg.norm(normal)
    lean = math.degrees(math.acos(min(1.0, gap / float(np.linalg.norm(step)))))
    if lean > MAX_TILT_DEGREES and tilt == "refuse":
        raise SourceError("geometry", f"its slices are tilted by {lean:.1f} degrees: they do not lie along the normal")
    return (float(gap), float(np.linalg.norm(row)), float(np.linalg.norm(column))), to_patient


def _unread() -> Pixels:
    raise AssertionError("each volume brings its own reader")


@dataclass(frozen=True)
class _Reader:
    """Reads one volume as [1, slices, rows, columns], or [1, rows, columns]; unscaled."""

    path: str
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    volume: int | None

    def __call__(self) -> Pixels:
        with reading(self.name):
            stored = np.asarray(self._proxy().get_unscaled())
            if self.volume is not None:
                stored = stored.reshape(*stored.shape[:3], -1, order="F")[..., self.volume]
            pixels = stored.reshape(self.shape[::-1], order="F").T[np.newaxis]
            return _narrowed(pixels, self.dtype)

    def _proxy(self) -> Any:
        return _opened(self.path).dataobj


def _narrowed(pixels: Pixels, dtype: np.dtype[Any]) -> Pixels:
    """The pixels as `dtype`. Raises `SourceError` (`values`) for an integer that float32 cannot hold."""
    if pixels.dtype.kind in "iu" and dtype.kind == "f" and pixels.size and np.abs(pixels.astype(float)).max() > 2**24:
        raise SourceError("values", "holds integers above 2^24, which float32 would round")
    return pixels.astype(dtype, copy=False)
