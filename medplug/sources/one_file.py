"""One file: what its beginning says, and the cases in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..case import Case, Unit
from ..errors import SourceError
from .refusal import name_of
from .walk import Kind, kind_of

if TYPE_CHECKING:
    from .dicom_geometry import Tilt
    from .dicom_instance import Instance

_KNOWN = "DICOM, NIfTI, PNG, JPEG, TIFF, .npy, .npz, .zip and .csv are read"


@dataclass(frozen=True, eq=False)
class Head:
    """What the beginning of a file says: its kind, and for DICOM the instance, or why there is none."""

    kind: Kind
    instance: Instance | SourceError | None = None


def head_of(path: Path, name: str) -> Head:
    """Look at the beginning of a file. Raises `SourceError` for what is none, and `OSError`."""
    kind = _kind(path, name)
    if kind is not Kind.DICOM:
        return Head(kind)
    from .dicom_instance import read_instance

    try:
        return Head(kind, read_instance(str(path), name))
    except SourceError as error:
        return Head(kind, error)


def head_ahead(path: Path) -> Head | None:
    """As `head_of`, in a thread; None where the file's own turn will say what is wrong."""
    try:
        return head_of(path, name_of(path))
    except (SourceError, OSError):
        return None


def _kind(path: Path, name: str) -> Kind:
    if path.is_symlink() and path.is_dir():  # it may lead to where it lies
        raise SourceError("not-an-image", f"{name}: is a link to a folder, which is not followed")
    if path.is_dir():
        raise SourceError("unreadable", f"{name}: is a folder that cannot be listed")
    if not path.is_file():  # opening a pipe would wait for ever
        raise SourceError("not-an-image", f"{name}: is no regular file")
    return kind_of(path)


def file_cases(path: str, name: str, kind: Kind, unit: Unit, tilt: Tilt) -> Iterator[Case] | None:
    """The cases of a file that holds images by itself; None for any other. Raises `SourceError`, which names it."""
    if kind is Kind.PICTURE:
        from .picture import picture_cases

        return picture_cases(path, name, unit)
    if kind is Kind.NPY:
        from .arrays import npy_cases

        return npy_cases(path, name)
    if kind is Kind.NPZ:
        from .arrays import npz_cases

        return npz_cases(path, name)
    if kind is Kind.NIFTI:
        from .nifti import nifti_cases

        return nifti_cases(path, name, unit, tilt)
    return None


def unknown(name: str, kind: Kind, *, walked: bool) -> SourceError:
    """Why a file is not read: found in a folder, it need not be an image."""
    if kind is Kind.DICOMDIR:
        return SourceError("not-an-image", f"{name}: is a DICOMDIR; the files that it names are found by themselves")
    if kind is Kind.ZIP:
        return SourceError("not-an-image", f"{name}: is an archive in an archive, which is not opened")
    if kind is Kind.CLAIMED or not walked:
        return SourceError("unreadable", f"{name}: is no image that is read here, or a damaged one; {_KNOWN}")
    return SourceError("not-an-image", f"{name}: holds no image")
