"""Batches made ahead of time by a few threads, while the network is busy with the one before."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, cast

from ..augmentation import Augmentation, Draw
from ..dataset import Dataset
from ..errors import PreprocessingError, SourceError, TrainingError
from ..model import Batch
from ..pipeline import Pipeline, Prepared, collate
from ..result import RefusalCode, Refused
from .sampling import Sampler

if TYPE_CHECKING:
    import torch

_AHEAD = 3  # batches under way at a time

Order = tuple[int, Draw | None]
"""A row, and how it is augmented."""


class Feed:
    """Batches of a dataset's rows. `failed` says, by source, why rows were left out of theirs: they could not be read.

    What fails, fails each time, so that the batches of two runs are the same.
    """

    def __init__(self, pipeline: Pipeline, device: torch.device) -> None:
        self._pipeline, self._device = pipeline, device
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="medplug-feed")
        self.failed: dict[str, Refused] = {}

    def close(self) -> None:
        """Let go of what is under way."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def training(
        self, train: Dataset, sampler: Sampler, augmentation: Augmentation, position: int, size: int
    ) -> Iterator[Batch]:
        """Yield batches of `size` places of the sampler's endless stream, from `position` on."""

        def order(place: int) -> Order:
            item = sampler.item(place)
            first = train.cases[item.row].images[self._pipeline.images[0]]
            return item.row, sampler.draw(item, augmentation, len(first.shape))

        return self._batches(train, ([order(start + one) for one in range(size)] for start in count(position, size)))

    def validation(self, rows: Dataset, size: int) -> Iterator[Batch]:
        """Yield every row once, in order, not augmented."""
        starts = range(0, len(rows), size)
        return self._batches(
            rows,
            ([(row, None) for row in range(start, min(start + size, len(rows)))] for start in starts),
            needed=False,
        )

    def _batches(self, rows: Dataset, orders: Iterable[list[Order]], *, needed: bool = True) -> Iterator[Batch]:
        """Prepare ahead. A batch of which no row can be read is left out, or raises where it is `needed`."""
        under_way: deque[tuple[list[Order], list[Future[Prepared | None]]]] = deque()
        orders = iter(orders)
        while True:
            while len(under_way) < _AHEAD and (batch := next(orders, None)) is not None:
                under_way.append((batch, [self._pool.submit(self._prepare, rows, *order) for order in batch]))
            if not under_way:
                return
            batch, futures = under_way.popleft()
            prepared = [
                (row, made) for (row, _), future in zip(batch, futures) if (made := future.result()) is not None
            ]
            if not prepared and not needed:
                continue
            if not prepared:
                source, refused = next(iter(self.failed.items()))
                raise TrainingError(f"no row of a batch can be read; the first is {source}: {refused.reason}")
            targets = rows.targets[[row for row, _ in prepared]]
            yield collate([made for _, made in prepared], self._device, targets)

    def _prepare(self, rows: Dataset, row: int, draw: Draw | None) -> Prepared | None:
        case = rows.cases[row]
        try:
            return self._pipeline.prepare(case, draw)
        except (SourceError, PreprocessingError) as error:
            self.failed[case.reference.source] = Refused(code=cast(RefusalCode, error.code), reason=str(error))
            return None


@dataclass(frozen=True, eq=False)
class Unaugmented:
    """Batches of a dataset's rows, in order and not augmented, prepared anew whenever they are iterated."""

    feed: Feed
    rows: Dataset
    size: int

    def __iter__(self) -> Iterator[Batch]:
        return self.feed.validation(self.rows, self.size)
