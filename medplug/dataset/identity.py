"""What a row of a data set is called, and hashes by which data is known again without reading every pixel."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..case import Case
from ..sources.refusal import name_of
from .targets import Targets


def row_name(case: Case, data: Path) -> str:
    """Return a case's name below the data's own folder, the same from wherever the data is read."""
    folder = name_of(data if data.is_dir() else data.parent)
    name = case.reference.source.removeprefix(folder).lstrip("/")
    return name if case.reference.frame is None else f"{name} frame {case.reference.frame}"


def hashes(
    data: Path,
    cases: Sequence[Case],
    targets: Targets,
    patients: NDArray[np.str_] | None,
    splits: NDArray[np.str_],
    mask: str | None,
) -> tuple[str, str]:
    """Return the SHA-256 of the rows in any order and in this order; `mask` is the column with the mask files.

    They cover the name, label, patient and split of each row and the size of its files and of its mask's.
    """
    lines = []
    for row, case in enumerate(cases):
        files = [Path(file) for file in case.reference.files or (case.reference.source,)]
        if mask is not None and case.row.get(mask, "").strip():
            files.append(data.parent / case.row[mask].strip())
        sizes = [file.stat().st_size if file.is_file() else 0 for file in files]
        patient = "" if patients is None else str(patients[row])
        lines.append(repr((row_name(case, data), targets[row].tolist(), patient, str(splits[row]), sizes)))
    tail = str(data.stat().st_size) if data.is_file() and data.suffix.lower() == ".npz" else ""
    unordered, ordered = ("\n".join(one) + tail for one in (sorted(lines), lines))
    return hashlib.sha256(unordered.encode()).hexdigest(), hashlib.sha256(ordered.encode()).hexdigest()
