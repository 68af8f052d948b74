"""Probes beside a model: learned from the train rows, scored on the evaluated ones, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..dataset import Dataset
from ..figures import Figure, Probe
from ..model import Task
from ..session import Session
from .answered import anomalous_rows, normal_of, targets_in_order
from .bootstrap import estimate
from .intervals import widened
from .looks import Look, common_sides, looks_at, stacked
from .probes import PROBES, Images, probe_scores
from .questions import clusters_of
from .scores import Floats, area
from .tally import Area, Key, Kind, Mean, Share, across, shares

MOST_ROWS = 4000
"""Train rows that probes learn from; of more, so many are drawn."""

_FOLDS = 5
_FEW = 10  # train rows below which nothing is learned
_GUESSED = 0.7  # an area under the ROC curve that is surely above this is far above chance
_CHANCE = 0.5


@dataclass(frozen=True)
class Probed:
    """What probes reached, and what is to be said of it, in red and not."""

    probes: tuple[Probe, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Evaluated:
    """The rows that the model was scored on: looks [M], truth [M] or [M, L], the cluster of each for intervals [M]."""

    looks: Sequence[Look]
    truth: NDArray[np.float64]
    clusters: NDArray[np.int64]
    split: str
    resamples: int
    seed: int


def truth_of(session: Session, rows: Dataset) -> NDArray[np.float64] | None:
    """Return what a probe is to tell: [N] the label of each row, or [N, L] 0 and 1; -1 and NaN where it is not known.

    None for tasks that probes are not for. Of an anomaly model's rows, 1 is anomalous.
    """
    task = session.loaded.model.task
    if task is Task.CLASSIFICATION:
        return targets_in_order(rows, session.loaded.labels).astype(np.float64)
    normal = normal_of(session.loaded)
    if task is Task.ANOMALY and normal is not None and rows.targets.ndim == 1:
        return np.where(rows.targets < 0, -1.0, anomalous_rows(rows, normal))
    return None


def probe(session: Session, dataset: Dataset, evaluated: Evaluated, figures: Sequence[Figure]) -> Probed:
    """Let every probe learn from the dataset's train rows, and compare what it reaches with the model's `figures`."""
    train = dataset.of("train")
    if evaluated.split == "train" or len(train) < _FEW:
        why = "the evaluated rows are train rows" if evaluated.split == "train" else "there are no train rows beside it"
        return Probed(notes=(f"no trivial models were tried: {why}",))
    drawn = np.sort(np.random.default_rng(evaluated.seed).permutation(len(train))[:MOST_ROWS])
    train = train.take(drawn)
    truth = truth_of(session, train)
    assert truth is not None  # of the same task as the evaluated rows
    looks = looks_at(session, train.cases)
    kept = np.array([row for row, one in enumerate(looks) if one is not None], dtype=np.intp)
    seen = [one for one in looks if one is not None]
    sides = common_sides([*seen, *evaluated.looks])
    if sides is None:
        return Probed(notes=("no trivial models were tried: the prepared images have several numbers of channels",))
    truth = truth[kept]
    clusters = clusters_of(train, kept)
    learned = replace(evaluated, looks=seen, truth=truth, clusters=clusters, split="train")
    return _probed(session, stacked(seen, sides), stacked(evaluated.looks, sides), learned, evaluated, figures)


def _probed(
    session: Session,
    train_x: Images,
    test_x: Images,
    learned: Evaluated,
    evaluated: Evaluated,
    figures: Sequence[Figure],
) -> Probed:
    labels = len(session.loaded.labels) if session.loaded.model.task is Task.CLASSIFICATION else 2
    if not any(len(np.unique(column)) > 1 for column in _columns(learned.truth)):
        return Probed(notes=("no trivial models were tried: all train rows have one label",))
    found = []
    for kind in PROBES:
        stated = _told(kind, train_x, learned.truth, test_x, labels)
        found.append(Probe(kind=kind, split=evaluated.split, rows=len(train_x), figures=_scored(stated, evaluated)))
    across_folds = _by_folds("border", train_x, learned, labels)
    found.append(Probe(kind="border", split="train", rows=len(train_x), figures=_scored(across_folds, learned)))
    warnings = [*_guessed(found)]
    notes = []
    if session.loaded.model.task is Task.CLASSIFICATION:
        warnings += _not_above(found, figures)
    else:
        notes.append("the trivial models are told which train rows are anomalous, the model is not")
    return Probed(tuple(found), tuple(warnings), tuple(notes))


def _columns(truth: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """What is known of each label by itself, or of exclusive labels together."""
    if truth.ndim == 1:
        return [truth[truth >= 0].astype(np.int64)]
    return [column[np.isfinite(column)].astype(np.int64) for column in truth.T]


def _told(kind: str, train_x: Images, truth: NDArray[np.float64], test_x: Images, labels: int) -> NDArray[np.float64]:
    """A probe's probabilities: [M, K] of exclusive labels, [M, L] of independent ones."""
    if truth.ndim == 1:
        known = truth >= 0
        return probe_scores(kind, train_x[known], truth[known].astype(np.int64), test_x, labels)
    told = np.full((len(test_x), truth.shape[1]), _CHANCE)
    for label, column in enumerate(truth.T):
        known = np.isfinite(column)
        if len(np.unique(column[known])) > 1:
            told[:, label] = probe_scores(kind, train_x[known], column[known].astype(np.int64), test_x, 2)[:, 1]
    return told


def _by_folds(kind: str, train_x: Images, learned: Evaluated, labels: int) -> NDArray[np.float64]:
    """As `_told`, for the train rows themselves: each by a probe that learned from other patients' rows."""
    numbers = np.unique(learned.clusters, return_inverse=True)[1]
    fold = np.random.default_rng(learned.seed).permutation(numbers.max() + 1)[numbers] % _FOLDS
    told = np.full((len(train_x), labels), 1 / labels)
    for one in range(_FOLDS):
        here = fold == one
        rest = learned.truth[~here]
        if here.any() and any(len(np.unique(column)) > 1 for column in _columns(rest)):
            told[here] = _told(kind, train_x[~here], rest, train_x[here], labels)
    return told


def _scored(stated: NDArray[np.float64], rows: Evaluated) -> tuple[Figure, ...]:
    """The figures of probabilities, with intervals made like the model's."""
    known = rows.truth >= 0 if rows.truth.ndim == 1 else np.isfinite(rows.truth).any(axis=1)
    stated, clusters = stated[known], rows.clusters[known]
    kinds = _kinds(stated, rows.truth[known])

    def statistics(weights: Floats) -> dict[Key, Floats]:
        found = shares(kinds, weights)
        for (name, label), kind in kinds.items():
            if isinstance(kind, Area):
                scores = stated[kind.among, int(label or 0)]
                found[name, label] = area(scores, kind.positive[kind.among], weights[:, kind.among])
        means = {key: kind for key, kind in kinds.items() if isinstance(kind, Mean)}
        return found | {key: across([found[part] for part in kind.of]) for key, kind in means.items()}

    found = widened(estimate(statistics, clusters, rows.resamples, rows.seed), kinds, clusters)
    return tuple(
        Figure(name=name, value=one.value, low=one.low, high=one.high)
        for (name, label), one in found.items()
        if label is None
    )


def _kinds(stated: NDArray[np.float64], truth: NDArray[np.float64]) -> dict[Key, Kind]:
    """What the figures are made of; labels go by their number."""
    labels = [str(label) for label in range(stated.shape[1])]
    areas = Mean(tuple(("AUC", label) for label in labels))
    if truth.ndim == 2:
        each: dict[Key, Kind] = {
            ("AUC", label): Area(column > 0, np.isfinite(column)) for label, column in zip(labels, truth.T)
        }
        return {**each, ("macro AUC", None): areas}
    told, everywhere = stated.argmax(axis=1), np.ones(len(truth), dtype=np.bool_)
    kinds: dict[Key, Kind] = {}
    for index, label in enumerate(labels):
        kinds["AUC", label] = Area(truth == index, everywhere)
        kinds["recall", label] = Share(told == index, truth == index)
    recalls = Mean(tuple(("recall", label) for label in labels))
    return {**kinds, ("macro AUC", None): areas, ("balanced accuracy", None): recalls}


def _guessed(found: Iterable[Probe]) -> Iterable[str]:
    """A warning where the border alone gives the label away."""
    for one in found:
        reached = next((figure for figure in one.figures if figure.name == "macro AUC"), None)
        if one.kind != "border" or reached is None:
            continue
        if (reached.value if reached.low is None else reached.low) > _GUESSED:
            yield (
                f"the label can be guessed from the border of the image (macro AUC {reached.value:.2f} on the "
                f"{one.split} rows): look for markers, masks, collimation"
            )
            return


def _not_above(found: Sequence[Probe], figures: Sequence[Figure]) -> Iterable[str]:
    """A warning for each figure in which the model is not surely better than what knows nothing."""
    for ours in figures:
        told = [
            f"{_SAID[probe.kind]} ({theirs.value:.3f}"
            + ("" if theirs.high is None else f", at most {theirs.high:.3f}")
            + ")"
            for probe in found
            for theirs in probe.figures
            if probe.split != "train" and theirs.name == ours.name and ours.label is None
            if ours.value <= (theirs.value if theirs.high is None else theirs.high)
        ]
        if told:
            yield f"{ours.name} {ours.value:.3f} is not above what linear models reach that see {', or '.join(told)}"


_SAID = {
    "border": "the border of the image alone",
    "grey statistics": "grey statistics alone",
    "pixels": "the pixels, small",
}
