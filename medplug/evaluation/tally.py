"""What a model's answers amount to, task by task: statistics to bootstrap, and what is drawn and listed beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..figures import Curve, Scored
from .scores import Floats, Truths, calibration_curve, roc_curve

Key = tuple[str, str | None]
"""A figure's name and its label."""

WORST = 12
SMALL = 10
"""Fewer rows of a label than this are noted."""


@dataclass(frozen=True, eq=False)
class Tally:
    """The outcome of one task. `statistics` maps weights [D, N] of the scored rows to [D] of each figure.

    `part` makes the same of some of the rows alone.
    """

    statistics: Callable[[Floats], dict[Key, Floats]]
    labels: tuple[str, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)
    confusion: tuple[tuple[int, ...], ...] = ()
    curves: tuple[Curve, ...] = ()
    worst: tuple[Scored, ...] = ()
    notes: tuple[str, ...] = ()
    part: Callable[[NDArray[np.intp]], Tally] | None = None


def across(values: Sequence[Floats]) -> Floats:
    """Return the mean over labels of what each label's [D] has, those without a value left out."""
    stacked = np.stack(values)
    some = np.isfinite(stacked)
    count = some.sum(axis=0)
    total = np.where(some, stacked, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def roc(scores: Floats, positive: Truths, label: str | None) -> list[Curve]:
    """Return the ROC curve, none for rows of one kind."""
    if positive.all() or not positive.any():
        return []
    x, y = roc_curve(scores, positive)
    return [Curve(kind="roc", label=label, x=tuple(x.tolist()), y=tuple(y.tolist()))]


def reliability(stated: Floats, right: Truths, label: str | None) -> list[Curve]:
    """Return the calibration curve, none without rows."""
    if not len(stated):
        return []
    x, y = calibration_curve(stated, right)
    return [Curve(kind="calibration", label=label, x=tuple(x.tolist()), y=tuple(y.tolist()))]


def small(counts: dict[str, int]) -> tuple[str, ...]:
    """Return a note for each label that hardly any row has."""
    return tuple(
        f"no row is {name}: it has no figures" if count == 0 else f"only {count} rows are {name}: its figures are rough"
        for name, count in counts.items()
        if count < SMALL
    )


def most(errors: NDArray[np.float64], wrong: Truths) -> list[int]:
    """Return the rows that are `wrong`, those with the largest `errors` first, `WORST` at most."""
    rows = np.flatnonzero(wrong)
    chosen: list[int] = rows[np.argsort(-errors[rows], kind="stable")][:WORST].tolist()
    return chosen
