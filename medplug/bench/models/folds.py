"""Cross-validation on train rows: what belongs together stays together, and every row is held out once.

The folds are the same for every seed, variant and baseline: what differs between them is then not the draw of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...dataset import splits
from ...errors import CallError
from .rows import Numbers, Rows


@dataclass(frozen=True, eq=False)
class Fold:
    """One division of a data set's rows. `parts` are their numbers as "train", "val" and "test"."""

    number: int
    parts: dict[str, Numbers]


def groups(rows: Rows, numbers: Numbers, contents: Sequence[str]) -> list[str]:
    """Return for each of these rows the name of its group: rows of one patient, or with the same image, share one."""
    keys = [[f"image {content}"] for content in contents]
    if rows.patients is not None:
        for key, number in zip(keys, numbers.tolist()):
            key.append(f"patient {rows.patients[number]}")
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent.setdefault(key, key) != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for first, *others in keys:
        for other in others:
            low, high = sorted((root(first), root(other)))  # the same group whatever the order of the rows
            parent[high] = low
    return [root(key[0]) for key in keys]


_SEED = 0


def cross_validation(rows: Rows, numbers: Numbers, grouped: Sequence[str], count: int) -> list[Fold]:
    """Return `count` folds of the train rows `numbers`, by group, each with as much of each label as can be.

    What is held out is called "test"; of the rest 15 % are "val", for calibration. `CallError` where a part would be
    empty.
    """
    labels = [rows.labels[number] for number in numbers.tolist()]
    shares = {str(fold): 1 / count for fold in range(count)}
    held = splits.make(labels, grouped, _SEED, shares)
    folds = []
    for fold in range(count):
        rest, out = np.flatnonzero(held != str(fold)), np.flatnonzero(held == str(fold))
        carved = splits.make(
            [labels[row] for row in rest.tolist()], [grouped[row] for row in rest.tolist()], _SEED, splits.CARVED
        )
        parts = {
            "train": numbers[rest[carved == "train"]],
            "val": numbers[rest[carved == "val"]],
            "test": numbers[out],
        }
        empty = [name for name, part in parts.items() if not len(part)]
        if empty:
            raise CallError(
                f"{len(set(grouped))} patients or images are too few for {count} folds: fold {fold} has no "
                f"{empty[0]} rows"
            )
        folds.append(Fold(fold, parts))
    return folds


def final(rows: Rows, grouped: Sequence[str]) -> Fold:
    """Return the data set's own division; validation rows that it lacks are carved out of train by group.

    `grouped` names the group of every row of the data set.
    """
    parts = {name: rows.of(name) for name in ("train", "val", "test")}
    for name in ("train", "test"):
        if not len(parts[name]):
            raise CallError(f"{rows.path} has no {name} rows: a final run wants train and test rows")
    if not len(parts["val"]):
        learned = parts["train"]
        carved = splits.make(
            [rows.labels[row] for row in learned.tolist()],
            [grouped[row] for row in learned.tolist()],
            _SEED,
            splits.CARVED,
        )
        parts = {**parts, "train": learned[carved == "train"], "val": learned[carved == "val"]}
    return Fold(0, parts)
