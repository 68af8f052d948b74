"""Leaks: images that would be learned from and measured on. A training stops at them, unless it is told what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from ..dataset import Dataset
from ..dataset.duplicates import Duplicate, across_splits, contradictions, fingerprints
from ..errors import CallError, TrainingError

Duplicates = Literal["refuse", "drop", "keep"]
"""What becomes of images that stand in two splits: nothing is trained, the earlier split loses them, or they stay."""

CHOICES: tuple[str, ...] = get_args(Duplicates)
_NAMED = 5


@dataclass(frozen=True, eq=False)
class Cleared:
    """The rows that may be trained on. `leaks` says what is wrong with them all the same, `dropped` how many went.

    `leaks` goes into the model's card, so it names no file, whose name may be a patient's; `notes` do, for the user.
    """

    dataset: Dataset
    leaks: tuple[str, ...] = ()
    dropped: int = 0
    notes: tuple[str, ...] = ()


def without_leaks(
    dataset: Dataset, duplicates: Duplicates, told: Callable[[int, int], None] = lambda done, of: None
) -> Cleared:
    """Look for images that stand in two splits, and for images that one split holds twice with different labels.

    `TrainingError` names the former, unless they are to be dropped or kept. Of images that are in train and val or
    test, the train rows are dropped; of those in val and test, the val rows.
    """
    if duplicates not in CHOICES:
        raise CallError(f"duplicates is {duplicates!r}; want one of {', '.join(CHOICES)}")
    prints = fingerprints(dataset.cases, told)
    found = across_splits(prints, dataset.splits)
    leaks, named = _contradicting(dataset, list(contradictions(prints, dataset.splits, dataset.targets)))
    if not found:
        return Cleared(dataset, leaks, notes=named)
    if duplicates == "refuse":
        raise TrainingError(
            f"{_count(len(found), 'image stands', 'images stand')} in two splits, so what is measured would flatter: "
            f"{_named(dataset, found)}. Give each image one split; or say --duplicates drop, which takes out "
            f"{_per_split(dataset, found)}, or --duplicates keep (duplicates='drop', 'keep')"
        )
    if duplicates == "keep":
        said = _count(len(found), "image that stands in two splits was", "images that stand in two splits were")
        kept = f"{said} kept, which flatters the figures"
        return Cleared(dataset, (kept, *leaks), notes=(f"{kept}: {_named(dataset, found)}", *named))
    dropped = {one.row for one in found}
    return Cleared(
        dataset.take([row for row in range(len(dataset)) if row not in dropped]),
        leaks,
        len(dropped),
        (f"left out, since their images stand in a later split too: {_per_split(dataset, found)}", *named),
    )


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _named(dataset: Dataset, found: Sequence[Duplicate]) -> str:
    """The first few pairs: the files, their splits, and how alike they are."""

    def name(row: int) -> str:
        return f"{dataset.cases[row].reference.source} ({dataset.splits[row]})"

    likest = sorted(found, key=lambda one: -one.likeness)[:_NAMED]
    pairs = [
        f"{name(one.row)} and {name(one.twin)}, "
        + ("the same pixels" if one.same else f"nearly the same (likeness {one.likeness:.2f})")
        for one in likest
    ]
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return "; ".join(pairs) + more


def _per_split(dataset: Dataset, found: Sequence[Duplicate]) -> str:
    counts = Counter(str(dataset.splits[one.row]) for one in found)
    return " and ".join(_count(count, f"{split} row", f"{split} rows") for split, count in counts.items())


def _contradicting(dataset: Dataset, found: Sequence[tuple[int, int]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is wrong with images that are labelled in two ways, and the same with the names of two files."""
    if not found:
        return (), ()
    one, other = (dataset.cases[row].reference.source for row in found[0])
    said = f"{_count(len(found), 'image stands', 'images stand')} in one split twice with different labels"
    return (said,), (f"{said}; the first: {one} and {other}",)
