"""Reading the heads of many files: several at once, since on a network share most of the time is waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_One = TypeVar("_One")
_Made = TypeVar("_Made")
_THREADS = 8
_TOGETHER = 16  # what a thread is given at once, so that handing over costs nothing


def made_ahead(ones: Sequence[_One], make: Callable[[_One], _Made]) -> Iterator[tuple[_One, _Made]]:
    """Yield each with what `make` makes of it, in order. No thread works while the consumer does, or after it stops."""
    if len(ones) <= _TOGETHER:
        for one in ones:
            yield one, make(one)
        return

    def some(part: Sequence[_One]) -> list[_Made]:
        return [make(one) for one in part]

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="medplug-index") as pool:
        for begin in range(0, len(ones), _THREADS * _TOGETHER):
            batch = ones[begin : begin + _THREADS * _TOGETHER]
            parts = [batch[at : at + _TOGETHER] for at in range(0, len(batch), _TOGETHER)]
            yield from zip(batch, [made for part in pool.map(some, parts) for made in part], strict=True)
