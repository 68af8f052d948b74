"""Pixels that only fill a frame up (Pixel Padding, PS3.3 C.7.5.1.1.2): no measurement, and shown as background."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from .case import Pixels

Range = tuple[float, float]
"""The lowest and the highest stored value that is padding: whole numbers where the pixels are so."""


def measured(pixels: Pixels, padding: Range, percents: Sequence[float]) -> tuple[Pixels, list[float]]:
    """Pixels of the same shape, and percentiles of them that are those of the pixels without padding.

    Padding takes the lowest of the other values, and the percentiles count from above it.
    """
    padded = _padded(pixels, padding)
    count = int(padded.sum())
    if count in (0, pixels.size):
        return pixels, list(percents)
    last = pixels.size - 1
    moved = [100 * (count + percent / 100 * (last - count)) / last for percent in percents]
    return np.where(padded, pixels[~padded].min(), pixels), moved


def filled(pixels: Pixels, padding: Range, shade: Callable[[float], float]) -> Pixels:
    """The pixels with the darkest of the others in place of padding: background, which bleeds least when it is mixed.

    `shade` is how bright a stored value is shown; it rises or falls throughout.
    """
    padded = _padded(pixels, padding)
    if padded.all() or not padded.any():
        return pixels
    others = pixels[~padded]
    darkest = min(others.min(), others.max(), key=lambda value: shade(float(value)))
    return np.where(padded, darkest, pixels)


def _padded(pixels: Pixels, padding: Range) -> NDArray[np.bool_]:
    low, high = padding
    within: NDArray[np.bool_] = (pixels >= low) & (pixels <= high)
    return within
