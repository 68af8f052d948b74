"""The one way into every source: files, folders, tables and arrays become cases or refusals, and nothing is lost."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from ..case import Case, CaseReference, Image, Unit
from ..errors import CallError, MedplugError, SourceError
from ..result import Refused, Rejected, Skipped
from ..selection import EVERYTHING, Selection
from .ahead import made_ahead
from .dicom_geometry import Tilt
from .refusal import clean, name_of, refused, reject, skipped
from .table import TableOptions, class_folder_cases, table_cases
from .walk import Kind, files_below, kind_of

if TYPE_CHECKING:
    from .dicom_file import Instance

One = str | Path | NDArray[Any] | Image | Case
_LOG = logging.getLogger(__name__)

AnySource = One | Iterable[One]
Found = Case | Rejected
OnRead = Callable[[int, int], None]
"""Told how many files of the folders that were named are read, of how many that were found so far."""

_KNOWN = "DICOM, PNG, JPEG, TIFF, .npy, .npz and .csv are read"


class Source(Protocol):
    """A third party's reader, asked before medplug's own for every path, named or found in a folder."""

    def accepts(self, source: str) -> bool:
        """Whether this reader reads `source`."""
        ...

    def read(self, source: str, unit: Unit) -> Iterator[Case | Rejected]:
        """Yield the cases of `source`. An exception becomes a refusal of it."""
        ...


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
    """Read paths, arrays, images or cases, or a list of these, as cases of `unit`; pixels are decoded when used.

    A folder is walked in sorted order: what holds no image there is `Skipped`, where a named path is `Refused`. With
    `Unit.SERIES`, all DICOM of the call is grouped into series, which come last. Every file stands in at least one
    result, but those below the folder `leave_out`, which a walk does not enter: where results are written. What
    `select` does not want is `Skipped`. `tilt="correct"` takes a series of tilted slices, or of uneven gaps, too.
    `on_read` is told how far folders are read.

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
    found = _Reader(Unit(unit), options, extra, leave_out, tilt, on_read).read(items)
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
            lambda file: _Reader(unit, options, extra).alone(file, walked=True),
        )
    if path.suffix.lower() not in (".csv", ".npz"):
        raise CallError(f"{name_of(path)} is no labelled data: a CSV, a .npz or a folder of class folders is")
    return read(path, unit, options=options, extra=extra)


@dataclass(frozen=True, eq=False)
class _Head:
    """What the beginning of a file says: its kind, and for DICOM the instance, or why there is none."""

    kind: Kind
    instance: Instance | SourceError | None = None


class _Reader:
    """One call of `read`: what it shares over all its sources."""

    def __init__(
        self,
        unit: Unit,
        options: TableOptions,
        extra: Sequence[Source],
        leave_out: Path | None = None,
        tilt: Tilt = "refuse",
        on_read: OnRead | None = None,
    ) -> None:
        self._unit, self._options, self._extra, self._leave_out = unit, options, extra, leave_out
        self._tilt = tilt
        self._on_read, self._done, self._known_of = on_read, 0, 0
        self._seen: set[str] = set()
        self._instances: list[Any] = []
        self._arrays = 0

    def read(self, items: Iterable[Any]) -> Iterator[Found]:
        for item in items:
            yield from self._one(item)
        yield from self._series()

    def alone(self, path: Path, *, walked: bool) -> Iterator[Found]:
        """The cases of one path, named or found, its series included."""
        yield from self._file(path, walked=True) if walked else self._named(path)
        yield from self._series()

    def _series(self) -> Iterator[Found]:
        if self._instances:
            from .dicom_series import series_cases

            yield from series_cases(self._instances, self._tilt)

    def _one(self, item: Any) -> Iterator[Found]:
        if isinstance(item, Case):
            yield item
        elif isinstance(item, Image):
            yield Case(CaseReference(source=self._numbered("image")), {"image": item})
        elif isinstance(item, np.ndarray):
            from .arrays import from_array

            yield from_array(item, name=self._numbered("array"))
        elif isinstance(item, str | Path):
            if not str(item).strip():
                raise CallError("a source is an empty path; write . for the current folder")
            yield from self._named(Path(item))
        else:
            raise CallError(f"a {type(item).__name__} is no source; paths, arrays, images and cases are")

    def _numbered(self, name: str) -> str:
        self._arrays += 1
        return name if self._arrays == 1 else f"{name}-{self._arrays}"

    def _named(self, path: Path) -> Iterator[Found]:
        if path.is_dir() and not self._reader_for(path):
            yield from self._folder(path)
            return
        name = name_of(path)
        if not (os.path.lexists(path) or self._reader_for(path)):
            yield reject(CaseReference(source=name), "unreadable", f"{name}: does not exist")
            return
        yield from self._file(path, walked=False)

    def _folder(self, path: Path) -> Iterator[Found]:
        files = list(files_below(path, self._leave_out))
        self._known_of += len(files)
        for file, head in made_ahead(files, _head):
            yield from self._file(file, walked=True, head=head)
            self._done += 1
            if self._on_read is not None:
                self._on_read(self._done, self._known_of)
        if not files:
            yield skipped(name_of(path), "is an empty folder")

    def _reader_for(self, path: Path) -> Source | None:
        return next((source for source in self._extra if _accepts(source, path)), None)

    def _file(self, path: Path, *, walked: bool, head: _Head | None = None) -> Iterator[Found]:
        name = name_of(path)
        if name in self._seen:  # named twice, or named and found: one result
            return
        self._seen.add(name)
        try:
            if (stranger := self._reader_for(path)) is not None:
                yield from stranger.read(str(path), self._unit)
            else:
                yield from self._known(path, name, walked=walked, head=head or _Head(_kind(path, name)))
        except SourceError as error:
            rejected = refused(CaseReference(source=name), error)
            holds_no_image = isinstance(rejected.outcome, Refused) and rejected.outcome.code == "not-an-image"
            yield skipped(name, str(error).removeprefix(f"{name}: ")) if walked and holds_no_image else rejected
        except MedplugError:
            raise
        except Exception as error:  # a stranger's reader, or a file that vanished or may not be read
            reason = f"{name}: cannot be read ({type(error).__name__}: {clean(error)})"
            yield reject(CaseReference(source=name), "unreadable", reason)

    def _known(self, path: Path, name: str, *, walked: bool, head: _Head) -> Iterator[Found]:
        kind = head.kind
        if kind is Kind.DICOM:
            from .dicom_file import cases, read_instance

            instance = head.instance or read_instance(str(path), name)
            if isinstance(instance, SourceError):
                raise instance
            if self._unit is Unit.SERIES:
                self._instances.append(instance)
            else:
                yield from cases(instance, self._unit, self._tilt)
        elif kind is Kind.PICTURE:
            from .picture import picture_cases

            yield from picture_cases(str(path), name, self._unit)
        elif kind is Kind.NPY:
            from .arrays import npy_cases

            yield from npy_cases(str(path), name)
        elif kind is Kind.NPZ:
            from .arrays import npz_cases

            yield from npz_cases(str(path), name)
        elif kind is Kind.TABLE and not walked:
            yield from table_cases(path, self._options, self._row_file)
        elif kind is Kind.CLAIMED or not walked:
            raise SourceError("unreadable", f"{name}: is no image that is read here, or a damaged one; {_KNOWN}")
        else:
            raise SourceError("not-an-image", f"{name}: holds no image")

    def _row_file(self, path: Path) -> Iterator[Found]:
        """A file that a table names: a table in a table is none, and rows may share a file."""
        if path.suffix.lower() == ".csv":
            name = name_of(path)
            return iter([reject(CaseReference(source=name), "not-an-image", f"{name}: is a table, no image")])
        return _Reader(self._unit, self._options, self._extra).alone(path, walked=False)


def _kind(path: Path, name: str) -> Kind:
    if path.is_symlink() and path.is_dir():  # it may lead to where it lies
        raise SourceError("not-an-image", f"{name}: is a link to a folder, which is not followed")
    if path.is_dir():
        raise SourceError("unreadable", f"{name}: is a folder that cannot be listed")
    if not path.is_file():  # opening a pipe would wait for ever
        raise SourceError("not-an-image", f"{name}: is no regular file")
    return kind_of(path)


def _head(path: Path) -> _Head | None:
    """What is read ahead of a file, in a thread; None where the file's own turn will say what is wrong."""
    name = name_of(path)
    try:
        kind = _kind(path, name)
    except (SourceError, OSError):
        return None
    if kind is not Kind.DICOM:
        return _Head(kind)
    from .dicom_file import read_instance

    try:
        return _Head(kind, read_instance(str(path), name))
    except SourceError as error:
        return _Head(kind, error)


def _accepts(source: Source, path: Path) -> bool:
    """Ask a third party's reader; one that raises reads nothing, and the path goes the usual way."""
    try:
        return bool(source.accepts(str(path)))
    except Exception:
        _LOG.warning("%s.accepts raised and is not asked about %s", type(source).__name__, path.name, exc_info=True)
        return False
