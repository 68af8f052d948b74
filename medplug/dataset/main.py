"""Labelled data for training and evaluation: cases, targets, splits and patients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import sources
from ..case import Case, Unit
from ..errors import CallError
from ..modalities import check_modalities
from ..model import NO_LABELS, Labels, Task
from ..result import Refused, Rejected, Skipped
from ..sources import TableOptions
from . import splits
from .identity import hashes, row_name
from .misspelt import misspelt
from .targets import (
    Targets,
    exclusive_targets,
    extended,
    labels_of,
    measured,
    present_or_absent,
    read_label_file,
)

_NEEDS_LABEL = (Task.CLASSIFICATION, Task.REGRESSION)
_FILE_COLUMNS = ("file", "path", "image", "filename")


@dataclass(frozen=True)
class DataOptions:
    """Which columns of a table mean what, and which modalities and body parts a model is for.

    Several `labels` are present or absent each by itself. `label_file` names labels and gives their codes. Raises
    `CallError` for a modality that DICOM has no term for.
    """

    labels: tuple[str, ...] = ()
    patient: str | None = None
    split: str | None = None
    mask: str | None = None
    modality: tuple[str, ...] = ()
    body_part: tuple[str, ...] = ()
    label_file: str | Path | None = None

    def __post_init__(self) -> None:
        check_modalities(self.modality)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled cases, row by row.

    `targets` is [N] int64 for exclusive labels (-1 where the data has none), [N, L] float32 of 0, 1 and NaN (unknown)
    for others, [N, V] float32 for regression. `splits` [N] holds "train", "val" or "test", made by seed when
    `split_made`; `patients` [N] is None where patients are not known. `sha256` covers the name, label, patient and
    split of each row and the size of each file: enough to see that data changed, without reading every pixel. It is
    the same in whatever order the rows stand; `order_sha256` is not. `notes` are for the user.
    """

    cases: tuple[Case, ...]
    labels: Labels
    targets: Targets
    splits: NDArray[np.str_]
    patients: NDArray[np.str_] | None = None
    rejected: tuple[Rejected, ...] = ()
    sha256: str = ""
    notes: tuple[str, ...] = ()
    label_columns: tuple[str, ...] = ()
    patient_column: str | None = None
    split_column: str | None = None
    split_made: bool = False
    order_sha256: str = ""

    def __len__(self) -> int:
        return len(self.cases)

    def of(self, split: str) -> Dataset:
        """Return the rows of one split."""
        return self.take(np.flatnonzero(self.splits == split))

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> Dataset:
        """Return these rows, in this order."""
        index = np.asarray(rows, dtype=np.intp)
        return replace(
            self,
            cases=tuple(self.cases[row] for row in index),
            targets=self.targets[index],
            splits=self.splits[index],
            patients=None if self.patients is None else self.patients[index],
        )

    def counts(self) -> dict[str, int]:
        """Return how many rows have each label."""
        exclusive = self.targets.ndim == 1
        present = [
            self.targets == index if exclusive else self.targets[:, index] > 0 for index in range(len(self.labels))
        ]
        return {name: int(here.sum()) for name, here in zip(self.labels.names, present)}

    def rows(self) -> dict[str, int]:
        """Return how many rows each split has, those that have none left out."""
        counts = Counter(self.splits.tolist())
        return {split: counts[split] for split in ("train", "val", "test") if counts[split]}


@dataclass
class _Rows:
    """The rows as they are read: those that can be used, and why others cannot."""

    cases: list[Case] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def columns(self) -> list[str]:
        return list(self.cases[0].row)

    def keep(self, keep: Callable[[Case], bool], why: str) -> None:
        """Leave out the rows that `keep` does not want, and say so."""
        out = [case for case in self.cases if not keep(case)]
        if not out:
            return
        self.cases = [case for case in self.cases if keep(case)]
        self.rejected += [Rejected(case.reference, Skipped(reason=f"{case.reference.source}: {why}")) for case in out]
        self.notes.append(f"{_rows_are(len(out))} left out: {why}")


def load(
    data: str | Path,
    options: DataOptions = DataOptions(),
    *,
    task: Task,
    labels: Labels | None = None,
    seed: int = 0,
    unit: Unit = Unit.INSTANCE,
    learned: str | None = None,
) -> Dataset:
    """Read labelled data: a CSV, a MedMNIST `.npz`, or a folder of class folders; no pixel is decoded.

    `labels` are a trained model's own, whose order counts; an anomaly model may meet others. A split that is missing is
    made by patient and `seed`: the same seed makes the same one. With `learned`, the `sha256` of the data that a model
    was trained on, other data without a split is all test rows. Raises `CallError` for columns and labels that do not
    fit, `TrainingError` when a patient has rows in several splits.
    """
    data = Path(data)
    read = _read(data, options, unit)
    found_labels, targets, columns = _label(read, options, task, labels, data)
    patients, patient_column = _patients(read, options, data)
    made = _split(read, options, data, targets, patients, seed)
    if patients is not None:
        splits.refuse_spanning(made.splits, patients, [case.reference.source for case in read.cases])
    sha256, order_sha256 = hashes(data, read.cases, targets, patients, made.splits, options.mask)
    if learned is not None and made.made and sha256 != learned:
        made = _Made(np.full(len(read.cases), "test"), None, "no split column: every row is measured", made=False)
        sha256, order_sha256 = hashes(data, read.cases, targets, patients, made.splits, options.mask)
    if made.note:
        read.notes.append(made.note)
    return Dataset(
        cases=tuple(read.cases),
        labels=found_labels,
        targets=targets,
        splits=made.splits,
        patients=patients,
        rejected=tuple(read.rejected),
        sha256=sha256,
        notes=tuple(read.notes),
        label_columns=columns,
        patient_column=patient_column,
        split_column=made.column,
        split_made=made.made,
        order_sha256=order_sha256,
    )


def _read(data: Path, options: DataOptions, unit: Unit) -> _Rows:
    table = TableOptions(labels=options.labels, patient=options.patient, split=options.split, mask=options.mask)
    read = _Rows()
    for found in sources.read_labelled(data, table, unit=unit):
        if isinstance(found, Case):
            read.cases.append(found)
        else:
            read.rejected.append(found)
    if not read.cases:
        first = f": {read.rejected[0].outcome.reason}" if read.rejected else ""
        raise CallError(f"{data} holds no readable case{first}")
    tables = sorted(path.name for path in data.glob("*.csv")) if data.is_dir() else []
    if tables:
        read.notes.append(
            f"{', '.join(tables)} in {data} is not read, and folders' names are the labels: name a table to use it"
        )
    refused = [one.outcome.reason for one in read.rejected if isinstance(one.outcome, Refused)]
    if refused:
        first = "; the first" if len(refused) > 1 else ""
        read.notes.append(f"{len(refused)} row{'s' if len(refused) > 1 else ''} cannot be read{first}: {refused[0]}")
    for column in (*options.labels, options.patient, options.split):
        if column is not None and column not in read.columns:
            raise CallError(f"{data} has no column {column!r}; it has {', '.join(read.columns) or 'none'}")
    return read


def _label(
    read: _Rows, options: DataOptions, task: Task, known: Labels | None, data: Path
) -> tuple[Labels, Targets, tuple[str, ...]]:
    """The labels, the targets and the columns that they stand in. Rows without a label are left out."""
    if task is Task.SEGMENTATION:
        read.keep(lambda case: case.mask is not None, "no mask; name the column of mask files with --mask")
        _some(read, data)
        return known or _mask_labels(read, options), np.full(len(read.cases), -1, np.int64), ()
    columns = options.labels or _default_columns(read, task, known, data)
    if not columns:
        return known or NO_LABELS, np.full(len(read.cases), -1, np.int64), ()
    entries = None if options.label_file is None or known is not None else read_label_file(options.label_file)

    if task is Task.REGRESSION:
        read.keep(lambda case: all(case.row[column].strip() for column in columns), "a number to learn is missing")
        _some(read, data)
        numbers = measured([case.row for case in read.cases], columns)
        return _agreeing(known, labels_of(columns, False, entries), columns), numbers, columns
    if len(columns) > 1 or (known is not None and len(known) and not known.exclusive):
        read.keep(lambda case: any(case.row[column].strip() for column in columns), "no label is known")
        _some(read, data)
        present = present_or_absent([case.row for case in read.cases], columns)
        return _agreeing(known, labels_of(columns, False, entries), columns), present, columns
    [column] = columns
    read.keep(lambda case: bool(case.row[column].strip()), f"no label in column {column!r}")
    _some(read, data)
    cells = [case.row[column].strip() for case in read.cases]
    labels = known if known is not None and len(known) else labels_of(cells, True, entries)
    if task is Task.CLASSIFICATION and len(labels) < 2:
        one = f"{data} has the one label {cells[0]!r} in its {len(cells)} usable rows"
        raise CallError("; ".join([f"{one}: a classifier tells two or more apart", *read.notes]))
    if task is Task.ANOMALY:
        labels = extended(labels, cells)
    if known is None and entries is None:
        read.notes += misspelt(Counter(cells))
    return labels, exclusive_targets(cells, labels), columns


def _rows_are(rows: int) -> str:
    return "1 row is" if rows == 1 else f"{rows} rows are"


def _some(read: _Rows, data: Path) -> None:
    if not read.cases:
        raise CallError(f"{data} holds no usable row: {'; '.join(read.notes)}")


def _default_columns(read: _Rows, task: Task, known: Labels | None, data: Path) -> tuple[str, ...]:
    if known is not None and len(known) and not known.exclusive:
        columns = known.values or known.names
        if set(columns) <= set(read.columns):
            return columns
    elif "label" in read.columns:
        return ("label",)
    if task not in _NEEDS_LABEL:
        return ()
    counts = {column: len({case.row[column] for case in read.cases}) for column in read.columns}
    likely = [f"{column} ({count} values)" for column, count in counts.items() if 2 <= count <= 20]
    raise CallError(
        f"{data} has no column 'label': name the column with --label. "
        + (f"These could be labels: {', '.join(likely)}; all columns: " if likely else "Its columns: ")
        + (", ".join(column for column in read.columns if column not in _FILE_COLUMNS) or "none")
    )


def _agreeing(known: Labels | None, found: Labels, columns: tuple[str, ...]) -> Labels:
    """A model's own labels, if they stand for these columns in this order; `CallError` otherwise."""
    if known is None or not len(known):
        return found
    wanted = known.values or known.names
    if wanted != columns:
        raise CallError(
            f"the model learned the label columns {', '.join(wanted)}, in this order, and the data is read by "
            f"{', '.join(columns)}: name them with --label as the model has them"
        )
    return known


def _mask_labels(read: _Rows, options: DataOptions) -> Labels:
    """Labels 1 to the highest number that a mask holds."""
    highest = max(int(case.mask.read().max()) for case in read.cases if case.mask is not None)
    if highest < 1:
        raise CallError("every mask is empty: a mask holds 0 for background and n for label n")
    entries = None if options.label_file is None else read_label_file(options.label_file)
    return labels_of([str(number) for number in range(1, highest + 1)], True, entries)


def _patients(read: _Rows, options: DataOptions, data: Path) -> tuple[NDArray[np.str_] | None, str | None]:
    """The patient of each row, and what says so. A row without one stands for itself."""
    column = options.patient
    found = [case.row[column].strip() if column else case.patient or "" for case in read.cases]
    missing = found.count("")
    if missing == len(found):
        read.notes.append("no patient ids: rows of one patient may stand in several splits, which flatters the figures")
        return None, None
    if missing:
        where = "PatientID" if column is None else f"column {column!r}"
        read.notes.append(f"{missing} rows have no patient in {where}: each is taken for a patient of its own")
    named = [patient or f"row {row_name(case, data)}" for case, patient in zip(read.cases, found)]
    return np.array(named, dtype=np.str_), column or "PatientID"


@dataclass(frozen=True)
class _Made:
    splits: NDArray[np.str_]
    column: str | None
    note: str = ""
    made: bool = False


def _split(
    read: _Rows, options: DataOptions, data: Path, targets: Targets, patients: NDArray[np.str_] | None, seed: int
) -> _Made:
    groups = [row_name(case, data) for case in read.cases] if patients is None else patients.tolist()
    strata = [str(target) for target in targets.tolist()]
    if targets.dtype == np.float32 and len(set(strata)) > len(strata) // 10:  # measured numbers, not classes
        strata = [""] * len(strata)
    by = "patient" if patients is not None else "row"
    column = options.split or ("split" if "split" in read.columns else None)
    if column is None:
        note = f"no split column: 70/15/15 % were made by {by} from seed {seed}"
        return _Made(splits.make(strata, groups, seed), None, note, made=True)
    if options.split is None and data.suffix.lower() == ".csv":
        read.notes.append("the column 'split' says which rows train, validate and test; name another with --split")
    given = splits.parse([case.row[column] for case in read.cases], column)
    if "train" in given and "val" not in given:
        train = np.flatnonzero(given == "train")
        if patients is not None:
            splits.refuse_spanning(given, patients, [case.reference.source for case in read.cases])
        carved = splits.make([strata[row] for row in train], [groups[row] for row in train], seed, splits.CARVED)
        given[train] = carved
        read.notes.append(f"no validation rows: 15 % of the train rows were set aside by {by} from seed {seed}")
    return _Made(given, column)
