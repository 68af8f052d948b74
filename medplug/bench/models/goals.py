"""What is to be reached, by data set, plugin and figure; and whether it was, which an interval says and no point."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from ...errors import CallError
from . import trust
from .figures import SPECIFICITY_ERROR, TAUGHT
from .report import Measured, Summary, margin_name

Verdict = Literal["reached", "not decided", "missed", "not measured"]

CPU_MINUTES = "CPU minutes"


class Goal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A figure to be reached by a plugin on a data set: at least `value`, or at most where it is to be `lower`.

    `quick` is what a quick baseline model had, to be beaten in any case.
    """

    dataset: str
    plugin: str
    figure: str
    value: float
    lower: bool = False
    quick: float | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ValueError(f"a goal of {self.value} cannot be reached")


class Judged(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A goal and whether it was reached; `beaten` says the same of the quick baseline, None where there is none."""

    goal: Goal
    found: Summary | None
    verdict: Verdict
    beaten: Verdict | None = None


def _of_classifier(dataset: str) -> tuple[Goal, ...]:
    """What is asked of a classifier on any data set."""
    return (
        Goal(dataset=dataset, plugin="cnn", figure="ECE", value=0.02, lower=True, quick=0.027),
        Goal(dataset=dataset, plugin="cnn", figure=SPECIFICITY_ERROR, value=0.10, lower=True, quick=0.27),
        Goal(dataset=dataset, plugin="cnn", figure=trust.HIT, value=0.90, quick=0.75),
        Goal(dataset=dataset, plugin="cnn", figure=trust.WORST, value=0.97, quick=0.91),
    )


GOALS: tuple[Goal, ...] = (
    Goal(dataset="pneumoniamnist", plugin="cnn", figure="accuracy", value=0.965, quick=0.953),
    Goal(dataset="pneumoniamnist", plugin="cnn", figure="macro AUC", value=0.991, quick=0.984),
    *_of_classifier("pneumoniamnist"),
    # 15, 10 and 25 minutes on two cores
    Goal(dataset="pneumoniamnist", plugin="cnn", figure=CPU_MINUTES, value=30, lower=True),
    Goal(dataset="pneumoniamnist", plugin="autoencoder", figure="AUROC", value=0.95, quick=0.935),
    Goal(dataset="pneumoniamnist", plugin="autoencoder", figure=margin_name("AUROC", "PCA-16"), value=0.10),
    Goal(dataset="pneumoniamnist", plugin="autoencoder", figure=CPU_MINUTES, value=20, lower=True),
    Goal(dataset="pneumoniamnist", plugin="gan", figure="Frechet ratio (radiomics)", value=3, lower=True, quick=9.7),
    Goal(dataset="pneumoniamnist", plugin="gan", figure="Frechet ratio (classifier)", value=3, lower=True, quick=13),
    Goal(dataset="pneumoniamnist", plugin="gan", figure="recall (radiomics)", value=0.80, quick=0.51),
    Goal(dataset="pneumoniamnist", plugin="gan", figure="recall (classifier)", value=0.80, quick=0.51),
    Goal(
        dataset="pneumoniamnist",
        plugin="gan",
        figure=TAUGHT,
        value=0.975,
        quick=0.947,
    ),
    Goal(dataset="pneumoniamnist", plugin="gan", figure="near copies of training images", value=0.01, lower=True),
    Goal(dataset="pneumoniamnist", plugin="gan", figure="accuracy gained at 100 labels", value=0.03),
    Goal(dataset="pneumoniamnist", plugin="gan", figure=CPU_MINUTES, value=50, lower=True),
    Goal(dataset="cxr-kermany", plugin="cnn", figure="macro AUC", value=0.97),
    Goal(dataset="cxr-kermany", plugin="cnn", figure="balanced accuracy", value=0.88),
    *_of_classifier("cxr-kermany"),
    Goal(dataset="cxr-kermany", plugin="cnn", figure=trust.FOREIGN, value=0.95),
    Goal(dataset="cxr-kermany", plugin="cnn", figure=trust.OWN, value=0.10, lower=True),
    Goal(dataset="cxr-nih", plugin="cnn", figure="macro AUC", value=0.93),
    *_of_classifier("cxr-nih"),
)
"""The project's own, for test rows."""


def read(path: Path) -> tuple[Goal, ...]:
    """Read goals from a JSON list; `CallError` says what is wrong with it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[Goal, ...])
    except OSError as error:
        raise CallError(f"the goals {path} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CallError(
            f"{path} holds no goals: {error}. Want a JSON list such as "
            '[{"dataset": "cxr-nih", "plugin": "cnn", "figure": "macro AUC", "value": 0.93}]'
        ) from None


def judge(measured: Measured, goals: Iterable[Goal]) -> tuple[Judged, ...]:
    """Judge the goals that are set for a data set and a plugin."""
    name = measured.plugin.rpartition(":")[2]
    return tuple(
        _judged(goal, measured)
        for goal in goals
        if goal.dataset == measured.dataset and goal.plugin in (name, measured.plugin)
    )


def _judged(goal: Goal, measured: Measured) -> Judged:
    if goal.figure == CPU_MINUTES:  # what was spent is no estimate
        spent = measured.cpu_minutes
        found: Summary | None = Summary(figure=CPU_MINUTES, value=spent, low=spent, high=spent)
    else:
        found = measured.find(goal.figure)
    beaten = None if goal.quick is None else verdict(found, goal.quick, goal.lower)
    return Judged(goal=goal, found=found, verdict=verdict(found, goal.value, goal.lower), beaten=beaten)


def verdict(found: Summary | None, value: float, lower: bool = False) -> Verdict:
    """Say whether a figure reaches a value: with the whole interval, with none of it, or undecided."""
    if found is None:
        return "not measured"
    if found.low is None or found.high is None:
        return "not decided"
    worst, best = (-found.high, -found.low) if lower else (found.low, found.high)
    value = -value if lower else value
    return "reached" if worst >= value else "missed" if best < value else "not decided"
