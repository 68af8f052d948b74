"""Pillow: `resize` and `transform` of images in mode F. It knows no volumes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..contestant import Contestant, Run, image_by_image
from ..work import Work
from .shrink_first import corner_based, shrunk, xy

_LINEAR, _NEAREST = Image.Resampling.BILINEAR, Image.Resampling.NEAREST


def contestants(work: Work, threads: int) -> list[Contestant]:
    """Return Pillow's way of an item; `threads` are over the images."""
    if work.kind == "volume":
        return []
    how, make = {
        "resize": ("resize", _resize),
        "warp": ("resize, transform", _warp),
        "tiles": ("pad, transform each", _tiles),
        "mask": ("transform", _mask),
    }[work.kind]
    return [Contestant("Pillow", how, make(work, threads))]


def _affine(
    picture: Image.Image, affine: NDArray[np.float64], shape: tuple[int, ...], resample: Image.Resampling
) -> Image.Image:
    numbers = corner_based(xy(affine)).ravel().tolist()
    return picture.transform((shape[1], shape[0]), Image.Transform.AFFINE, numbers, resample)


def _clamped(stored: NDArray[Any], work: Work) -> Image.Image:
    low, high = work.toned.limits
    return Image.fromarray(np.clip(stored.astype(np.float32), np.float32(low), np.float32(high)))


def _resize(work: Work, threads: int) -> Run:
    a, b = work.toned.line

    def run() -> NDArray[Any]:
        picture = _clamped(work.stored[0], work).resize((work.shape[1], work.shape[0]), _LINEAR)
        return np.asarray(picture) * np.float32(a) + np.float32(b)

    return run


def _warp(work: Work, threads: int) -> Run:
    a, b = work.toned.line

    def one(n: int, out: NDArray[np.float32]) -> None:
        step = shrunk(work, n)
        picture = _clamped(step.part(work.stored[n]), work).resize(step.size[::-1], _LINEAR)
        np.multiply(np.asarray(_affine(picture, step.rest, work.shape, _LINEAR)), np.float32(a), out=out)
        out += np.float32(b)

    return image_by_image(one, work.answer_shape, threads)


def _tiles(work: Work, threads: int) -> Run:
    a, b = work.toned.line
    room = 8  # transform fills what lies outside with 0: repeat the edge as far as a corner reaches
    maps = work.to_stored.copy()
    maps[:, :, -1] += room

    def run() -> NDArray[Any]:
        padded = np.pad(work.stored, ((0, 0), (room, room), (room, room)), mode="edge").astype(np.float32)

        def one(n: int, out: NDArray[np.float32]) -> None:
            out[:] = np.asarray(_affine(Image.fromarray(padded[n]), maps[n], work.shape, _LINEAR))

        moved = image_by_image(one, work.answer_shape, 1)()
        return moved * np.float32(a) + np.float32(b)

    return run


def _mask(work: Work, threads: int) -> Run:
    def run() -> NDArray[Any]:
        picture = _affine(Image.fromarray(work.stored[0]), work.to_stored[0], work.shape, _NEAREST)
        return np.asarray(picture).astype(np.float32)

    return run
