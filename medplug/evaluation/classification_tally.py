"""The figures of a classification, with labels that shut each other out and with labels that do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..figures import Scored
from ..model_folder import Threshold
from .answered import Answered
from .coverage import accuracy_at, confidences, coverage_curve, covered, rightness
from .scores import Floats, area, calibration_error, log_loss, mean
from .tally import Area, Key, Kind, Mean, Share, Tally, across, most, reliability, roc, shares, small

_HALF = 0.5  # the threshold of a label that has none, for the survey of errors alone


def exclusive(answered: Answered, truth: NDArray[Any], thresholds: Sequence[Threshold], majority: int) -> Tally:
    """Tally exclusive labels; `truth` [N] is the index of each row's label, `majority` of the most frequent one.

    By label: "recall", "precision", "specificity" of the most probable label, "AUC" one against the rest, and
    "sensitivity at threshold", "specificity at threshold". Without: "accuracy", also "at 90 % coverage" and so on,
    "balanced accuracy", "macro AUC", "ECE" and "Brier" (0 to 2) and "log loss" (in nats), and "majority accuracy" of
    who always gives the majority's label.
    """
    names, stated = answered.names, answered.numbers
    told = stated.argmax(axis=1)
    sure = stated.max(axis=1)
    right = told == truth
    everywhere = np.ones(len(truth), dtype=np.bool_)
    present = np.eye(len(names))[truth]
    squared = ((stated - present) ** 2).sum(axis=1)
    loss = log_loss(stated[np.arange(len(truth)), truth])
    points = {point.label: point.value for point in thresholds}

    kinds: dict[Key, Kind] = {
        ("accuracy", None): Share(right, everywhere),
        ("majority accuracy", None): Share(truth == majority, everywhere),
        ("balanced accuracy", None): Mean(tuple(("recall", name) for name in names)),
        ("macro AUC", None): Mean(tuple(("AUC", name) for name in names)),
        **covered(sure, right.astype(np.float64)),
    }
    for index, name in enumerate(names):
        here, answer = truth == index, told == index
        kinds["recall", name] = Share(answer, here)
        kinds["precision", name] = Share(here, answer)
        kinds["specificity", name] = Share(~answer, ~here)
        kinds["AUC", name] = Area(here, everywhere)
        if name in points:
            reached = stated[:, index] >= points[name]
            kinds["sensitivity at threshold", name] = Share(reached, here)
            kinds["specificity at threshold", name] = Share(~reached, ~here)

    def statistics(weights: Floats) -> dict[Key, Floats]:
        counted = shares(kinds, weights)
        found: dict[Key, Floats] = {
            ("accuracy", None): counted["accuracy", None],
            ("majority accuracy", None): counted["majority accuracy", None],
            ("ECE", None): calibration_error(sure, right, weights),
            ("Brier", None): mean(squared, weights),
            ("log loss", None): mean(loss, weights),
        }
        for index, name in enumerate(names):
            found |= {(kind, name): counted[kind, name] for kind in ("recall", "precision", "specificity")}
            found["AUC", name] = area(stated[:, index], truth == index, weights)
            found |= {key: one for key, one in counted.items() if key[1] == name}
        found["balanced accuracy", None] = across([found["recall", name] for name in names])
        found["macro AUC", None] = across([found["AUC", name] for name in names])
        return found | accuracy_at(sure, right.astype(np.float64), weights)

    counts = {name: int((truth == index).sum()) for index, name in enumerate(names)}
    confusion = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(confusion, (truth, told), 1)
    curves = [curve for index, name in enumerate(names) for curve in roc(stated[:, index], truth == index, name)]
    return Tally(
        statistics=statistics,
        kinds=kinds,
        labels=names,
        counts=counts,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        curves=(*curves, *reliability(sure, right, None), *coverage_curve(sure, right.astype(np.float64))),
        worst=tuple(
            Scored(
                source=answered.sources[row],
                truth=names[truth[row]],
                answer=names[told[row]],
                score=float(sure[row]),
            )
            for row in most(sure, ~right)
        ),
        notes=small(counts),
    )


def independent(answered: Answered, truth: NDArray[Any], thresholds: Sequence[Threshold]) -> Tally:
    """Tally labels that are present or absent each by itself; `truth` [N, L] is 0, 1, or NaN where unknown.

    By label: "AUC", "ECE", "Brier" (0 to 1), and "sensitivity", "specificity", "precision" at the stored threshold.
    Without: the mean of these over the labels as "macro AUC", "ECE", "Brier", "log loss" of the known entries, and
    "accuracy at 90 % coverage" and so on: which part of their known labels the most sure rows have right.
    """
    names, stated = answered.names, answered.numbers
    points = {point.label: point.value for point in thresholds}
    known = np.isfinite(truth)
    present = truth > 0
    cut = np.array([points.get(name, _HALF) for name in names])
    reached = stated >= cut
    loss = np.where(known, log_loss(np.where(present, stated, 1 - stated)), np.nan)
    entries = np.maximum(known.sum(axis=1), 1)
    confident, agreeing = confidences(stated, False), rightness(reached, truth)

    kinds: dict[Key, Kind] = {
        ("macro AUC", None): Mean(tuple(("AUC", name) for name in names)),
        **covered(confident, agreeing),
    }
    for index, name in enumerate(names):
        rows, here, answer = known[:, index], present[:, index], reached[:, index]
        kinds["AUC", name] = Area(here, rows)
        if name in points:
            kinds["sensitivity", name] = Share(answer, here & rows)
            kinds["specificity", name] = Share(~answer, ~here & rows)
            kinds["precision", name] = Share(here, answer & rows)

    def statistics(weights: Floats) -> dict[Key, Floats]:
        counted = shares(kinds, weights)
        found: dict[Key, Floats] = {}
        for index, name in enumerate(names):
            rows = known[:, index]
            here, these = present[rows, index], weights[:, rows]
            found["AUC", name] = area(stated[rows, index], here, these)
            found["ECE", name] = calibration_error(stated[rows, index], here, these)
            found["Brier", name] = mean((stated[rows, index] - here) ** 2, these)
            found |= {key: one for key, one in counted.items() if key[1] == name}
        for average, name_of_each in (("macro AUC", "AUC"), ("ECE", "ECE"), ("Brier", "Brier")):
            found[average, None] = across([found[name_of_each, name] for name in names])
        found["log loss", None] = mean(np.nansum(loss, axis=1) / entries, weights * (entries * known.any(axis=1)))
        return found | accuracy_at(confident, agreeing, weights)

    counts = {name: int((present & known)[:, index].sum()) for index, name in enumerate(names)}
    curves = []
    for index, name in enumerate(names):
        rows = known[:, index]
        curves += roc(stated[rows, index], present[rows, index], name)
        curves += reliability(stated[rows, index], present[rows, index], name)
    curves += coverage_curve(confident, agreeing)
    sure = np.where(reached, stated, 1 - stated)
    wrong = (reached != present) & known
    worst = []
    for place in most(sure.ravel(), wrong.ravel()):
        row, index = divmod(place, len(names))
        said, other = names[index], f"no {names[index]}"
        worst.append(
            Scored(
                source=answered.sources[row],
                truth=said if present[row, index] else other,
                answer=said if reached[row, index] else other,
                score=float(sure[row, index]),
            )
        )
    without = [name for name in names if name not in points]
    notes = (f"no threshold for {', '.join(without)}: errors are counted from {_HALF} on",) if without else ()
    return Tally(
        statistics=statistics,
        kinds=kinds,
        labels=names,
        counts=counts,
        curves=tuple(curves),
        worst=tuple(worst),
        notes=(*small(counts), *notes),
    )
