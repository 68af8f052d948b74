"""Pixels that only fill a frame up (Pixel Padding, PS3.3 C.7.5.1.1.2): no measurement, and shown as background."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .case import Pixels

Range = tuple[float, float]
"""The lowest and the highest stored value that is padding: whole numbers where the pixels are so."""


def measured(pixels: Pixels, padding: Range) -> Pixels:
    """The pixels that are no padding, [n]; all of them where there are no others."""
    padded = _padded(pixels, padding)
    return pixels if padded.all() else pixels[~padded]


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
