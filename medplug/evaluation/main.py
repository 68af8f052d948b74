"""How a model does on rows that it was not trained on: figures with intervals, curves, and its worst errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace as with_fields
from numpy.typing import NDArray

from ..dataset import DataOptions, Dataset
from ..errors import CallError, ModelFolderError
from ..figures import Evaluation, Figure
from ..model import Model, Task
from ..model_folder import LoadedModel, Metric, read_card, write_card, write_whole
from ..result import Refused, Rejected, Result
from ..session import Session
from .alarms import one_answer, warnings_of
from .answered import Answered, Progress, anomalous_rows, answer, normal_of, targets_in_order
from .bootstrap import estimate
from .calibration import calibration
from .classification_tally import exclusive, independent
from .drift import drift
from .generation_figures import generator_figures, generator_warnings
from .intervals import widened
from .looks import watched
from .measured_data import dataset_of, lies_at
from .measurement_tally import anomaly, regression, segmentation
from .novelty_figures import novel_kind
from .operating_fit import fit_operating
from .probing import Evaluated, Probed, probe, truth_of
from .questions import clusters_of, questions
from .subgroups import by_column, by_looks, measured, worse
from .tally import Tally, shares

__all__ = ["FILE", "dataset_of", "evaluate", "fit_operating", "lies_at", "store_metrics", "to_metrics", "write"]

FILE = "evaluation.json"


def evaluate(
    model: str | Path | LoadedModel | Model | Session,
    data: str | Path | Dataset | None = None,
    *,
    split: str = "test",
    data_options: DataOptions | None = None,
    features: str | Path | LoadedModel | Session | None = None,
    device: str = "auto",
    resamples: int = 1000,
    seed: int = 0,
    samples: int | None = None,
    prevalence: Mapping[str, float] | None = None,
    subgroups: Sequence[str] = (),
    probes: bool = True,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a model on the rows of one split, exactly as in service: refusals, calibration and thresholds included.

    `data` and each of `data_options` default to what the model was trained on; other data without a split is test rows
    throughout. `features` names the classifier in whose features `samples` images of a generator are compared with real
    ones. `subgroups` names columns by whose values there are figures too, brightness and sharpness without any;
    `probes` trains trivial models on the train rows, to compare with. `prevalence` says, by label, for which prevalence
    predictive values are told. The figures' names stand in `classification_tally`, `calibration`,
    `measurement_tally`, `novelty_figures` and `generation_figures`. Raises `CallError`.
    """
    if resamples < 0:
        raise CallError(f"{resamples} resamples: want 0 (no intervals) or more")
    session = model if isinstance(model, Session) else Session(model, device)
    dataset = data if isinstance(data, Dataset) else dataset_of(session.loaded, data, data_options)
    rows = dataset.of(split)
    if not len(rows):
        has = ", ".join(f"{count} {name}" for name, count in dataset.rows().items())
        raise CallError(f"the data has no {split} rows; it has {has or 'none'}")
    if session.loaded.model.task is Task.GENERATION:
        if subgroups:
            raise CallError(f"{session.loaded.model.name} generates images, of which there are no subgroups")
        return _generation(session, dataset, split, features, device, samples, seed, resamples, progress)
    for column in subgroups:
        by_column(rows, column)  # what is no column is said before the model is asked
    session, looks = watched(session)
    answered = answer(session, rows, progress)
    if not len(answered):
        raise CallError(f"the model refused every {split} row: {_why(answered.refused)}")
    answered, tally = tally_of(session.loaded, answered, rows, dataset)
    cluster = clusters_of(rows, answered.rows)
    found = widened(estimate(tally.statistics, cluster, resamples, seed), tally.kinds, cluster)
    if len(answered.novel) and session.novel == "flag":  # of what is refused for it, the notes tell
        novel = novel_kind(answered.novel)
        found |= widened(estimate(lambda weights: shares(novel, weights), cluster, resamples, seed), novel, cluster)
    loaded = session.loaded
    asked = questions(loaded.model.task, loaded.labels, answered, rows, normal_of(loaded))
    if loaded.model.task is Task.CLASSIFICATION:
        found |= calibration(asked, resamples > 0, loaded.labels.exclusive, seed)
    drifts, predictive = drift(loaded, asked, cluster, prevalence or {}, resamples, seed)
    figures = tuple(
        Figure(name=name, label=label, value=one.value, low=one.low, high=one.high)
        for (name, label), one in found.items()
    )
    scored = rows.take(answered.rows)
    seen = [looks[case.reference] for case in scored.cases]
    groupings = [by_column(scored, column) for column in subgroups] or by_looks(seen)
    groups = measured(groupings, tally, cluster, rows.patients is not None, resamples, seed)
    truth = truth_of(session, scored) if probes else None
    evaluated = None if truth is None else Evaluated(seen, truth, cluster, split, resamples, seed)
    probed = Probed() if evaluated is None else probe(session, dataset, evaluated, figures)
    return Evaluation(
        task=session.loaded.model.task.value,
        split=split,
        rows=len(answered),
        refused=len(answered.refused),
        data_sha256=dataset.sha256,
        plan_id=session.loaded.preprocessing.plan_id,
        model=session.loaded.reference,
        figures=figures,
        resamples=resamples,
        clustered_by=None if rows.patients is None else rows.patient_column or "patient",
        patients=None if rows.patients is None else len(np.unique(cluster)),
        labels=tally.labels,
        counts=tally.counts,
        confusion=tally.confusion,
        curves=tally.curves,
        worst=tally.worst,
        notes=(
            *_notes(session.loaded, dataset, split, answered.refused),
            *_on_intervals(rows, cluster),
            *tally.notes,
            *probed.notes,
        ),
        warnings=(
            *_leaks(session.loaded),
            *one_answer(tally.labels, tally.confusion),
            *warnings_of(found, drifts),
            *probed.warnings,
            *worse(groups, figures),
        ),
        drift=drifts,
        predictive=predictive,
        probes=probed.probes,
        subgroups=groups,
    )


def write(evaluation: Evaluation, folder: str | Path) -> Path:
    """Write `evaluation.json` into a folder, which is made, and return its path."""
    path = Path(folder) / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, msgspec.json.format(msgspec.json.encode(evaluation), indent=2) + b"\n")
    return path


def to_metrics(evaluation: Evaluation) -> tuple[Metric, ...]:
    """Return the figures that a model's card shows: those of the whole, and of each number or mask."""
    by_label = ("MAE", "RMSE", "R2", "Dice")
    return tuple(
        Metric(
            name=figure.name if figure.label is None else f"{figure.name} ({figure.label})",
            value=figure.value,
            low=figure.low,
            high=figure.high,
            split=evaluation.split,
            rows=evaluation.rows,
        )
        for figure in evaluation.figures
        if figure.label is None or figure.name in by_label
    )


def store_metrics(folder: str | Path, evaluation: Evaluation) -> None:
    """Put the metrics into a model folder's card, in place of those of the same split, and the warnings of test rows.

    `ModelFolderError` when other weights were evaluated.
    """
    card = read_card(folder)
    if evaluation.model is None or evaluation.model.weights_sha256 != card.weights_sha256:
        raise ModelFolderError(f"{folder} holds other weights than those that were evaluated: evaluate it again")
    kept = tuple(metric for metric in card.metrics if metric.split != evaluation.split)
    warnings = evaluation.warnings if evaluation.split == "test" else card.warnings
    write_card(Path(folder), with_fields(card, metrics=kept + to_metrics(evaluation), warnings=warnings))


def tally_of(loaded: LoadedModel, answered: Answered, rows: Dataset, dataset: Dataset) -> tuple[Answered, Tally]:
    """Return the answers to the rows whose truth is known, and their tally; `CallError` where none is known."""
    task, labels = loaded.model.task, loaded.labels
    if task is Task.ANOMALY:
        normal = normal_of(loaded)
        anomalous = None if normal is None else anomalous_rows(rows, normal)[answered.rows]
        truth = rows.targets[answered.rows]

        def scored(some: Answered, kept: NDArray[np.intp]) -> Tally:
            different = None if anomalous is None else anomalous[kept]
            return anomaly(some, truth[kept], different, rows.labels, loaded.thresholds)

        return _known(answered, np.ones(len(answered), np.bool_) if normal is None else truth >= 0, scored)
    if task is Task.SEGMENTATION:
        return _known(answered, np.isfinite(answered.numbers).all(axis=1), lambda some, _: segmentation(some))
    truth = targets_in_order(rows, labels)[answered.rows]
    if task is Task.REGRESSION:
        known = np.isfinite(truth).any(axis=1)
        return _known(answered, known, lambda some, kept: regression(some, truth[kept]))
    if not labels.exclusive:
        known = np.isfinite(truth).any(axis=1)
        return _known(answered, known, lambda some, kept: independent(some, truth[kept], loaded.thresholds))
    learned = targets_in_order(dataset.of("train"), labels)
    majority = _majority(learned if len(learned) else truth)
    return _known(answered, truth >= 0, lambda some, kept: exclusive(some, truth[kept], loaded.thresholds, majority))


def _known(
    answered: Answered, known: Any, tally: Callable[[Answered, NDArray[np.intp]], Tally]
) -> tuple[Answered, Tally]:
    """Tally the answers to the rows `known` [N], whose truth is known; say how many are left out."""
    kept = np.flatnonzero(known)
    if not len(kept):
        raise CallError("nothing is known of any row that the model answered: name the label or mask column")
    some = answered.of(kept)
    made = tally(some, kept)
    left_out = len(known) - len(kept)
    notes = (f"{left_out} rows without a known truth are left out",) if left_out else ()

    def part(here: NDArray[np.intp]) -> Tally:
        return tally(some.of(here), kept[here])

    return some, replace(made, notes=(*notes, *made.notes), part=part)


def _majority(truth: NDArray[Any]) -> int:
    told = truth[truth >= 0]
    return int(np.bincount(told).argmax()) if len(told) else 0


def _generation(
    session: Session,
    dataset: Dataset,
    split: str,
    features: str | Path | LoadedModel | Session | None,
    device: str,
    samples: int | None,
    seed: int,
    resamples: int,
    progress: Progress | None,
) -> Evaluation:
    name = session.loaded.model.name
    if features is None:
        raise CallError(
            f"{name} generates images: name a classifier in whose features they are compared (--features, features)"
        )
    classifier = features if isinstance(features, Session) else Session(features, device)
    found = generator_figures(session, classifier, dataset, split, samples, seed, resamples, progress)
    judge = classifier.loaded.reference
    by = classifier.loaded.model.name if judge is None else f"{judge.name} {judge.weights_sha256[:12]}"
    return Evaluation(
        task=session.loaded.model.task.value,
        split=split,
        rows=found.rows,
        refused=found.refused,
        data_sha256=dataset.sha256,
        plan_id=session.loaded.preprocessing.plan_id,
        model=session.loaded.reference,
        figures=found.figures,
        resamples=resamples,
        neighbours=found.neighbours,
        notes=(*_notes(session.loaded, dataset, split, ()), f"in the features of {by}", *found.notes),
        warnings=generator_warnings(found.figures),
    )


def _notes(loaded: LoadedModel, dataset: Dataset, split: str, refused: Sequence[Result]) -> tuple[str, ...]:
    notes = list(dataset.notes)
    if split == "train":
        notes.append("evaluated on training rows: the model has seen them")
    if split == "val":
        notes.append("evaluated on validation rows: the weights, temperature and thresholds were chosen by them")
    record = None if loaded.card is None else loaded.card.training
    if record is not None and record.data_sha256 != dataset.sha256:
        notes.append(
            "the data is not what the model was trained on"
            + (", and its split was made anew: rows may have been trained on" if dataset.split_made else "")
        )
    if refused:
        notes.append(f"{len(refused)} rows were refused and are not scored: {_why(refused)}")
    unreadable = [one for one in dataset.rejected if isinstance(one.outcome, Refused)]
    if unreadable:
        notes.append(f"{len(unreadable)} rows of the data, of any split, could not be read: {_why(unreadable)}")
    return tuple(notes)


def _leaks(loaded: LoadedModel) -> tuple[str, ...]:
    record = None if loaded.card is None else loaded.card.training
    return () if record is None else tuple(f"training: {leak}" for leak in record.leaks)


def _on_intervals(rows: Dataset, cluster: NDArray[np.int64]) -> tuple[str, ...]:
    if len(np.unique(cluster)) < 2:
        return ("all rows are of one patient: there are no intervals",)
    return ("no patient ids: intervals treat every row as independent",) if rows.patients is None else ()


def _why(refused: Sequence[Result] | Sequence[Rejected]) -> str:
    outcomes = [one.outcome if isinstance(one, Rejected) else one.prediction for one in refused]
    codes = Counter(outcome.code if isinstance(outcome, Refused) else "no image" for outcome in outcomes)
    return ", ".join(f"{code} ({count})" for code, count in codes.most_common())
