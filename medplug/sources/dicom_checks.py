"""What a DICOM header must say before its pixels are believed (PS3.3 C.7.6.3, PS3.5 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import SourceError
from .dicom_header import Header
from .dicom_values import code_string, is_uid, numbers, stated
from .refusal import clean

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_SAMPLES = {
    "MONOCHROME1": 1,
    "MONOCHROME2": 1,
    "PALETTE COLOR": 1,
    "RGB": 3,
    "YBR_FULL": 3,
    "YBR_FULL_422": 3,
    "YBR_ICT": 3,
    "YBR_RCT": 3,
}


def check_holds_pixels(header: Header) -> None:
    """`not-an-image` for an object without pixels, `unreadable` for an image whose pixels are missing."""
    from pydicom.uid import UID

    if header.pixel_keyword is not None:
        return
    dataset = header.dataset
    sop_class = str(stated(dataset, "SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID") or "")
    if stated(dataset, "Rows") is not None or "Image Storage" in UID(sop_class).name:
        raise SourceError("unreadable", "is a DICOM image without pixels: cut short, or stripped of them")
    if not is_uid(sop_class):
        raise SourceError("unreadable", "is DICOM that ends before it says what it is: damaged or cut short")
    raise SourceError("not-an-image", f"is DICOM without an image: {clean(UID(sop_class).name)}")


def positive(dataset: Dataset, keyword: str) -> int:
    """The value of an element that must be a positive integer."""
    values = numbers(dataset, keyword)
    if len(values) != 1 or values[0] < 1 or values[0] != int(values[0]):
        raise SourceError("unreadable", f"{keyword} is {clean(stated(dataset, keyword), 40)!r}, not a positive integer")
    return int(values[0])


def photometric_of(dataset: Dataset) -> tuple[str, int]:
    """Photometric Interpretation (PS3.3 C.7.6.3.1.2) and the samples of a pixel, which must agree."""
    photometric = code_string(dataset, "PhotometricInterpretation")
    if photometric is None:
        raise SourceError("photometric", "does not say its PhotometricInterpretation")
    if photometric not in _SAMPLES:
        known = ", ".join(_SAMPLES)
        raise SourceError("photometric", f"has PhotometricInterpretation {photometric!r}; known: {known}")
    samples = positive(dataset, "SamplesPerPixel")
    if samples != _SAMPLES[photometric]:
        raise SourceError("unreadable", f"has {samples} samples a pixel, {photometric} takes {_SAMPLES[photometric]}")
    return photometric, samples


def stored_type(header: Header) -> tuple[np.dtype[Any], int]:
    """The dtype that holds the stored values, and their bits, PS3.3 C.7.6.3.1."""
    dataset = header.dataset
    allocated = positive(dataset, "BitsAllocated")
    if header.pixel_keyword != "PixelData":  # Float Pixel Data and Double Float Pixel Data have no Bits Stored
        return np.dtype(np.float32), allocated
    bits = positive(dataset, "BitsStored")
    high_bit = numbers(dataset, "HighBit")
    if allocated not in (1, 8, 16, 32, 64) or bits > allocated:
        raise SourceError("unreadable", f"says {bits} bits stored in {allocated} bits allocated")
    if high_bit and high_bit[0] != bits - 1:  # PS3.5 8.1.1
        raise SourceError("unreadable", f"says HighBit {high_bit[0]:.0f} with BitsStored {bits}; it must be {bits - 1}")
    signed = stated(dataset, "PixelRepresentation")
    if signed not in (0, 1):
        raise SourceError("unreadable", f"PixelRepresentation is {clean(signed, 40)!r}, neither 0 nor 1")
    # Values of more than 16 bits are read where they fit into 16: `fitted` decides when they are decoded.
    return np.dtype(f"{'i' if signed else 'u'}{1 if allocated <= 8 else 2}"), bits


def palette_type(dataset: Dataset) -> tuple[np.dtype[Any], int]:
    """The dtype and bits of the colours of a palette, PS3.3 C.7.6.3.1.5 and C.7.6.3.1.6."""
    descriptor = numbers(dataset, "RedPaletteColorLookupTableDescriptor")
    if len(descriptor) != 3 or descriptor[2] not in (8, 16):
        raise SourceError("photometric", "is PALETTE COLOR without a valid palette")
    bits = int(descriptor[2])
    plain = stated(dataset, "RedPaletteColorLookupTableData")
    if isinstance(plain, bytes):  # 8-bit entries may stand in words
        itemsize = round(len(plain) / (int(descriptor[0]) or 2**16))
        bits = min(bits, 8 * itemsize)
        return np.dtype("u2" if itemsize == 2 else "u1"), bits
    return np.dtype(f"u{bits // 8}"), bits


def check_length(header: Header, frame_pixels: int, frames: int) -> None:
    """Pixels are encapsulated where the transfer syntax says so; native ones are all there, and no frame more."""
    encapsulated = header.dataset.file_meta.TransferSyntaxUID.is_encapsulated
    if encapsulated != (header.pixel_bytes is None):
        found = "encapsulated" if header.pixel_bytes is None else "native"
        raise SourceError("unreadable", f"holds {found} pixels, which its transfer syntax does not")
    if header.pixel_bytes is None:
        return
    samples = int(header.dataset.SamplesPerPixel)
    if code_string(header.dataset, "PhotometricInterpretation") == "YBR_FULL_422":
        samples = 2
    frame_bits = frame_pixels * samples * int(header.dataset.BitsAllocated)
    expected = (frame_bits * frames + 7) // 8
    present = min(header.pixel_bytes, header.present_bytes)
    if present < expected:
        raise SourceError("unreadable", f"holds {present} bytes of pixels where {expected} belong: it is cut short")
    if 8 * present >= frame_bits * (frames + 1) and present > expected + 1:
        raise SourceError("unreadable", f"holds pixels for {8 * present // frame_bits} frames and declares {frames}")


def stored_range(dtype: np.dtype[Any], bits: int) -> tuple[int, int] | None:
    """The lowest and highest value that `bits` bits of `dtype` can hold; None for floats."""
    if dtype.kind == "f":
        return None
    bits = min(bits, 8 * dtype.itemsize)
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dtype.kind == "i" else (0, 2**bits - 1)
