"""What a model's answers amount to, task by task: statistics to bootstrap, and what is drawn and listed beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..figures import Curve, Scored
from .scores import Floats, Truths, calibration_curve, roc_curve, share

Key = tuple[str, str | None]
"""A figure's name and its label."""

WORST = 12
SMALL = 10
"""Fewer rows of a label than this are noted."""


@dataclass(frozen=True, eq=False)
class Share:
    """A figure that is a share: of the rows `among` [N], which are `hit` [N]; a row may count in part, 0 to 1."""

    hit: Truths | Floats
    among: Truths


@dataclass(frozen=True, eq=False)
class Area:
    """A figure that is an area under a ROC curve: of the rows `among` [N], which are `positive` [N]."""

    positive: Truths
    among: Truths


@dataclass(frozen=True)
class Mean:
    """A figure that is the mean of those `of` these keys that there are."""

    of: tuple[Key, ...]


Kind = Share | Area | Mean
"""What a figure is made of, as far as its interval must know it."""


def shares(kinds: Mapping[Key, Kind], weights: Floats) -> dict[Key, Floats]:
    """Return those of the figures that are shares of whole rows, under weights [D, N]."""
    return {
        key: share(kind.hit.astype(np.bool_, copy=False), kind.among, weights)
        for key, kind in kinds.items()
        if isinstance(kind, Share) and kind.hit.dtype == np.bool_
    }


@dataclass(frozen=True, eq=False)
class Tally:
    """The outcome of one task. `statistics` maps weights [D, N] of the scored rows to [D] of each figure.

    `kinds` say what figures are, so that their intervals keep a width. `part` makes the same of some of the rows alone.
    """

    statistics: Callable[[Floats], dict[Key, Floats]]
    kinds: Mapping[Key, Kind] = field(default_factory=dict)
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
