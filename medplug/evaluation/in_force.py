"""Another operating point, or an abstention, put in force in a model folder: a stored one, or one fitted now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from msgspec.structs import replace as with_fields

from ..dataset import Dataset
from ..dataset.duplicates import across_splits, fingerprints
from ..errors import CallError
from ..model import Task
from ..model_folder import Abstention, Card, LoadedModel, Metric, Threshold, load, read_card, write_card
from ..operating import ANOMALOUS
from ..session import Session
from .answered import Answered, answer, normal_of
from .coverage import checked_coverage, confidences, fit_abstention
from .measured_data import dataset_of
from .operating_fit import only_validation
from .operating_points import LEAST_ROWS, Aim, choose
from .questions import questions

_BY_THRESHOLD = ("sensitivity", "specificity", "precision", "accuracy")
"""What the figures of a card begin with that hold for the thresholds alone: not those of exclusive labels."""


@dataclass(frozen=True)
class Chosen:
    """A card as it stands now, and for each label that stays as it was the reason."""

    card: Card
    notes: tuple[str, ...] = ()


def put_in_force(
    folder: str | Path,
    aim: Aim,
    labels: Sequence[str] = (),
    *,
    validation: Dataset | None = None,
    device: str = "auto",
) -> Chosen:
    """Put the points of an aim in force for `labels`, or for all, and write the card, whole or not at all.

    What is not stored is fitted on `validation`, or on the validation rows of the data that the model was trained on,
    and stored. Raises `CallError` for a label without such a point, for rows of another split, and where the data has
    changed since training.
    """
    card = read_card(folder)
    names = (ANOMALOUS,) if card.task == Task.ANOMALY else card.labels.names if card.task == Task.CLASSIFICATION else ()
    strange = [label for label in labels if label not in names]
    if strange:
        raise CallError(f"no label {strange[0]!r} that a threshold decides; the model has {', '.join(names) or 'none'}")
    if not names:
        raise CallError(f"{card.plugin.name} is for {card.task} and decides nothing that a threshold could move")
    found = {point.label: point for point in (*card.thresholds, *card.operating_points) if point.how == aim.how}
    wanted = tuple(labels) or names
    missing = [label for label in wanted if label not in found]
    reasons: dict[str, str] = {}
    if missing:
        fitted, reasons = _fitted(folder, aim, missing, validation, device)
        found |= fitted
    if not any(label in found for label in wanted) or (labels and reasons):
        why = "; ".join(f"{label}: {reason}" for label, reason in reasons.items()) or "no row is known to be normal"
        raise CallError(f"no operating point at {aim.how}: {why}")
    forced = {point.label: point for point in card.thresholds} | {
        label: found[label] for label in wanted if label in found
    }
    changed = with_fields(
        card,
        thresholds=tuple(forced.values()),
        operating_points=tuple(dict.fromkeys([*card.operating_points, *card.thresholds, *found.values()])),
        metrics=_still_true(card, tuple(forced.values())),
    )
    write_card(Path(folder), changed)
    return Chosen(changed, tuple(f"{label} stays as it was: {reason}" for label, reason in reasons.items()))


def put_abstention_in_force(
    folder: str | Path, coverage: float, *, validation: Dataset | None = None, device: str = "auto"
) -> Card:
    """Let a classifier abstain from its least sure answers; `coverage` is the part that it answers, and 1 ends it.

    The limit is the stored one of that coverage, or fitted now on rows as `put_in_force` takes them. `CallError` as
    there, and for a model that is no classifier.
    """
    card = read_card(folder)
    if card.task != Task.CLASSIFICATION:
        raise CallError(f"{card.plugin.name} answers with a {card.task}, which does not say how sure it is")
    if coverage == 1:
        stored = card.abstention
        changed = with_fields(card, abstention=None if stored is None else with_fields(stored, in_force=False))
    else:
        checked_coverage(coverage)
        limit = card.abstention
        if limit is None or limit.coverage != coverage:
            limit = _limit(folder, coverage, validation, device)
        changed = with_fields(card, abstention=with_fields(limit, in_force=True))
    write_card(Path(folder), changed)
    return changed


def _still_true(card: Card, thresholds: tuple[Threshold, ...]) -> tuple[Metric, ...]:
    if (card.task != Task.ANOMALY and card.labels.exclusive) or thresholds == card.thresholds:
        return card.metrics
    return tuple(metric for metric in card.metrics if not metric.name.startswith(_BY_THRESHOLD))


def _fitted(
    folder: str | Path, aim: Aim, labels: Sequence[str], validation: Dataset | None, device: str
) -> tuple[dict[str, Threshold], dict[str, str]]:
    loaded, rows, answered = _answered(folder, validation, device)
    found: dict[str, Threshold] = {}
    reasons: dict[str, str] = {}
    for question in questions(loaded.model.task, loaded.labels, answered, rows, normal_of(loaded)):
        if question.label not in labels:
            continue
        point = choose(question, aim)
        if isinstance(point, Threshold):
            found[question.label] = point
        else:
            reasons[question.label] = point
    return found, reasons


def _limit(folder: str | Path, coverage: float, validation: Dataset | None, device: str) -> Abstention:
    loaded, _, answered = _answered(folder, validation, device)
    return fit_abstention(confidences(answered.numbers, loaded.labels.exclusive), coverage)


def _answered(folder: str | Path, validation: Dataset | None, device: str) -> tuple[LoadedModel, Dataset, Answered]:
    """The calibrated answers to the validation rows."""
    loaded = load(folder)
    rows = validation_rows(loaded) if validation is None else validation
    only_validation(rows)
    answered = answer(Session(replace(loaded, thresholds=(), abstention=None), device), rows)
    if len(answered) < LEAST_ROWS:
        raise CallError(f"{len(answered)} validation rows are answered, and {LEAST_ROWS} are wanted to choose by")
    return loaded, rows, answered


def validation_rows(loaded: LoadedModel) -> Dataset:
    """Return the validation rows of the data that a model was trained on; `CallError` where it is not the same now."""
    dataset = dataset_of(loaded)
    record = None if loaded.card is None else loaded.card.training
    if record is None or dataset.sha256 != record.data_sha256:
        raise CallError(
            "the data is not what the model was trained on any more: its validation rows may have been learned, and "
            "choose nothing. Restore the data, or train again"
        )
    if record.duplicates_dropped:  # what training left out, since it stands in test rows too, chooses nothing either
        twins = {one.row for one in across_splits(fingerprints(dataset.cases), dataset.splits)}
        dataset = dataset.take([row for row in range(len(dataset)) if row not in twins])
    rows = dataset.of("val")
    if not len(rows):
        raise CallError("the data that the model was trained on has no validation rows to choose an operating point by")
    return rows
