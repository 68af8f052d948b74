"""What lies where: the files below a folder in a fixed order, and what kind of source a file is."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from enum import Enum, auto
from pathlib import Path

_DICOM_VRS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)
_DICOMDIR = b"\x02\0\x02\0UI\x14\x001.2.840.10008.1.3.10"  # Media Storage SOP Class UID, PS3.3 F
_FORMAT_SUFFIXES = {".dcm", ".dicom", ".ima", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".npy", ".npz", ".zip"}
_FOREIGN_SUFFIXES = {".bmp", ".gif", ".webp", ".jp2", ".jxl", ".nii", ".nrrd", ".mha", ".mhd", ".hdr", ".img", ".svs"}


class Kind(Enum):
    """What reads a file."""

    DICOM = auto()
    PICTURE = auto()
    NPY = auto()
    NPZ = auto()
    NIFTI = auto()
    ZIP = auto()
    DICOMDIR = auto()
    TABLE = auto()
    CLAIMED = auto()  # the name says that it is an image, and the content is none that is read here
    OTHER = auto()


def files_below(folder: Path, leave_out: Path | None = None) -> Iterator[Path]:
    """Every file below a folder, in sorted order; links to folders and what cannot be listed are yielded themselves.

    `leave_out` is a folder that is not entered, as `Path.resolve` gives it.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        yield folder
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if leave_out is None or Path(entry.path).resolve() != leave_out:
                yield from files_below(Path(entry.path), leave_out)
        else:
            yield Path(entry.path)


def kind_of(path: Path) -> Kind:
    """The kind of a regular file, by its first bytes; by its name only where these say nothing."""
    with path.open("rb") as stream:
        head = stream.read(512)
    suffix = path.suffix.lower()
    if head[128:132] == b"DICM" or _begins_like_dicom(head):
        return Kind.DICOMDIR if _DICOMDIR in head else Kind.DICOM
    if head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return Kind.PICTURE
    if head.startswith(b"\x93NUMPY"):
        return Kind.NPY
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) and suffix in (".npz", ".zip", ""):
        return Kind.NPZ if suffix == ".npz" else Kind.ZIP  # a document of an office is a zip archive, too
    if _is_nifti(head) if suffix == ".nii" else head[:2] == b"\x1f\x8b" and path.name.lower().endswith(".nii.gz"):
        return Kind.NIFTI
    if suffix == ".csv":
        return Kind.TABLE
    foreign = suffix in _FOREIGN_SUFFIXES or path.name.lower().endswith(".nii.gz")
    return Kind.CLAIMED if foreign or suffix in _FORMAT_SUFFIXES else Kind.OTHER


def _is_nifti(head: bytes) -> bool:
    return head[344:348] == b"n+1\0" or head[4:8] == b"n+2\0"  # NIfTI-1 and NIfTI-2, in one file


def _begins_like_dicom(head: bytes) -> bool:
    """Whether a file without preamble begins with an element of group 0002 or 0008, in any transfer syntax."""
    if len(head) < 12:
        return False
    for order in "<>":
        group, element = struct.unpack_from(order + "HH", head)
        if group not in (2, 8) or element > 0x0100:
            continue
        length = struct.unpack_from(order + "I", head, 4)[0]
        if head[4:6] in _DICOM_VRS or (order == "<" and 0 < length <= 128):
            return True
    return False
