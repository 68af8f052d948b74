"""What the values of several slices mean together: one transform for all, or the modality values themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..case import Image, Pixels, ValueMeaning
from ..errors import SourceError
from .refusal import MAX_IMAGE_BYTES


def with_meaning(image: Image, meanings: Sequence[ValueMeaning]) -> Image:
    """The volume with the one meaning of its slices, of which each states its own.

    Where their rescales differ, as they do in PET, it is read as float32 of modality values. Windows that differ from
    slice to slice are left out. Raises `SourceError` (`values`) where no one meaning fits.
    """
    first = meanings[0]
    for other in meanings:
        if not _same_table(first, other) or other.inverted != first.inverted:
            raise SourceError("values", "its slices have different modality LUTs or presentations")
        if other.padding != first.padding:
            raise SourceError("values", f"its slices have different padding: {first.padding} and {other.padding}")
    same_voi = all(other.windows == first.windows for other in meanings)
    single_lut = len(meanings) == 1
    common = replace(first, windows=first.windows if same_voi else (), voi_lut=first.voi_lut if single_lut else None)
    rescales = [meaning.rescale for meaning in meanings]
    if all(rescale == first.rescale for rescale in rescales):
        return replace(image, values=common)
    if first.padding is not None:  # one stored value would be another modality value in each slice
        raise SourceError("values", "its slices have different rescales, and pixel padding, which no one value marks")
    largest = max(abs(part) for rescale in rescales for part in rescale)
    if largest > float(np.finfo(np.float32).max) / 2**17:
        raise SourceError("values", f"its slices have different rescales, up to {largest:g}: float32 cannot hold that")
    if image.channels * np.dtype(np.float32).itemsize * int(np.prod(image.shape, dtype=object)) > MAX_IMAGE_BYTES:
        raise SourceError("unreadable", f"has {len(rescales)} slices of float32, more than {MAX_IMAGE_BYTES >> 20} MiB")
    return replace(
        image,
        dtype=np.dtype(np.float32),
        read=_Rescaled(image.read, tuple(rescales)),
        values=replace(common, rescale=(1.0, 0.0)),
        stored_range=None,
    )


@dataclass(frozen=True)
class _Rescaled:
    """Reads [channels, slices, rows, columns] and applies each slice's own slope and intercept, PS3.3 C.11.1.1.2."""

    whole: Callable[[], Pixels]
    rescales: tuple[tuple[float, float], ...]

    def __call__(self) -> Pixels:
        pixels = self.whole()
        made = np.empty(pixels.shape, np.float32)
        for index, (slope, intercept) in enumerate(self.rescales):
            made[:, index] = pixels[:, index].astype(np.float64) * slope + intercept
        return made


def _same_table(first: ValueMeaning, other: ValueMeaning) -> bool:
    a, b = first.modality_lut, other.modality_lut
    if a is None or b is None:
        return a is b
    return a.first == b.first and np.array_equal(a.entries, b.entries)
