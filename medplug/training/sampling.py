"""Which row comes when, and how it is augmented: both follow from seed, epoch and row alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..augmentation import Augmentation, Draw
from ..dataset import Dataset


@dataclass(frozen=True)
class Item:
    """One place in the endless stream of training rows; a balanced epoch may show a row more than once."""

    row: int
    epoch: int
    repetition: int


class Sampler:
    """An endless stream of rows: epoch after epoch, each a permutation or, when balanced, each label equally often."""

    def __init__(self, train: Dataset, seed: int, balance: bool) -> None:
        self._count, self._seed = len(train), seed
        self._kinds = list(_kinds(train).values()) if balance else [np.arange(len(train))]
        self._epoch = lru_cache(maxsize=2)(self._draw)

    def __len__(self) -> int:
        """The rows of one epoch."""
        return self._count

    def item(self, position: int) -> Item:
        """Return what stands at `position` of the stream."""
        epoch, place = divmod(position, self._count)
        rows, repetitions = self._epoch(epoch)
        return Item(int(rows[place]), epoch, int(repetitions[place]))

    def draw(self, item: Item, augmentation: Augmentation, dims: int) -> Draw:
        """Return an item's augmentation, whatever batch or thread it falls to."""
        generator = np.random.default_rng([self._seed, item.epoch, item.row, item.repetition])
        return augmentation.draw(generator, dims)

    def _draw(self, epoch: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        generator = np.random.default_rng([self._seed, epoch])
        shares = np.full(len(self._kinds), self._count // len(self._kinds))
        shares[(epoch + np.arange(self._count % len(self._kinds))) % len(self._kinds)] += 1
        drawn = []
        for rows, share in zip(self._kinds, shares):
            rounds = -(-int(share) // len(rows))
            drawn.append(np.concatenate([generator.permutation(rows) for _ in range(max(rounds, 1))])[:share])
        order = generator.permutation(np.concatenate(drawn))
        seen: Counter[int] = Counter()
        repetitions = np.zeros(len(order), np.intp)
        for place, row in enumerate(order.tolist()):
            repetitions[place] = seen[row]
            seen[row] += 1
        return order, repetitions


def _kinds(train: Dataset) -> dict[int, NDArray[np.intp]]:
    """The rows of each label; a row with several labels counts for its rarest, one with none for itself."""
    targets = train.targets
    if targets.ndim == 1:
        kinds = targets.astype(np.intp)
    else:
        present = np.nan_to_num(targets) == 1
        rarity = np.where(present, present.sum(axis=0), len(train) + 1)
        kinds = np.where(present.any(axis=1), rarity.argmin(axis=1), -1)
    return {int(kind): np.flatnonzero(kinds == kind) for kind in np.unique(kinds)}
