"""Whether a model has learned the rows that it is measured on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..dataset import Dataset
from ..errors import MedplugError
from ..model_folder import LoadedModel
from .measured_data import dataset_of


@dataclass(frozen=True)
class Learned:
    """What is known of it: `warnings` where rows were learned, `notes` where nobody can tell."""

    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def learned(loaded: LoadedModel, who: str, dataset: Dataset, rows: Dataset) -> Learned:
    """Compare the evaluated `rows` of a dataset with the train rows of a model, which is called `who` in words."""
    record = None if loaded.card is None else loaded.card.training
    if record is None:
        return Learned(notes=(f"{who} does not say what it was trained on: it may have learned these rows",))
    if record.data_sha256 == dataset.sha256:
        return _same(who, rows)
    if record.data is None or not Path(record.data).exists():
        return Learned(notes=(f"{who} was trained on other data that is not here: it may have learned these rows",))
    try:
        own = dataset_of(loaded)
    except MedplugError as error:
        return Learned(notes=(f"the data that {who} was trained on cannot be read ({error}): it may hold these rows",))
    known = {_place(case.reference.source) for case in own.of("train").cases}
    met = sum(_place(case.reference.source) in known for case in rows.cases)
    changed = () if own.sha256 == record.data_sha256 else (f"the data that {who} was trained on has changed since",)
    if not met:
        return Learned(notes=changed)
    return Learned((f"{who} was trained on {met} of these {len(rows)} rows: its figures flatter",), changed)


def _same(who: str, rows: Dataset) -> Learned:
    splits = set(rows.splits.tolist())
    if "train" in splits:
        return Learned((f"{who} was trained on these rows: its figures flatter",))
    if "val" in splits:
        return Learned(notes=(f"{who}'s weights, temperature and thresholds were chosen by these rows",))
    return Learned()


def _place(source: str) -> str:
    """The file that a source names, the same however it is written."""
    path = Path(source)
    return str(path.resolve()) if path.exists() else source
