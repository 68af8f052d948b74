"""What the stored numbers of a DICOM dataset mean: modality LUT, VOI, presentation (PS3.3 C.11)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..case import LookupTable, ValueMeaning, VoiWindow
from ..errors import SourceError
from .dicom_elements import ITEM_KEYWORDS, KEYWORDS
from .refusal import clean

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

_UID = re.compile(r"[0-9.]{1,64}")
_VOI_FUNCTIONS = {"LINEAR", "LINEAR_EXACT", "SIGMOID"}


@cache
def _tag(keyword: str) -> BaseTag:
    from pydicom.datadict import tag_for_keyword
    from pydicom.tag import Tag

    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    assert keyword in (*KEYWORDS, *ITEM_KEYWORDS), f"{keyword} is not looked for"
    return Tag(tag)


def stated(dataset: Dataset, keyword: str) -> Any:
    """What `dataset.get(keyword)` gives, None where the element is absent, in a third of the time."""
    tag = _tag(keyword)
    try:
        return dataset[tag].value if tag in dataset else None
    except AttributeError:  # what its VR is would follow from an element that is absent
        return None


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """The finite numbers of an element; empty where it is absent or one of them is no number."""
    value = stated(dataset, keyword)
    if value is None or value == "":
        return ()
    values = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else [value]
    try:
        found = tuple(float(v) for v in values)
    except (TypeError, ValueError):
        return ()
    return found if all(map(math.isfinite, found)) else ()


def is_uid(text: str) -> bool:
    """Whether the text is made as a unique identifier is, PS3.5 9.1."""
    return _UID.fullmatch(text) is not None


def uid_of(dataset: Dataset, keyword: str) -> str | None:
    """The value of a unique identifier (UI); None where it is absent or made otherwise."""
    text = str(stated(dataset, keyword) or "")
    return text if is_uid(text) else None


def code_string(dataset: Dataset, keyword: str) -> str | None:
    """The first value of a code string (CS), stripped, upper case and harmless; None where it is absent or empty."""
    value = stated(dataset, keyword)
    if value is not None and not isinstance(value, str):
        value = value[0] if isinstance(value, Sequence) and value else None
    return clean(str(value).strip().upper(), 64) or None if value is not None else None


def value_meaning(dataset: Dataset, transform: Dataset, voi: Dataset, colour_bits: int | None = None) -> ValueMeaning:
    """The meaning of stored numbers.

    `transform` holds the modality transform and `voi` the VOI: the dataset itself, or an enhanced frame's functional
    groups. `colour_bits` is the depth of colour samples, which have neither. Raises `SourceError` (`values`).
    """
    if colour_bits is not None:
        return ValueMeaning(full_range=(0.0, float(2**colour_bits - 1)))
    signed = stated(dataset, "PixelRepresentation") == 1
    modality_lut = _lookup_table(dataset, transform, "ModalityLUTSequence", signed)
    rescale = _rescale(transform) if modality_lut is None else (1.0, 0.0)
    # PS3.3 C.11.2.1.1: the VOI LUT's first value mapped has the sign of the modality transform's output.
    voi_signed = modality_lut is None and (signed or rescale[1] < 0)
    inverted = (
        code_string(dataset, "PhotometricInterpretation") == "MONOCHROME1"
        or code_string(dataset, "PresentationLUTShape") == "INVERSE"
    )
    return ValueMeaning(
        rescale=rescale,
        modality_lut=modality_lut,
        windows=_windows(voi),
        voi_lut=_lookup_table(dataset, voi, "VOILUTSequence", voi_signed),
        inverted=inverted,
        padding=_padding(dataset, signed),
    )


def _padding(dataset: Dataset, signed: bool) -> tuple[float, float] | None:
    """The lowest and highest stored value that is Pixel Padding, PS3.3 C.7.5.1.1.2; None without a valid one."""
    for kind in ("Float", "DoubleFloat"):
        value = numbers(dataset, f"{kind}PixelPaddingValue")
        ends = (*value, *(numbers(dataset, f"{kind}PixelPaddingRangeLimit") or value))
        if len(ends) == 2:
            low, high = sorted(float(np.float32(end)) for end in ends)  # as the pixels are read
            return low, high
    value = numbers(dataset, "PixelPaddingValue")
    ends = (*value, *(numbers(dataset, "PixelPaddingRangeLimit") or value))
    if len(ends) != 2 or any(end != int(end) for end in ends):
        return None
    allocated = int(stated(dataset, "BitsAllocated") or 0)
    if allocated not in (8, 16, 32):
        return None
    # Some writers take US for SS or the reverse.
    low, high = sorted(
        (int(end) + (signed << allocated - 1)) % 2**allocated - (signed << allocated - 1) for end in ends
    )
    return low, high


def _rescale(dataset: Dataset) -> tuple[float, float]:
    """Rescale Slope and Rescale Intercept, PS3.3 C.11.1, or an RT Dose's scaling, C.8.8.3.2; (1, 0) without either."""
    if stated(dataset, "DoseGridScaling") is not None:
        scaling = numbers(dataset, "DoseGridScaling")
        if len(scaling) != 1 or scaling[0] <= 0:
            raise SourceError("values", f"Dose Grid Scaling {clean(dataset.get('DoseGridScaling'), 40)!r} is no factor")
        return scaling[0], 0.0
    present = [keyword for keyword in ("RescaleSlope", "RescaleIntercept") if stated(dataset, keyword) is not None]
    if not present:
        return 1.0, 0.0
    slope, intercept = numbers(dataset, "RescaleSlope"), numbers(dataset, "RescaleIntercept")
    if len(slope) != 1 or len(intercept) != 1 or slope[0] == 0:
        claim = " and ".join(f"{keyword} {clean(stated(dataset, keyword), 40)!r}" for keyword in present)
        raise SourceError("values", f"{claim} is no rescale: it takes a slope other than 0 and an intercept")
    return slope[0], intercept[0]


def _windows(dataset: Dataset) -> tuple[VoiWindow, ...]:
    """The windows, PS3.3 C.11.2.1.2. One that the standard forbids says nothing and is left out."""
    function = code_string(dataset, "VOILUTFunction") or "LINEAR"
    if function not in _VOI_FUNCTIONS:
        return ()
    centers, widths = numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")
    if len(centers) != len(widths):
        return ()
    return tuple(
        VoiWindow(center, width, function)
        for center, width in zip(centers, widths, strict=True)
        if (width >= 1 if function == "LINEAR" else width > 0)
    )


def _lookup_table(dataset: Dataset, holder: Dataset, keyword: str, signed: bool) -> LookupTable | None:
    """The first table of a LUT sequence, PS3.3 C.11.1.1 and C.11.2.1.1, or None where there is none."""
    if not stated(holder, keyword):
        return None
    item = holder[keyword].value[0]
    if stated(item, "LUTDescriptor") is None and stated(item, "LUTData") is None:  # some writers leave an empty item
        return None
    descriptor = numbers(item, "LUTDescriptor")
    if len(descriptor) != 3:
        raise SourceError("values", f"{keyword} has no valid LUT Descriptor")
    count, first, bits = (int(v) for v in descriptor)
    count = count or 2**16
    if bits not in (8, *range(10, 17)):  # PS3.3 C.8.11.3.1.5
        raise SourceError("values", f"{keyword} has {bits} bits an entry; 8 and 10 to 16 are defined")
    if signed and first >= 2**15:  # written as US where SS was meant
        first -= 2**16
    entries = _lut_entries(stated(item, "LUTData"), count, bits, dataset.original_encoding[1] is not False)
    if len(entries) < count:
        raise SourceError("values", f"{keyword} declares {count} entries and holds {len(entries)}")
    maximum = float(2**bits - 1)
    if entries[:count].max() > maximum:
        raise SourceError("values", f"{keyword} has entries above its own maximum of {maximum:.0f}")
    return LookupTable(entries[:count].astype(np.float32), first, maximum)


def _lut_entries(stored: Any, count: int, bits: int, little_endian: bool) -> np.ndarray[Any, np.dtype[Any]]:
    """LUT Data as unsigned integers: numbers (US), or bytes (OW) of 16-bit words or of 8-bit entries."""
    if isinstance(stored, bytes):
        if bits == 8 and len(stored) < 2 * count:
            return np.frombuffer(stored, "u1")
        return np.frombuffer(stored[: len(stored) // 2 * 2], "<u2" if little_endian else ">u2")
    try:
        entries = np.atleast_1d(np.asarray(stored if stored is not None else [], np.int64))
    except (TypeError, ValueError, OverflowError):
        return np.zeros(0, np.int64)
    return entries % 2**16 if entries.ndim == 1 else np.zeros(0, np.int64)
