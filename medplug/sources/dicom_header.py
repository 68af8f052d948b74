"""The header of a DICOM file, and how many bytes of pixels follow it; nothing is decoded."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from ..case import stamp_of
from ..errors import SourceError
from .dicom_elements import PIXEL_KEYWORDS
from .dicom_scan import PREAMBLE_BYTES, UNDEFINED_LENGTH, BeyondError, Scanned, scan

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset

Stop = Callable[[Any, str | None, int], bool]

_DEFLATED = "1.2.840.10008.1.2.1.99"
_MAX_INFLATED_BYTES = 2**29
_HEAD_BYTES = 2**15  # few headers are longer,
_LONG_HEAD_BYTES = 2**20  # and hardly any than this
_PIXEL_TAGS = tuple(
    b"".join(half.to_bytes(2, order) for half in divmod(tag, 2**16))
    for order in ("little", "big")
    for tag in reversed(PIXEL_KEYWORDS)  # the usual one first
)


@dataclass(frozen=True, eq=False)
class Header:
    """A dataset up to its pixels.

    `pixel_keyword` is None where no pixels follow; `pixel_bytes` is the length that they declare, None for
    encapsulated ones, and `present_bytes` what the file holds from there on. `pixel_offset` is where in the file they
    begin, None where they do not lie there as they are: none follow, or all is deflated. `stamp` changes with the file.
    Where `shared` is the same in two headers, and not None, they differ in `OWN_KEYWORDS` alone.
    """

    dataset: Dataset
    transfer_syntax: str
    pixel_keyword: str | None
    pixel_bytes: int | None
    present_bytes: int
    pixel_offset: int | None
    stamp: tuple[int, int]
    shared: Hashable | None = None


def read_header(path: str) -> Header:
    """Read a file up to its pixels. Raises `SourceError`, or whatever pydicom does with a damaged file."""
    with _File(path) as file:
        stamp = stamp_of(file.fileno())
        head = file.read(_HEAD_BYTES)
        if (scanned := _scanned(head, file)) is not None:
            return _as_header(scanned, stamp)
        file.seek(0)
        stream = _inflated(file)
        parsed = _in_memory(head) if stream is file and len(head) < stamp[0] else None
        dataset, found = parsed or _up_to_pixels(file, stream)
        size = stream.seek(0, io.SEEK_END)
    keyword, length, position = found or (None, 0, size)
    declared = None if length == UNDEFINED_LENGTH else length
    offset = position if found and stream is file else None
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    return Header(dataset, syntax, keyword, declared, size - position, offset, stamp)


def _scanned(head: bytes, file: BinaryIO) -> Scanned | None:
    try:
        return scan(head)
    except BeyondError:
        pass
    try:
        return scan(head + file.read(_LONG_HEAD_BYTES))
    except BeyondError:
        return None


def _as_header(scanned: Scanned, stamp: tuple[int, int]) -> Header:
    length = None if scanned.pixel_length == UNDEFINED_LENGTH else scanned.pixel_length
    present, offset = stamp[0] - scanned.pixel_offset, scanned.pixel_offset
    keyword, syntax = scanned.pixel_keyword, str(scanned.dataset.file_meta.TransferSyntaxUID)
    shared = (scanned.shared, syntax, keyword, length, None if length is None else min(length, present))
    return Header(scanned.dataset, syntax, keyword, length, present, offset, stamp, shared)


class _Head(io.BytesIO):
    """The beginning of a file, which does not pass for a file that ends there."""

    def read(self, size: int | None = -1, /) -> bytes:
        got = super().read(size)
        if size is None or len(got) < size or size < 0:
            raise BeyondError
        return got


def _in_memory(head: bytes) -> tuple[FileDataset, tuple[str, int, int]] | None:
    """As `_up_to_pixels`, a third faster; None where the pixels seem to begin behind the head."""
    if not any(tag in head for tag in _PIXEL_TAGS):
        return None
    stream = _Head(head)
    try:
        dataset, found = _up_to_pixels(stream, stream)
    except Exception:  # the head ends in an element, or the file is damaged: the file itself will tell
        return None
    return None if found is None else (dataset, found)


def _up_to_pixels(file: BinaryIO, stream: BinaryIO) -> tuple[FileDataset, tuple[str, int, int] | None]:
    """The dataset in `stream` before its pixels, and their keyword, declared length and place, None without any."""
    found: list[tuple[str, int, int]] = []

    def at_pixels(tag: int, vr: str | None, length: int) -> bool:
        if int(tag) in PIXEL_KEYWORDS:
            found.append((PIXEL_KEYWORDS[int(tag)], length, stream.tell()))
        return bool(found)

    dataset = _parse(file, stream, at_pixels)
    return dataset, found[0] if found else None


def read_whole_header(path: str) -> FileDataset:
    """Read every element of a file up to its pixels, those too that no image is read by. Errors as `read_header`."""
    with _File(path) as file:
        return _up_to_pixels(file, _inflated(file))[0]


def read_with_pixels(path: str) -> FileDataset:
    """Read a file, its pixels included; its transfer syntax is filled in where the file meta lacks it."""
    seen: list[int] = []

    def past_pixels(tag: int, vr: str | None, length: int) -> bool:
        if int(tag) in PIXEL_KEYWORDS and not seen:
            seen.append(int(tag))
            return False
        return bool(seen)

    with _File(path) as file:
        return _parse(file, _inflated(file), past_pixels)


class _File(io.BufferedReader):
    """A file that reads no more than it holds: Python would make room first for any length that an element claims."""

    def __init__(self, path: str) -> None:
        super().__init__(io.FileIO(path))
        self._size = self.seek(0, io.SEEK_END)
        self.seek(0)

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self._size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


def _parse(file: BinaryIO, stream: BinaryIO, stop_when: Stop) -> FileDataset:
    """The dataset in `stream`, which is `file` or what it holds inflated."""
    from pydicom.dataset import FileDataset
    from pydicom.filereader import read_dataset, read_partial
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if stream is file:
        dataset = read_partial(file, stop_when=stop_when, force=True)
    else:
        plain = read_dataset(stream, is_implicit_VR=False, is_little_endian=True, stop_when=stop_when)
        dataset = FileDataset(stream, plain, file_meta=_file_meta(file), is_implicit_VR=False)
        dataset.set_original_encoding(False, True, plain._character_set)
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if not dataset.file_meta.get("TransferSyntaxUID"):
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset


def _file_meta(file: BinaryIO) -> FileMetaDataset:
    """The file meta (PS3.10 7.1); leaves `file` at the first byte after it."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.filereader import read_dataset

    file.seek(PREAMBLE_BYTES)
    return FileMetaDataset(
        read_dataset(
            file, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, vr, length: tag >> 16 != 2
        )
    )


def _inflated(file: BinaryIO) -> BinaryIO:
    """The dataset of a deflated file (PS3.5 A.5), inflated here because pydicom sets no limit; or `file` itself."""
    head = file.read(PREAMBLE_BYTES)
    deflated = head[128:] == b"DICM" and _DEFLATED.encode() in file.read(1024)
    if deflated:
        deflated = _file_meta(file).get("TransferSyntaxUID") == _DEFLATED
    if not deflated:
        file.seek(0)
        return file
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = inflater.decompress(file.read(), _MAX_INFLATED_BYTES)
    if inflater.unconsumed_tail:
        raise SourceError("unreadable", f"inflates to more than {_MAX_INFLATED_BYTES >> 20} MiB")
    if not inflater.eof:
        raise SourceError("unreadable", "its deflated stream is cut short")
    return io.BytesIO(plain)
