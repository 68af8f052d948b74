"""One training and what it answers to the rows that were held out: kept as soon as it is done."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ...dataset import DataOptions, Dataset
from ...errors import CallError
from ...evaluation import dataset_of, evaluate
from ...evaluation.answered import anomalous_rows, answer, targets_in_order
from ...evaluation.scores import Floats
from ...model import Task
from ...model_folder import LoadedModel, write_whole
from ...session import Session
from ...training import TrainingProgress, train
from ...training.checkpoint import FOLDER
from . import figures, trust
from .recipe import DUPLICATES
from .summary import Scored, Statistics
from .trust import Foreign

RECORD = "trial.json"
SPECIFICITY = "specificity 0.90"
"""How the operating point was chosen (`Threshold.how`) whose promise is held against the test rows."""

Report = Callable[[TrainingProgress], None]


class Trial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one seed's training on one fold answered.

    `rows` are positions in the table that it was measured on, `truth` their labels' places in `names` (for an anomaly
    model 1 is anomalous), `numbers` the answers. `promised` gives by label a threshold and its specificity on
    validation rows. `whole` are figures that are not made of rows.
    """

    seed: int
    fold: int
    rows: tuple[int, ...] = ()
    truth: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    numbers: tuple[tuple[float, ...], ...] = ()
    promised: dict[str, tuple[float, float]] = msgspec.field(default_factory=dict)
    whole: dict[str, float] = msgspec.field(default_factory=dict)
    refused: int = 0
    cpu_seconds: float
    wall_seconds: float
    steps: int
    device: str
    notes: tuple[str, ...] = ()

    def scored(self, numbers_of: Callable[[int], int]) -> Scored:
        """Return the figures; `numbers_of` turns a position into the data set's own number of the row."""
        answers, truth = np.array(self.numbers, np.float64), np.array(self.truth, np.int64)
        if not len(answers):
            statistics: Statistics = _nothing
        elif self.names:
            statistics = figures.classification(answers, truth, self.names, self.promised)
        else:
            statistics = figures.anomaly(answers[:, 0], truth > 0)
        rows = np.array([numbers_of(row) for row in self.rows], np.int64)
        return Scored(self.seed, self.fold, rows, statistics, self.whole)


def _nothing(weights: Floats) -> dict[str, Floats]:
    """The figures of no answers."""
    return {}


def read(folder: Path) -> Trial | None:
    """Return a trial that was finished earlier, None where there is none."""
    try:
        return msgspec.json.decode((folder / RECORD).read_bytes(), type=Trial)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise CallError(
            f"{folder / RECORD} is no record of a trial ({error}): remove it, and it is run again"
        ) from None


def run(
    folder: Path,
    plugin: str,
    data: Path,
    options: DataOptions,
    *,
    settings: Mapping[str, str],
    normal: str | None,
    pretrained: Path | None,
    seed: int,
    fold: int,
    device: str,
    features: Path | None,
    foreign: Foreign,
    keep: bool,
    report: Report,
) -> Trial:
    """Train, answer the rows called "test" in `data`, and keep the record; the model folder too, if `keep`.

    `features` is the classifier that a generator is judged by, `foreign` are images that a model should stop at. The
    time is that of the training. A training that was interrupted raises `KeyboardInterrupt` and leaves no record.
    """
    cpu, wall = _cpu_seconds(), time.monotonic()
    model = folder / "model"
    trained = train(
        plugin,
        data,
        model,
        options=settings,
        data_options=options,
        normal=normal,
        seed=seed,
        device=device,
        overwrite=model.exists(),
        duplicates=DUPLICATES,
        pretrained=pretrained,
        progress=report,
    )
    if trained.interrupted:
        raise KeyboardInterrupt
    record = trained.card.training
    assert record is not None  # training writes it
    cpu, wall = _cpu_seconds() - cpu, time.monotonic() - wall
    report(TrainingProgress("validating", record.steps, record.steps))
    session = Session(model, device)
    made = Trial(
        seed=seed,
        fold=fold,
        **_answers(session, device, features, foreign, seed),
        steps=record.steps,
        device=session.provenance.device,
        notes=tuple(note for note in trained.notes if not names_a_file(note)),
        cpu_seconds=cpu,
        wall_seconds=wall,
    )
    shutil.rmtree(model / FOLDER, ignore_errors=True)
    if not keep:
        shutil.rmtree(model)
    write_whole(folder / RECORD, msgspec.json.encode(made))
    return made


def names_a_file(note: str) -> bool:
    """Whether a note tells of a file: the log is published, and a path tells of the machine, or of a patient."""
    return "/" in note or "\\" in note


def _answers(session: Session, device: str, features: Path | None, foreign: Foreign, seed: int) -> dict[str, Any]:
    loaded = session.loaded
    dataset = dataset_of(loaded)
    if loaded.model.task is Task.GENERATION:
        made = evaluate(session, dataset, features=features, device=device, seed=seed, resamples=0)
        return {
            "whole": {figures.whole_name(one.name, one.label): one.value for one in made.figures},
            "refused": made.refused,
        }
    rows = dataset.of("test")
    answered = answer(session, rows)
    if not len(answered):
        raise CallError(f"{loaded.model.name} refused every row that it was to be measured on")
    return {
        "rows": tuple(_position(rows, row) for row in answered.rows.tolist()),
        "truth": tuple(_truth(loaded, rows)[answered.rows].tolist()),
        "names": loaded.labels.names if loaded.model.task is Task.CLASSIFICATION else (),
        "numbers": tuple(map(tuple, answered.numbers.tolist())),
        "promised": _promised(loaded),
        "whole": {**trust.stopping(session, rows, foreign), **trust.pointing(session, rows, seed)},
        "refused": len(answered.refused),
    }


def _position(rows: Dataset, row: int) -> int:
    position = rows.cases[row].reference.row
    assert position is not None  # a table gives every case its row
    return position


def _truth(loaded: LoadedModel, rows: Dataset) -> Any:
    if loaded.model.task is Task.CLASSIFICATION:
        return targets_in_order(rows, loaded.labels)
    assert loaded.card is not None
    assert loaded.card.training is not None
    return anomalous_rows(rows, str(loaded.card.training.normal)).astype(np.int64)


def _promised(loaded: LoadedModel) -> dict[str, tuple[float, float]]:
    """The thresholds that were chosen for a specificity of 0.90, by label, each with what it had on validation rows."""
    return {
        one.label: (one.value, one.specificity)
        for one in loaded.operating_points
        if one.how == SPECIFICITY and one.specificity is not None
    }


def _cpu_seconds() -> float:
    """The CPU time of this process, its threads and the processes that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
