"""Figures group by group: where a model does worse than its mean says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from ..dataset import Dataset
from ..errors import CallError
from ..figures import Figure, Subgroup
from .bootstrap import estimate
from .intervals import widened
from .looks import Look
from .tally import SMALL, Key, Tally

MAIN = ("accuracy", "balanced accuracy", "macro AUC", "AUROC", "sensitivity", "specificity", "MAE", "Dice")
"""The figures that a group has, where its task has them."""

_LESS_IS_BETTER = ("MAE",)
_OF_LABELS = ("balanced accuracy", "macro AUC", "AUROC", "sensitivity", "specificity")
_FEW = 5  # rows of a label that such a figure's interval needs to mean something
_MOST_VALUES = 20  # of a column of words; more are names, not groups
_NUMBERS = 8  # different numbers from which on a column is cut into quarters
_QUARTERS = ("lowest quarter", "second quarter", "third quarter", "highest quarter")
_LOOKS = {
    "brightness": (
        "mean grey",
        ("darkest quarter", "second darkest quarter", "second brightest quarter", "brightest quarter"),
    ),
    "sharpness": (
        "edge strength",
        ("most blurred quarter", "second most blurred quarter", "second sharpest quarter", "sharpest quarter"),
    ),
}
"""What quarters of the images are called, and the number that they are cut by: a `Look` says which it is."""


@dataclass(frozen=True, eq=False)
class Grouping:
    """What rows are grouped `by`, and the group of each row."""

    by: str
    groups: tuple[str, ...]
    member: NDArray[np.int64]


def by_column(rows: Dataset, column: str) -> Grouping:
    """Group rows by the values of a column of their table; many different numbers are cut into quarters."""
    if any(column not in case.row for case in rows.cases):
        known = ", ".join(rows.cases[0].row) or "none"
        raise CallError(f"the data has no column {column!r} to make subgroups by; its columns: {known}")
    cells = [case.row[column].strip() for case in rows.cases]
    numbers = _as_numbers(cells)
    if numbers is not None and len(np.unique(numbers[np.isfinite(numbers)])) >= _NUMBERS:
        return by_number(column, numbers)
    groups = sorted(set(cells))
    if len(groups) > _MOST_VALUES:
        raise CallError(
            f"column {column!r} has {len(groups)} different values: "
            f"name one that has at most {_MOST_VALUES}, or that holds numbers"
        )
    index = {value: place for place, value in enumerate(groups)}
    return Grouping(column, tuple(value or "(empty)" for value in groups), np.array([index[cell] for cell in cells]))


def by_number(name: str, numbers: NDArray[np.float64], words: Sequence[str] = _QUARTERS, measure: str = "") -> Grouping:
    """Cut rows into quarters by a number [N]; those without one (NaN) are a group of their own.

    `words` call the quarters, from the lowest on; `measure` says what the ends of each are of.
    """
    known = np.isfinite(numbers)
    cuts = np.quantile(numbers[known], [0, 0.25, 0.5, 0.75, 1])
    member = np.searchsorted(cuts[1:-1], numbers, side="right")
    written = _short(cuts.tolist()) if measure else [f"{cut:.4g}" for cut in cuts]
    ends = [f"{measure} {low} to {high}".lstrip() for low, high in pairwise(written)]
    groups = [f"{word} ({between})" for word, between in zip(words, ends, strict=True)]
    return Grouping(name, (*groups, "(empty)"), np.where(known, member, len(words)))


def by_looks(looks: Sequence[Look]) -> tuple[Grouping, ...]:
    """Group rows by how bright and how sharp the prepared images are, where they differ in it."""
    numbers = {
        "brightness": np.array([one.brightness for one in looks]),
        "sharpness": np.array([one.sharpness for one in looks]),
    }
    return tuple(
        by_number(name, each, words, measure)
        for name, each in numbers.items()
        for measure, words in [_LOOKS[name]]
        if np.ptp(each) > 1e-6 * np.abs(each).max()
    )


def _short(numbers: Sequence[float]) -> list[str]:
    """Write numbers with as few digits as tell them all apart, two at least."""
    for digits in (2, 3, 4):
        written = [f"{one:.{digits}g}" if abs(one) < 1 else f"{one:.4g}" for one in numbers]
        if len(set(written)) == len(set(numbers)):
            break
    return written


def measured(
    groupings: Iterable[Grouping],
    tally: Tally,
    clusters: NDArray[np.int64],
    patients: bool,
    resamples: int,
    seed: int,
) -> tuple[Subgroup, ...]:
    """Return the figures of each group with at least `SMALL` rows, and the size of every one that has any."""
    found = []
    for grouping in groupings:
        for place, name in enumerate(grouping.groups):
            here = np.flatnonzero(grouping.member == place)
            if len(here):
                people = len(np.unique(clusters[here])) if patients else None
                group = Subgroup(by=grouping.by, group=name, rows=len(here), patients=people)
                found.append(_measured(group, tally, here, clusters[here], resamples, seed))
    return tuple(found)


def worse(groups: Iterable[Subgroup], whole: Sequence[Figure]) -> tuple[str, ...]:
    """Return a warning for each group of which a figure's whole interval is on the worse side of all rows' value.

    Figures of labels count only where the group has a few rows of each label.
    """
    values = {(figure.name, figure.label): figure.value for figure in whole}
    found = []
    for group in groups:
        few = min(group.counts.values(), default=_FEW) < _FEW
        told = []
        for one in group.figures:
            value = values.get((one.name, one.label))
            if value is None or one.low is None or one.high is None or (few and one.name in _OF_LABELS):
                continue
            if (one.low > value) if one.name in _LESS_IS_BETTER else (one.high < value):
                name = one.name if one.label is None else f"{one.name} of {one.label}"
                told.append(f"{name} {one.value:.3f} ({one.low:.3f} to {one.high:.3f}; in all rows {value:.3f})")
        if told:
            found.append(f"worse where {group.by} is {group.group}: {', '.join(told)}, in {group.rows} rows")
    return tuple(found)


def _measured(
    group: Subgroup, tally: Tally, here: NDArray[np.intp], clusters: NDArray[np.int64], resamples: int, seed: int
) -> Subgroup:
    if group.rows < SMALL:
        return group
    assert tally.part is not None  # every tally of an evaluation can be parted
    own = tally.part(here)
    found = widened(estimate(own.statistics, clusters, resamples, seed), own.kinds, clusters)
    figures = (
        Figure(name=name, label=label, value=one.value, low=one.low, high=one.high)
        for (name, label), one in found.items()
        if _main((name, label))
    )
    return replace(group, counts=own.counts, figures=tuple(figures))


def _main(key: Key) -> bool:
    name, label = key
    return name in MAIN and (label is None or name == "MAE")


def _as_numbers(cells: Sequence[str]) -> NDArray[np.float64] | None:
    """The cells as numbers, NaN where empty; None where one is no number."""
    try:
        return np.array([float(cell) if cell else np.nan for cell in cells])
    except ValueError:
        return None
