"""The rows of a benchmark's data, known by label, patient and split alone: no pixel of a test row is looked at.

Whatever a model is trained and measured on is written as a table of its own, by row numbers. A table that holds no
test row cannot leak one.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...dataset import DataOptions, splits
from ...errors import CallError
from ...sources import TableOptions
from ...sources.refusal import name_of, reading

_FILE_COLUMNS = ("file", "path", "image", "filename")
_HASH_COLUMN = "sha256"

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Rows:
    """The labelled rows of a table: `labels`, `patients` (None where they are not known) and `splits`, each [N]."""

    path: Path
    options: DataOptions
    labels: tuple[str, ...]
    splits: NDArray[np.str_]
    patients: tuple[str, ...] | None
    table: _Csv | _Npz

    def __len__(self) -> int:
        return len(self.labels)

    def of(self, split: str) -> Numbers:
        """Return the numbers of the rows of one split."""
        return np.flatnonzero(self.splits == split).astype(np.int64)

    def content_hashes(self, numbers: Numbers) -> list[str]:
        """Return the SHA-256 of the images of these rows, and of no others.

        `CallError` names the first that is not there, or is not what the table's own column `sha256` says.
        """
        return [self.table.content_sha256(int(number)) for number in numbers]

    def sha256(self, contents: Sequence[str], numbers: Numbers) -> str:
        """Return a hash of these rows: their images, whose hashes are `contents`, labels, patients and splits."""
        digest = hashlib.sha256()
        lines = []
        for content, number in zip(contents, numbers.tolist()):
            patient = "" if self.patients is None else self.patients[number]
            lines.append("\0".join((content, self.labels[number], patient, str(self.splits[number]))))
        for line in sorted(lines):
            digest.update(line.encode() + b"\n")
        return digest.hexdigest()

    def write(self, stem: Path, parts: Mapping[str, Numbers]) -> Path:
        """Write a table of its own with these rows as "train", "val" and "test"; `number_of` finds a row again."""
        stem.parent.mkdir(parents=True, exist_ok=True)
        return self.table.write(stem, parts)

    def number_of(self, parts: Mapping[str, Numbers], split: str, row: int) -> int:
        """Return the number of what is row `row` (`CaseReference.row`) of `split` in a table that `write` made."""
        return int(np.concatenate(list(parts.values()))[row] if self.table.counts_through else parts[split][row])


def read(path: Path, options: DataOptions) -> Rows:
    """Read a CSV, or a MedMNIST `.npz`; only the labels of an `.npz` are read, and no file that a CSV names.

    Rows without a label are left out. `CallError` for data that says not enough to be a benchmark.
    """
    if not path.is_file():
        raise CallError(f"{path} is no file: name a CSV, a MedMNIST .npz, or a data set that medplug knows")
    name = name_of(path)
    if len(options.labels) > 1:
        raise CallError("a benchmark wants one column of labels that shut each other out: name one --label")
    table: _Csv | _Npz = _Npz(path) if path.suffix.lower() == ".npz" else _read_csv(path, name, options)
    label = options.labels[0] if options.labels else "label"
    split = options.split or "split"
    TableOptions(labels=(label,), patient=options.patient, split=split).check(list(table.cells), name)
    known = [number for number, cell in enumerate(table.cells[label]) if cell.strip()]
    if not known:
        raise CallError(f"{name} has no row with a label in column {label!r}")
    table = table.take(known)
    found = splits.parse(table.cells[split], split)
    patients = None
    if options.patient is not None:  # a row without a patient stands for itself
        cells = [cell.strip() for cell in table.cells[options.patient]]
        patients = tuple(cell or f"\0{number}" for number, cell in enumerate(cells))
    return Rows(
        path=path,
        options=DataOptions(labels=(label,), patient=options.patient, split=split),
        labels=tuple(cell.strip() for cell in table.cells[label]),
        splits=found,
        patients=patients,
        table=table,
    )


@dataclass(frozen=True, eq=False)
class _Csv:
    """A CSV by columns; its files lie relative to it."""

    path: Path
    split: str
    file: str
    cells: dict[str, list[str]]
    counts_through = True

    def take(self, numbers: Sequence[int]) -> _Csv:
        cells = {column: [values[number] for number in numbers] for column, values in self.cells.items()}
        return _Csv(self.path, self.split, self.file, cells)

    def content_sha256(self, number: int) -> str:
        cell = self.cells[self.file][number].strip()
        try:
            with (self.path.parent / cell).open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise CallError(f"{cell}, which {name_of(self.path)} names, cannot be read: {error.strerror}") from None
        said = self.cells[_HASH_COLUMN][number].strip().lower() if _HASH_COLUMN in self.cells else ""
        if said and said != found:
            raise CallError(
                f"{cell} was changed: its SHA-256 is {found[:12]} and {name_of(self.path)} says {said[:12]}. "
                "Restore it: figures of other images are not comparable"
            )
        return found

    def write(self, stem: Path, parts: Mapping[str, Numbers]) -> Path:
        path = stem.with_suffix(".csv")
        folder = self.path.parent.resolve()
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(self.cells)
            for name, numbers in parts.items():
                for number in numbers.tolist():
                    row = {column: values[number] for column, values in self.cells.items()}
                    row |= {self.file: str(folder / row[self.file].strip()), self.split: name}
                    writer.writerow(row.values())
        return path


def _read_csv(path: Path, name: str, options: DataOptions) -> _Csv:
    with reading(name), path.open(newline="", encoding="utf-8-sig") as stream:
        lines = list(csv.reader(stream, strict=True))
    columns, rows = (lines[0], lines[1:]) if lines else ([], [])
    file = next((column for column in _FILE_COLUMNS if column in columns), None)
    if file is None or len(set(columns)) < len(columns):
        raise CallError(f"{name} wants one column of each name and one of {', '.join(_FILE_COLUMNS)}; it has {columns}")
    short = next((number for number, row in enumerate(rows) if len(row) != len(columns)), None)
    if short is not None:
        raise CallError(f"{name}, row {short + 1}: has not as many cells as the header")
    cells = {column: [row[place] for row in rows] for place, column in enumerate(columns)}
    return _Csv(path, options.split or "split", file, cells)


class _Npz:
    """MedMNIST's layout. Rows are numbered through train, val and test; images are loaded when first asked for."""

    counts_through = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._images: dict[str, NDArray[Any]] = {}
        with reading(name_of(path)), np.load(path, allow_pickle=False) as file:
            names = [split for split in ("train", "val", "test") if f"{split}_labels" in file.files]
            labels = [np.asarray(file[f"{split}_labels"]) for split in names]
        if not names or any(one.size != len(one) for one in labels):
            raise CallError(f"{name_of(path)} has not one label a row in train_labels, val_labels and test_labels")
        self._places = [(split, row) for split, one in zip(names, labels) for row in range(len(one))]
        self.cells = {
            "split": [split for split, _ in self._places],
            "label": [str(cell) for one in labels for cell in one.reshape(-1).tolist()],
        }

    def take(self, numbers: Sequence[int]) -> _Npz:
        return self  # every row of it has a label

    def content_sha256(self, number: int) -> str:
        return hashlib.sha256(np.ascontiguousarray(self._image(number)).tobytes()).hexdigest()

    def write(self, stem: Path, parts: Mapping[str, Numbers]) -> Path:
        path = stem.with_suffix(".npz")
        arrays: dict[str, Any] = {}
        for name, numbers in parts.items():
            arrays[f"{name}_images"] = np.stack([self._image(number) for number in numbers.tolist()])
            arrays[f"{name}_labels"] = np.array([[self.cells["label"][number]] for number in numbers.tolist()], "U")
        np.savez(path, **arrays)
        return path

    def _image(self, number: int) -> NDArray[Any]:
        split, row = self._places[number]
        if split not in self._images:
            with reading(name_of(self._path)), np.load(self._path, allow_pickle=False) as file:
                self._images[split] = file[f"{split}_images"]
        image: NDArray[Any] = self._images[split][row]
        return image
