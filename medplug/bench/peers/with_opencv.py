"""OpenCV: `resize` with INTER_AREA, then `warpAffine`. It knows no volumes: a CT is two resizes."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..contestant import Contestant, Run, image_by_image
from ..work import Work
from .shrink_first import shrunk, xy

_BACKWARDS = cv2.WARP_INVERSE_MAP


def contestants(work: Work, threads: int) -> list[Contestant]:
    """Return OpenCV's ways of an item."""
    # Threads inside a call, or over the images where there are many.
    cv2.setNumThreads(threads if len(work.stored) == 1 else 1)
    if work.kind == "volume":
        return [] if work.outside is not None else [Contestant("OpenCV", "resize twice", _volume(work))]
    how, make = {
        "resize": ("resize, area", _resize),
        "warp": ("resize, warpAffine", _warp),
        "tiles": ("warpAffine each", _tiles),
        "mask": ("warpAffine", _mask),
    }[work.kind]
    return [Contestant("OpenCV", how, make(work, threads))]


def _clamped(stored: NDArray[Any], work: Work) -> NDArray[Any]:
    values = stored.astype(np.float32)
    low, high = work.toned.limits
    cv2.min(cv2.max(values, low, dst=values), high, dst=values)
    return values


def _scaled(values: NDArray[Any], work: Work) -> NDArray[Any]:
    a, b = work.toned.line
    values *= np.float32(a)
    values += np.float32(b)
    return values


def _resize(work: Work, threads: int) -> Run:
    def run() -> NDArray[Any]:
        values = _clamped(work.stored[0], work)
        return _scaled(cv2.resize(values, work.shape[::-1], interpolation=cv2.INTER_AREA), work)

    return run


def _warp(work: Work, threads: int) -> Run:
    def one(n: int, out: NDArray[np.float32]) -> None:
        step = shrunk(work, n)
        values = cv2.resize(_clamped(step.part(work.stored[n]), work), step.size[::-1], interpolation=cv2.INTER_AREA)
        cv2.warpAffine(values, xy(step.rest), work.shape[::-1], dst=out, flags=cv2.INTER_LINEAR | _BACKWARDS)
        _scaled(out, work)

    return image_by_image(one, work.answer_shape, threads)


def _volume(work: Work) -> Run:
    slices, rows, columns = work.shape
    low, high = work.toned.limits

    def run() -> NDArray[Any]:
        flat = np.empty((len(work.stored[0]), rows, columns), np.float32)
        for stored, plane in zip(work.stored[0], flat):
            cv2.resize(stored.astype(np.float32), (columns, rows), dst=plane, interpolation=cv2.INTER_LINEAR)
        line = flat.reshape(len(flat), rows * columns)
        values = cv2.resize(line, (rows * columns, slices), interpolation=cv2.INTER_LINEAR)
        cv2.min(cv2.max(values, low, dst=values), high, dst=values)
        return _scaled(values, work)

    return run


def _tiles(work: Work, threads: int) -> Run:
    def one(n: int, out: NDArray[np.float32]) -> None:
        cv2.warpAffine(
            work.stored[n].astype(np.float32),
            xy(work.to_stored[n]),
            work.shape[::-1],
            dst=out,
            flags=cv2.INTER_LINEAR | _BACKWARDS,
            borderMode=cv2.BORDER_REPLICATE,
        )

    loop = image_by_image(one, work.answer_shape, threads)
    return lambda: _scaled(loop(), work)


def _mask(work: Work, threads: int) -> Run:
    def run() -> NDArray[Any]:
        flags = cv2.INTER_NEAREST | _BACKWARDS
        moved = cv2.warpAffine(work.stored[0], xy(work.to_stored[0]), work.shape[::-1], flags=flags)
        return np.asarray(moved, np.float32)

    return run
