"""Memory for pixels, kept from image to image: a fresh page costs as much as to read what fills it."""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST = 2**20  # bytes: smaller ones the allocator keeps by itself
_MOST = 2**26  # bytes in all


class KeptBuffers:
    """Arrays like those of `np.empty`, whose memory is used again once nothing refers to it any more.

    Every view of an array refers to the block that it lies in, so the block's count of references tells. What it is
    while nobody looks differs between interpreters, and is counted at the start; where a view does not show in it, as
    without the global interpreter lock, nothing is kept.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks = [np.empty(1, np.uint8)]
        self._idle = self._references(0)
        view = self._blocks[0][:]
        self._keeps = self._references(0) == self._idle + 1 and getattr(sys, "_is_gil_enabled", lambda: True)()
        del view
        self._blocks.clear()

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return an array whose values are whatever was there."""
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if not self._keeps or not _LEAST <= size <= _MOST:
            return np.empty(shape, dtype)
        with self._lock:
            return self._blocks[self._block(size)][:size].view(dtype).reshape(shape)

    def _references(self, number: int) -> int:
        return sys.getrefcount(self._blocks[number])

    def _block(self, size: int) -> int:
        """The number of a block of at least `size` bytes that nobody refers to."""
        sizes = [block.size for block in self._blocks]
        for number, there in enumerate(sizes):
            if size <= there <= 2 * size and self._references(number) == self._idle:
                return number
        while self._blocks and sum(sizes) + size > _MOST:  # the oldest makes room, whoever still has it
            self._blocks.pop()
            sizes.pop()
        self._blocks.insert(0, np.empty(size, np.uint8))
        return 0


BUFFERS = KeptBuffers()
"""Those of this process."""
