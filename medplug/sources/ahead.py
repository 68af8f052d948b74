"""Reading the heads of many files: several at once where most of the time is waiting, as on a network share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_One = TypeVar("_One")
_Made = TypeVar("_Made")
_THREADS = 8
_TOGETHER = 16  # what a thread is given at once, so that handing over costs nothing
_WAITED = 1e-3  # seconds a file beyond the processor's time, from which on threads pay


def made_ahead(ones: Sequence[_One], make: Callable[[_One], _Made]) -> Iterator[tuple[_One, _Made]]:
    """Yield each with what `make` makes of it, in order. No thread works while the consumer does, or after it stops.

    Threads wait together, and take turns at Python: files that are there at once are read twice as fast without them.
    """
    done = 0
    waited = False
    while done < len(ones) and not waited:
        part = ones[done : done + _TOGETHER]
        begun, busy = time.monotonic(), time.thread_time()
        made = [make(one) for one in part]
        waited = time.monotonic() - begun - (time.thread_time() - busy) > _WAITED * len(part)
        done += len(part)
        yield from zip(part, made, strict=True)
    if done < len(ones):
        yield from _together(ones[done:], make)


def _together(ones: Sequence[_One], make: Callable[[_One], _Made]) -> Iterator[tuple[_One, _Made]]:
    def some(part: Sequence[_One]) -> list[_Made]:
        return [make(one) for one in part]

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="medplug-index") as pool:
        for begin in range(0, len(ones), _THREADS * _TOGETHER):
            batch = ones[begin : begin + _THREADS * _TOGETHER]
            parts = [batch[at : at + _TOGETHER] for at in range(0, len(batch), _TOGETHER)]
            yield from zip(batch, [made for part in pool.map(some, parts) for made in part], strict=True)
