"""Tables: a CSV that names files, and folders of class folders."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from ..case import Case, CaseReference
from ..errors import CallError, SourceError
from ..result import Rejected
from .refusal import name_of, reject

_FILE_COLUMNS = ("file", "path", "image", "filename")
_SPLITS = {"train", "val", "valid", "validation", "test"}

ReadFile = Callable[[Path], Iterator[Case | Rejected]]


@dataclass(frozen=True)
class TableOptions:
    """Which columns of a table mean what; every column stands in `Case.row` all the same.

    `labels` and `split` are checked here and used by whoever trains or evaluates; `patient` becomes `Case.patient`,
    and `mask` names a file with the reference segmentation.
    """

    labels: tuple[str, ...] = ()
    patient: str | None = None
    split: str | None = None
    mask: str | None = None

    def check(self, columns: Sequence[str], name: str) -> None:
        """Raise `CallError` for a column that the table `name` lacks."""
        for wanted in (*self.labels, self.patient, self.split, self.mask):
            if wanted is not None and wanted not in columns:
                near = difflib.get_close_matches(wanted, columns, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise CallError(f"{name} has no column {wanted!r}; it has {', '.join(columns)}{hint}")


def table_cases(path: Path, options: TableOptions, read_file: ReadFile) -> Iterator[Case | Rejected]:
    """A case for every row of a CSV with a header; its files lie relative to it.

    Raises `CallError` for a column that is absent and `SourceError` for a file that is no table.
    """
    name = name_of(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            table = csv.DictReader(stream, strict=True)
            columns = list(table.fieldnames or ())
            rows = list(table)
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError("unreadable", f"{name}: is no CSV in UTF-8 ({type(error).__name__})") from None
    file_column = next((column for column in _FILE_COLUMNS if column in columns), None)
    if file_column is None:
        have = ", ".join(columns) or "none"
        parted = ": its columns are parted by semicolons, and commas are wanted" if ";" in have else ""
        raise CallError(f"{name} has no column file, path, image or filename; it has {have}{parted}")
    if len(set(columns)) < len(columns):
        raise CallError(f"{name} has two columns of one name: {', '.join(columns)}")
    options.check(columns, name)
    taken: set[str] = set()
    for index, row in enumerate(rows):
        if None in row or None in row.values():
            reference = CaseReference(source=f"{name}:row/{index}", row=index)
            yield reject(reference, "unreadable", f"{name}, row {index + 1}: has not as many cells as the header")
            continue
        for found in _row_cases(path.parent, name, index, row, file_column, options, read_file):
            reference = found.reference
            if reference.source in taken:  # a file may stand in several rows
                reference = msgspec.structs.replace(reference, source=f"{reference.source}:row/{index}")
            taken.add(reference.source)
            yield replace(found, reference=reference)


def _row_cases(
    folder: Path,
    name: str,
    index: int,
    row: dict[str, str],
    file_column: str,
    options: TableOptions,
    read_file: ReadFile,
) -> Iterator[Case | Rejected]:
    where = f"{name}, row {index + 1}"
    if not row[file_column].strip():
        yield reject(CaseReference(source=f"{name}:row/{index}", row=index), "unreadable", f"{where}: names no file")
        return
    for found in read_file(folder / row[file_column].strip()):
        reference = msgspec.structs.replace(found.reference, row=index)
        if isinstance(found, Rejected):
            outcome = msgspec.structs.replace(found.outcome, reason=f"{where}: {found.outcome.reason}")
            yield Rejected(reference, outcome)
            continue
        patient = found.patient
        if options.patient is not None:
            patient = row[options.patient].strip() or None
        case = replace(found, reference=reference, row=dict(row), patient=patient)
        if options.mask is not None and row[options.mask].strip():
            masks = list(read_file(folder / row[options.mask].strip()))
            if len(masks) != 1 or isinstance(masks[0], Rejected):
                reason = masks[0].outcome.reason if masks and isinstance(masks[0], Rejected) else "holds several images"
                yield reject(reference, "unreadable", f"{where}: its mask: {reason}")
                continue
            case = replace(case, mask=masks[0].image)
        yield case


def class_folder_cases(folder: Path, read_folder: ReadFile, read_file: ReadFile) -> Iterator[Case | Rejected]:
    """The cases of a folder of class folders, each with the folder's name as its label.

    Where all subfolders are called train, val, test or the like, they are splits and hold the class folders.
    Raises `CallError` where there are no class folders.
    """
    subfolders = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    if not subfolders:
        raise CallError(f"{name_of(folder)} holds no class folders; name a CSV, a .npz or a folder of class folders")
    are_splits = {path.name.lower() for path in subfolders} <= _SPLITS
    for path in sorted(folder.iterdir()):
        if not path.is_dir():
            for found in read_file(path):
                if isinstance(found, Case):
                    reason = f"{name_of(path)}: lies in no class folder"
                    yield reject(found.reference, "not-an-image", reason)
                else:
                    yield found
            continue
        below = class_folder_cases(path, read_folder, read_file) if are_splits else read_folder(path)
        columns = {"split": path.name.lower()} if are_splits else {"label": path.name}
        for found in below:
            yield found if isinstance(found, Rejected) else replace(found, row={**found.row, **columns})
