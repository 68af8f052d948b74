"""Slices at uneven distances, interpolated to even ones: what a volume of them takes, by choice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..case import Image, Pixels
from ..errors import SourceError
from .refusal import MAX_IMAGE_BYTES


def evened(image: Image, places: Sequence[float] | None) -> Image:
    """The image with its slices at `places` among the stored ones; as it is where there are none.

    Raises `SourceError` (`values`) where the numbers between two stored ones mean nothing.
    """
    if places is None:
        return image
    if image.values.modality_lut is not None:  # PS3.3 C.11.1: it comes before any interpolation
        raise SourceError("values", "its uneven gaps cannot be made even: it has a modality LUT, which is not linear")
    shape = (len(places), *image.shape[1:])
    if image.channels * image.dtype.itemsize * int(np.prod(shape, dtype=object)) > MAX_IMAGE_BYTES:
        raise SourceError("unreadable", f"has {len(places)} even slices, more than {MAX_IMAGE_BYTES >> 20} MiB")
    padding = image.values.padding
    return replace(image, shape=shape, read=_Evened(image.read, tuple(places), padding), frames=())


@dataclass(frozen=True)
class _Evened:
    """Reads [channels, slices, rows, columns] and interpolates between two slices each; padding stays padding."""

    whole: Callable[[], Pixels]
    places: tuple[float, ...]
    padding: tuple[float, float] | None

    def __call__(self) -> Pixels:
        pixels = self.whole()
        made = np.empty((len(pixels), len(self.places), *pixels.shape[2:]), pixels.dtype)
        for index, place in enumerate(self.places):
            below = min(int(place), pixels.shape[1] - 2)
            made[:, index] = self._between(pixels[:, below], pixels[:, below + 1], place - below)
        return made

    def _between(self, below: Pixels, above: Pixels, part: float) -> Pixels:
        mixed = below.astype(np.float64) * (1 - part) + above.astype(np.float64) * part
        nearest = above if part >= 0.5 else below
        if below.dtype.kind != "f":
            mixed = np.rint(mixed)
        if self.padding is not None:
            low, high = self.padding
            padded = ((below >= low) & (below <= high)) | ((above >= low) & (above <= high))
            mixed = np.where(padded, nearest, mixed)
        return mixed.astype(below.dtype)
