"""Decoding the pixels of a DICOM file: as they are stored, and as an `Image` gives them."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _kernels
from ..case import FileSpan, Pixels, SpanReader
from ..errors import SourceError
from .codestream import check_frame_sizes
from .decoders import decoder_for
from .dicom_elements import PIXEL_KEYWORDS
from .dicom_header import Header, read_with_pixels
from .dicom_values import stated
from .kept_buffers import BUFFERS
from .refusal import clean, reading

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

_LITTLE_ENDIAN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")  # implicit and explicit VR, PS3.5 A.1 and A.2


def decode_stored(dataset: FileDataset, frame: int | None = None) -> NDArray[Any]:
    """The raw stored values: [frames,] rows, columns [, samples]; `frame` counts from 0. No colour conversion."""
    return _decode(dataset, frame, raw=True)


def _decode(dataset: FileDataset, frame: int | None, *, raw: bool) -> NDArray[Any]:
    uid = str(dataset.file_meta.TransferSyntaxUID)
    decoder = decoder_for(uid, int(stated(dataset, "BitsStored") or 0))
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        check_frame_sizes(dataset, frame)
    try:
        pixels, _ = decoder.as_array(dataset, index=frame, raw=raw)
    except RuntimeError as error:  # what pydicom raises when every decoder has failed
        raise SourceError("unreadable", f"its compressed pixels cannot be decoded ({clean(error)})") from None
    return np.asarray(pixels)


@dataclass(frozen=True)
class PixelFile:
    """A file whose header has been read and checked; `name` is what errors call it. `grey` where its pixels are so."""

    path: str
    name: str
    frames: int
    grey: GreyPixels | None

    def reader(self, frame: int | None, shape: tuple[int, ...], channels: int, dtype: np.dtype[Any]) -> PixelReader:
        """What reads the pixels as [channels, *shape]; `frame`, from 0, picks one of several."""
        frame = frame if self.frames > 1 else None
        span = None if self.grey is None else self.grey.span(self.path, frame or 0, (channels, *shape), dtype)
        return PixelReader(self, frame, shape, channels, dtype, span)

    def decoded(self, frame: int | None, shape: tuple[int, ...], channels: int, dtype: np.dtype[Any]) -> Pixels:
        """Parse the file once more and decode its pixels. Raises `SourceError`, or whatever a decoder does."""
        dataset = read_with_pixels(self.path)
        if not any(keyword in dataset for keyword in PIXEL_KEYWORDS.values()):
            raise SourceError("unreadable", "ends before its pixels do: it is cut short")
        pixels = _decode(dataset, frame, raw=False)
        if self.frames == 1 and pixels.ndim > 2 and pixels.shape[0] == 1 and len(shape) == 2:
            pixels = pixels[0]
        if stated(dataset, "PhotometricInterpretation") == "PALETTE COLOR":
            pixels = _coloured(pixels, dataset)
        pixels = np.moveaxis(pixels, -1, 0) if channels > 1 else pixels[np.newaxis]
        if pixels.shape != (channels, *shape):
            found = " x ".join(map(str, pixels.shape))
            raise SourceError("unreadable", f"decodes to {found}, which is not what its header says")
        return fitted(pixels, dtype)


@dataclass(frozen=True)
class PixelReader(SpanReader):
    """The `Image.read` of a DICOM file; `span` where the pixels need no decoding. Raises `SourceError`."""

    file: PixelFile
    frame: int | None
    shape: tuple[int, ...]
    channels: int
    dtype: np.dtype[Any]
    span: FileSpan | None

    def __call__(self) -> Pixels:
        """Read the pixels."""
        with reading(self.file.name):
            pixels = None if self.span is None else _read(self.span)
            return self.file.decoded(self.frame, self.shape, self.channels, self.dtype) if pixels is None else pixels


def _read(span: FileSpan) -> Pixels | None:
    """The pixels of a span; None where the file has changed. No parsing, which takes longer than to read them."""
    pixels = BUFFERS.empty(span.shape, span.dtype)
    with span.opened() as file:
        there = file is not None and _kernels.read_values(file, span.offset, span.unused, pixels)
    return pixels if there else None


@dataclass(frozen=True)
class GreyPixels:
    """Pixels that lie in a file as they do in memory, from `offset` on, with `unused` bits above each value."""

    offset: int
    unused: int
    stamp: tuple[int, int]

    @classmethod
    def of(cls, header: Header, stored: np.dtype[Any], bits: int) -> GreyPixels | None:
        """What `header` says of them, None where they are to be decoded."""
        dataset = header.dataset
        allocated = int(stated(dataset, "BitsAllocated") or 0)
        plain = (
            header.pixel_offset is not None
            and header.pixel_keyword == "PixelData"
            and header.transfer_syntax in _LITTLE_ENDIAN
            and dataset.original_encoding[1]
            and sys.byteorder == "little"
            and stated(dataset, "PhotometricInterpretation") in ("MONOCHROME1", "MONOCHROME2")
            and allocated == 8 * stored.itemsize
        )
        return cls(header.pixel_offset or 0, allocated - bits, header.stamp) if plain else None

    def span(self, path: str, frame: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> FileSpan:
        """Where the values of `shape` lie, which `frame` frames of that shape precede."""
        ahead = frame * math.prod(shape) * dtype.itemsize
        return FileSpan(path, self.offset + ahead, self.unused, self.stamp, shape, dtype)


def _coloured(indices: NDArray[Any], dataset: FileDataset) -> NDArray[Any]:
    """The colours of a palette, PS3.3 C.7.6.3.1.5."""
    from pydicom.pixels.processing import apply_color_lut

    if dataset.original_encoding[1] is False:
        _swap_palette(dataset)
    coloured = apply_color_lut(indices, dataset)
    if coloured.shape[-1] != 3:
        raise SourceError("channels", "has a palette with transparency: what it shows depends on the background")
    return coloured


def _swap_palette(dataset: FileDataset) -> None:
    """Make a big-endian palette little-endian: pydicom takes its 16-bit entries to be so."""
    entries = int(dataset.RedPaletteColorLookupTableDescriptor[0]) or 2**16
    for colour in ("Red", "Green", "Blue", "Alpha"):
        keyword = f"{colour}PaletteColorLookupTableData"
        if len(dataset.get(keyword) or b"") == 2 * entries:
            dataset[keyword].value = np.frombuffer(dataset[keyword].value, ">u2").astype("<u2").tobytes()


def fitted(pixels: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """`pixels` as `dtype`, every value kept; float64 is rounded to float32.

    Raises `SourceError` (`values`) where a value does not fit.
    """
    if pixels.dtype == dtype:
        return pixels
    if pixels.size:
        low, high = pixels.min(), pixels.max()
        limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
        if pixels.dtype.kind == "f" and dtype.kind != "f":
            raise SourceError("unreadable", "decodes to floating point, which its header does not say")
        if low < limits.min or high > limits.max:
            raise SourceError("values", f"holds values from {low} to {high}, which do not fit into {dtype}")
    return pixels.astype(dtype)
