"""A DICOMDIR, PS3.3 Annex F: the index of a medium, and the files below its folder that it names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

from .dicom_header import read_header
from .dicom_values import stated
from .refusal import clean, reading

_INACTIVE = 0  # Record In-use Flag, PS3.3 F.3.2.2: the record was deleted, and its place may be used again

Missing = tuple[str, str]
"""What a record names, and why it is no file."""


def referenced_files(path: Path, name: str) -> Iterator[Path | Missing]:
    """The files that the records in use name, in order. Raises `SourceError`, which names the DICOMDIR."""
    with reading(name):
        records = stated(read_header(str(path)).dataset, "DirectoryRecordSequence") or ()
        used = [record for record in records if stated(record, "RecordInUseFlag") != _INACTIVE]
        named = [_components(stated(record, "ReferencedFileID")) for record in used]
    folder = path.parent
    listing = cache(_listing)
    for components in named:
        if components:
            yield _file(folder, components, listing)


def _components(value: object) -> tuple[str, ...]:
    """The folders and the file that a File ID is, PS3.10 8.2."""
    if not value:
        return ()
    parts = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return tuple(str(part).strip() for part in parts)


def _listing(folder: Path) -> dict[str, str]:
    """The names in a folder by their upper case: a DICOMDIR's are upper case, and media are often copied to lower."""
    try:
        return {entry.name.upper(): entry.name for entry in folder.iterdir()}
    except OSError:
        return {}


def _file(folder: Path, components: tuple[str, ...], listing: Callable[[Path], dict[str, str]]) -> Path | Missing:
    shown = "/".join(clean(part, 64) for part in components)
    if any(part in ("", ".", "..") or set(part) & set("/\\\0") for part in components):
        return shown.replace("..", "__"), "is no File ID: the DICOMDIR may name files below its folder"
    at = folder
    for part in components:
        at = at / (part if (at / part).exists() else listing(at).get(part.upper(), part))
    if not at.resolve().is_relative_to(folder.resolve()):
        return shown, "lies outside the DICOMDIR's folder"
    if not at.is_file():
        return shown, "is named by the DICOMDIR, and is not there"
    return at
