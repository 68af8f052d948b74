"""Row by row: which of two models has it right, and where they are farthest apart."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..comparison_figures import Apart, McNemar
from ..dataset import Dataset
from ..model import Task
from ..model_folder import LoadedModel
from ..operating import ANOMALOUS
from .answered import Answered, anomalous_rows, normal_of, targets_in_order
from .scores import Floats, Truths

MOST = 12


def right(loaded: LoadedModel, answered: Answered, rows: Dataset) -> Truths | None:
    """Return which rows are answered rightly; None where one row has several answers, or no threshold gives one."""
    if loaded.model.task is Task.ANOMALY:
        normal, cut = normal_of(loaded), _cut(loaded)
        if normal is None or cut is None:
            return None
        agree: Truths = (answered.numbers[:, 0] >= cut) == anomalous_rows(rows, normal)[answered.rows]
        return agree
    if not loaded.labels.exclusive:
        return None
    hit: Truths = answered.numbers.argmax(axis=1) == targets_in_order(rows, loaded.labels)[answered.rows]
    return hit


def mcnemar(right_a: Truths, right_b: Truths) -> McNemar:
    """Return McNemar's exact test (1947): of the rows that one alone has right, whether half could be each one's."""
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    apart = only_a + only_b
    tail = sum(math.comb(apart, k) for k in range(min(only_a, only_b) + 1))
    return McNemar(only_a=only_a, only_b=only_b, p=min(1.0, 2 * tail / 2**apart) if apart else 1.0)


def farthest(
    first: LoadedModel, one: Answered, second: LoadedModel, other: Answered, rows: Dataset
) -> tuple[Apart, ...]:
    """Return the rows, `MOST` at most, that the models answer most differently."""
    if first.model.task is Task.ANOMALY:
        return _ranks(first, one, second, other, rows)
    truth = targets_in_order(rows, first.labels)[one.rows]
    names = one.names
    theirs = other.numbers[:, [other.names.index(name) for name in names]]
    if first.labels.exclusive:
        here = np.arange(len(one)), truth
        gaps = np.abs(one.numbers[here] - theirs[here])
        return tuple(
            Apart(
                source=one.sources[row],
                truth=names[truth[row]],
                answer_a=names[one.numbers[row].argmax()],
                score_a=float(one.numbers[row].max()),
                answer_b=names[theirs[row].argmax()],
                score_b=float(theirs[row].max()),
            )
            for row in _most(gaps)
        )
    gaps = np.where(np.isfinite(truth), np.abs(one.numbers - theirs), 0.0)
    places = [divmod(place, len(names)) for place in _most(gaps.ravel())]
    return tuple(
        Apart(
            source=one.sources[row],
            truth=names[index] if truth[row, index] > 0 else f"no {names[index]}",
            answer_a=names[index],
            score_a=float(one.numbers[row, index]),
            answer_b=names[index],
            score_b=float(theirs[row, index]),
        )
        for row, index in places
    )


def _ranks(first: LoadedModel, one: Answered, second: LoadedModel, other: Answered, rows: Dataset) -> tuple[Apart, ...]:
    """Of scores on scales of their own: the rows whose places among all are farthest apart."""
    a, b = one.numbers[:, 0], other.numbers[:, 0]
    gaps = np.abs(_rank(a) - _rank(b))
    truth = rows.targets[one.rows]
    return tuple(
        Apart(
            source=one.sources[row],
            truth=rows.labels.names[truth[row]],
            answer_a=_said(a[row], _cut(first)),
            score_a=float(a[row]),
            answer_b=_said(b[row], _cut(second)),
            score_b=float(b[row]),
        )
        for row in _most(gaps)
    )


def _rank(scores: Floats) -> NDArray[np.int64]:
    return np.argsort(np.argsort(scores, kind="stable"), kind="stable")


def _said(score: float, cut: float | None) -> str:
    return "no threshold" if cut is None else ANOMALOUS if score >= cut else "normal"


def _cut(loaded: LoadedModel) -> float | None:
    return next((point.value for point in loaded.thresholds if point.label == ANOMALOUS), None)


def _most(gaps: NDArray[np.float64] | NDArray[np.int64]) -> list[int]:
    order = np.argsort(-gaps, kind="stable")[:MOST]
    chosen: list[int] = order[gaps[order] > 0].tolist()
    return chosen
