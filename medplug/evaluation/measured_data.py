"""What a model is measured on: the data that it was trained on, split as it was then, or other data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..case import Case, Unit
from ..dataset import DataOptions, Dataset, load
from ..errors import CallError
from ..model_folder import LoadedModel, TrainingRecord
from ..sources import read_labelled


def dataset_of(loaded: LoadedModel, data: str | Path | None = None, options: DataOptions | None = None) -> Dataset:
    """Load what a model is to be evaluated on: `data`, or what it was trained on, its made splits made again.

    Columns that `options` leaves open are those of the training, where other data has them. Other data without a split
    is test rows throughout. `CallError` when rows that the model has learned would come into another split.
    """
    record = None if loaded.card is None else loaded.card.training
    if data is None:
        if record is None or record.data is None:
            raise CallError(f"{loaded.model.name} does not say what data it was trained on: name the data")
        data = record.data
        if not Path(data).exists():
            raise CallError(
                f"{data}, which the model was trained on, is not there: name the data, or where it lies now"
            )
    own = lies_at(record, data)
    stored = DataOptions() if record is None else _stored(record)
    merged = _merged(options or DataOptions(), stored if own else _those_in(data, stored, loaded.contract.unit))
    found = _load(loaded, data, merged, record, whole=not own)
    if own and record is not None and found.sha256 != record.data_sha256 and _columns(merged) != _columns(stored):
        _refuse_learned(found, _load(loaded, data, stored, record, whole=False), data)
    return found


def lies_at(record: TrainingRecord | None, data: str | Path) -> bool:
    """Return whether a path is that of the data that a model was trained on."""
    return record is not None and record.data is not None and Path(record.data).resolve() == Path(data).resolve()


def _load(
    loaded: LoadedModel, data: str | Path, options: DataOptions, record: TrainingRecord | None, *, whole: bool
) -> Dataset:
    return load(
        data,
        options,
        task=loaded.model.task,
        labels=loaded.labels if len(loaded.labels) else None,
        seed=0 if record is None else record.seed,  # a split that the seed made is made again
        unit=loaded.contract.unit,
        learned=None if not whole else "" if record is None else record.data_sha256,
    )


def _stored(record: TrainingRecord) -> DataOptions:
    return DataOptions(
        labels=record.label_columns,
        patient=record.patient_column,
        split=record.split_column,
        mask=record.mask_column,
    )


def _those_in(data: str | Path, stored: DataOptions, unit: Unit) -> DataOptions:
    """The stored columns that the data has; several labels all or none."""
    if stored == DataOptions():
        return stored
    cases = (found for found in read_labelled(data, unit=unit) if isinstance(found, Case))
    first = next(cases, None)
    there = set() if first is None else set(first.row)
    patient, split, mask = (
        column if column in there else None for column in (stored.patient, stored.split, stored.mask)
    )
    labels = stored.labels if set(stored.labels) <= there else ()
    return DataOptions(labels=labels, patient=patient, split=split, mask=mask)


def _merged(named: DataOptions, stored: DataOptions) -> DataOptions:
    """The columns that are named, and for what is not named the stored ones."""
    return replace(
        named,
        labels=named.labels or stored.labels,
        patient=named.patient or stored.patient,
        split=named.split or stored.split,
        mask=named.mask or stored.mask,
    )


def _columns(options: DataOptions) -> tuple[object, ...]:
    return options.labels, options.patient, options.split, options.mask


def _refuse_learned(found: Dataset, before: Dataset, data: str | Path) -> None:
    """Raise `CallError` when a row that was a train row is none by the columns that were named."""
    learned = {case.reference for case in before.of("train").cases}
    moved = sum(case.reference in learned for split in ("val", "test") for case in found.of(split).cases)
    if moved:
        raise CallError(
            f"the model was trained on {data}, and by the columns that are named {moved} of the rows that it has "
            "learned would be measured: leave out the columns that training did not have"
        )
