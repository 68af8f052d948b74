"""What size a compressed frame claims: a decoder would allocate that, whatever the DICOM header says."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ..errors import SourceError

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

_SOF = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # the frame headers of JPEG (T.81 B.1.1.3) and JPEG-LS
_NO_LENGTH = {0x01, *range(0xD0, 0xD9)}


def check_frame_sizes(dataset: FileDataset, frame: int | None) -> None:
    """Refuse frames (or the one, from 0) that claim another size than Rows x Columns. RLE has no size of its own."""
    from pydicom.encaps import generate_frames, get_frame
    from pydicom.uid import RLELossless

    if dataset.file_meta.TransferSyntaxUID == RLELossless:
        return
    expected = (int(dataset.Rows), int(dataset.Columns))
    count, stored = int(dataset.get("NumberOfFrames") or 1), dataset.PixelData
    if frame is None:
        codestreams = generate_frames(stored, number_of_frames=count)
    else:
        codestreams = iter([get_frame(stored, frame, number_of_frames=count)])
    for codestream in codestreams:
        found = frame_size(codestream)
        if found is not None and found != expected:
            raise SourceError(
                "unreadable",
                f"a compressed frame is {found[0]} x {found[1]}, the header says {expected[0]} x {expected[1]}",
            )


def frame_size(codestream: bytes) -> tuple[int, int] | None:
    """(rows, columns) that a JPEG, JPEG-LS or JPEG 2000 codestream declares; None where it is none or cut short."""
    try:
        if codestream[:2] == b"\xff\xd8":
            return _jpeg_size(codestream)
        start = codestream.find(b"\xff\x4f\xff\x51", 0, 4096)
        if start >= 0:  # SIZ, T.800 A.5.1: the reference grid and the image's offset in it
            columns, rows, left, top = struct.unpack_from(">4I", codestream, start + 8)
            return rows - top, columns - left
    except struct.error:
        return None
    return None


def _jpeg_size(codestream: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 4 <= len(codestream):
        if codestream[at] != 0xFF:
            return None
        marker = codestream[at + 1]
        if marker == 0xFF:  # fill byte, T.81 B.1.1.2
            at += 1
        elif marker in _NO_LENGTH:
            at += 2
        elif marker in _SOF:
            rows, columns = struct.unpack_from(">2H", codestream, at + 5)
            return rows, columns
        else:
            at += 2 + int(struct.unpack_from(">H", codestream, at + 2)[0])
    return None
