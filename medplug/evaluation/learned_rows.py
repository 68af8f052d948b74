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


def learned(loaded: LoadedModel, who: str, dataset: Dataset, rows: Dataset, data: str | Path | None = None) -> Learned:
    """Compare the evaluated `rows` of a dataset with the train rows of a model, which is called `who` in words.

    `data` is where the dataset was read from: other data shares rows when it lies there too.
    """
    record = None if loaded.card is None else loaded.card.training
    if record is None:
        return Learned(notes=(f"{who} does not say what it was trained on: it may have learned these rows",))
    if record.data_sha256 == dataset.sha256:
        return _same(who, rows)
    if data is None or record.data is None or not Path(record.data).exists():
        return Learned(notes=(f"{who} was trained on other data that is not here: it may have learned these rows",))
    try:
        own = dataset_of(loaded)
    except MedplugError:  # whose words may name patients, and this is stored
        return Learned(notes=(f"the data that {who} was trained on cannot be read any more: it may hold these rows",))
    known = {case.reference for case in own.of("train").cases}
    met = sum(case.reference in known for case in rows.cases) if _home(data) == _home(record.data) else 0
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


def _home(data: str | Path) -> Path:
    """The folder that the names of rows start from."""
    path = Path(data).resolve()
    return path if path.is_dir() else path.parent
