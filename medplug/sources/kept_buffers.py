"""Memory for pixels, kept from image to image: a fresh page costs as much as to read what fills it."""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST = 2**20  # bytes: smaller ones the allocator keeps by itself
_MOST = 2**26  # bytes in all
_UNUSED = 3  # references to a block: the list's, the loop's and the call's


class KeptBuffers:
    """Arrays like those of `np.empty`, whose memory is used again once nothing refers to it any more.

    Every view of an array refers to the block that it lies in, so the block's count of references tells. Without the
    global interpreter lock that count means less, and nothing is kept.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks: list[NDArray[np.uint8]] = []
        self._keeps = getattr(sys, "_is_gil_enabled", lambda: True)()

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return an array whose values are whatever was there."""
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if not self._keeps or not _LEAST <= size <= _MOST:
            return np.empty(shape, dtype)
        with self._lock:
            return self._block(size)[:size].view(dtype).reshape(shape)

    def _block(self, size: int) -> NDArray[np.uint8]:
        for block in self._blocks:
            if size <= block.size <= 2 * size and sys.getrefcount(block) == _UNUSED:
                return block
        fresh = np.empty(size, np.uint8)
        kept = [fresh]  # the newest first, as many as may be
        for block in self._blocks:
            if sum(one.size for one in kept) + block.size <= _MOST:
                kept.append(block)
        self._blocks = kept
        return fresh


BUFFERS = KeptBuffers()
"""Those of this process."""
