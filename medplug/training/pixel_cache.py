"""Decoded pixels kept in memory, up to a cap, so that an epoch after the first need not decode again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from ..case import Case, Image, Pixels

CAP = 2**31
"""The bytes that one cache may hold."""


class PixelCache:
    """Keeps what images read, first come, until `cap` bytes are held; threads share it."""

    def __init__(self, cap: int = CAP) -> None:
        self._room = cap
        self._lock = threading.Lock()

    def case(self, case: Case) -> Case:
        """Return the case with images that remember their pixels."""
        images = {name: self._image(image) for name, image in case.images.items()}
        return replace(case, images=images, mask=None if case.mask is None else self._image(case.mask))

    def _image(self, image: Image) -> Image:
        return replace(image, read=self._remembering(image.read))

    def _remembering(self, read: Callable[[], Pixels]) -> Callable[[], Pixels]:
        kept: list[Pixels] = []

        def remembered() -> Pixels:
            if kept:
                return kept[0]
            pixels = read()
            with self._lock:
                if not kept and pixels.nbytes <= self._room:
                    # A view may hold on to a whole file's frames: keep no more than is counted.
                    own = pixels if pixels.base is None or pixels.base.nbytes == pixels.nbytes else pixels.copy()
                    self._room -= own.nbytes
                    kept.append(own)
            return pixels

        return remembered
