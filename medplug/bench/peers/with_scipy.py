"""SciPy: `ndimage.affine_transform`, after a Gaussian where the item is antialiased."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..contestant import Contestant, Run, image_by_image
from ..work import Work
from .shrink_first import shrunk


def contestants(work: Work, threads: int) -> list[Contestant]:
    """Return SciPy's way of an item; `threads` are over the images."""
    how, make = {
        "resize": ("gaussian_filter, affine_transform", _warp),
        "warp": ("gaussian_filter, affine_transform", _warp),
        "volume": ("affine_transform", _volume),
        "tiles": ("affine_transform each", _tiles),
        "mask": ("affine_transform", _mask),
    }[work.kind]
    return [Contestant("SciPy", how, make(work, threads))]


def _moved(
    stored: NDArray[Any], affine: NDArray[np.float64], shape: tuple[int, ...], order: int, mode: str, fill: float = 0.0
) -> NDArray[Any]:
    linear = affine[:, :-1]
    if not (linear - np.diag(np.diag(linear))).any():
        linear = np.diag(linear)  # SciPy's own faster way where nothing turns
    moved: NDArray[Any] = ndimage.affine_transform(
        stored, linear, affine[:, -1], shape, output=np.float32, order=order, mode=mode, cval=fill
    )
    return moved


def _warp(work: Work, threads: int) -> Run:
    (low, high), (a, b) = work.toned.limits, work.toned.line

    def one(n: int, out: NDArray[np.float32]) -> None:
        step = shrunk(work, n)
        values = np.clip(step.part(work.stored[n]).astype(np.float32), np.float32(low), np.float32(high))
        values = ndimage.gaussian_filter(values, step.blur, truncate=3.0)
        np.multiply(_moved(values, step.unshrunk, work.shape, 1, "nearest"), np.float32(a), out=out)
        out += np.float32(b)

    return image_by_image(one, work.answer_shape, threads)


def _volume(work: Work, threads: int) -> Run:
    (low, high), (a, b) = work.toned.limits, work.toned.line
    mode, air = "nearest", 0.0
    if work.outside is not None:
        mode, air = "grid-constant", (work.outside - work.toned.intercept) / work.toned.slope

    def run() -> NDArray[Any]:
        values = _moved(work.stored[0], work.to_stored[0], work.shape, 1, mode, air)
        np.clip(values, np.float32(low), np.float32(high), out=values)
        values *= np.float32(a)
        values += np.float32(b)
        return values

    return run


def _tiles(work: Work, threads: int) -> Run:
    a, b = work.toned.line

    def one(n: int, out: NDArray[np.float32]) -> None:
        out[:] = _moved(work.stored[n], work.to_stored[n], work.shape, 1, "nearest")

    loop = image_by_image(one, work.answer_shape, threads)
    return lambda: loop() * np.float32(a) + np.float32(b)


def _mask(work: Work, threads: int) -> Run:
    return lambda: _moved(work.stored[0], work.to_stored[0], work.shape, 0, "grid-constant")
