"""The one way into every source: files, folders, tables and arrays become cases or refusals, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from ..case import Case, Unit
from ..errors import CallError
from ..result import Rejected, Skipped
from ..selection import EVERYTHING, Selection
from .collector import AnySource, Collector, Found, OnRead, Source
from .dicom_geometry import Tilt
from .refusal import name_of
from .table import TableOptions, class_folder_cases


def read(
    source: AnySource,
    unit: Unit = Unit.INSTANCE,
    *,
    options: TableOptions = TableOptions(),  # noqa: B008  # frozen
    extra: Sequence[Source] = (),
    leave_out: Path | None = None,
    select: Selection = EVERYTHING,
    tilt: Tilt = "refuse",
    on_read: OnRead | None = None,
) -> Iterator[Case | Rejected]:
    """Read paths, nodes' studies, arrays, images or cases, or a list of these, as cases of `unit`.

    Pixels are decoded when they are used. `dimse://` and `dicomweb://` name a study as `medplug.nodes.Address` says.

    A folder is walked in sorted order: what holds no image there is `Skipped`, where a named path is `Refused`. With
    `Unit.SERIES`, all DICOM of the call is grouped into series, which come last. Every file stands in at least one
    result, but those below the folder `leave_out`, which a walk does not enter: where results are written. What
    `select` does not want is `Skipped`. `tilt="correct"` takes a series of tilted slices, or of uneven gaps, too.
    `on_read` is told how many files are read, of how many.

    Raises `CallError` for a unit, a source or a table column that does not exist.
    """
    if unit not in list(Unit):
        raise CallError(f"{unit!r} is no unit; {', '.join(Unit)} are")
    if tilt not in get_args(Tilt):
        raise CallError(f"{tilt!r} is nothing to do with a tilted stack; {' or '.join(get_args(Tilt))} is")
    if unit == Unit.STUDY:
        raise CallError("the unit 'study' is not supported; read frames, instances or series")
    several = isinstance(source, Iterable) and not isinstance(source, str | np.ndarray)
    items: Iterable[Any] = source if several else [source]  # type: ignore[assignment]
    leave_out = None if leave_out is None else leave_out.resolve()
    found = Collector(Unit(unit), options, extra, leave_out, tilt, on_read).read(items)
    return found if select == EVERYTHING else map(select_from(select), found)


def select_from(select: Selection) -> Callable[[Found], Found]:
    """What replaces a case that is not wanted by the word that it was left out, and why."""

    def selected(found: Found) -> Found:
        reason = select.leaves_out(found) if isinstance(found, Case) else None
        if reason is None:
            return found
        return Rejected(found.reference, Skipped(reason=f"{found.reference.source}: is left out: {reason}"))

    return selected


def read_labelled(
    source: str | Path,
    options: TableOptions = TableOptions(),  # noqa: B008  # frozen
    *,
    unit: Unit = Unit.INSTANCE,
    extra: Sequence[Source] = (),
) -> Iterator[Case | Rejected]:
    """Read labelled data: a CSV, a MedMNIST `.npz`, or a folder of class folders, whose names become `row["label"]`.

    Raises `CallError` where `source` is none of these.
    """
    path = Path(source)
    if not path.exists():
        raise CallError(f"{name_of(path)} does not exist")
    if path.is_dir():
        return class_folder_cases(
            path,
            lambda folder: read(folder, unit, options=options, extra=extra),
            lambda file: Collector(unit, options, extra).alone(file, walked=True),
        )
    if path.suffix.lower() not in (".csv", ".npz"):
        raise CallError(f"{name_of(path)} is no labelled data: a CSV, a .npz or a folder of class folders is")
    return read(path, unit, options=options, extra=extra)
