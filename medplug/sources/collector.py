"""One reading of sources: each item is taken by its kind, each file once, and what is wrong with one costs no other."""

from __future__ import annotations

import logging
import os
import posixpath
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..case import Case, CaseReference, Image, Unit
from ..errors import CallError, MedplugError, NodeError, SourceError
from ..nodes import is_address, retrieve
from ..result import Refused, Rejected
from ..temporary import TemporaryFolder, keep
from .ahead import made_ahead
from .archive import Member, members
from .one_file import Head, file_cases, head_ahead, head_of, unknown
from .refusal import clean, name_of, quiet, reading, refused, reject, skipped
from .table import TableOptions, table_cases
from .walk import Kind, files_below

if TYPE_CHECKING:
    from .dicom_geometry import Tilt
    from .dicom_instance import Instance

One = str | Path | NDArray[Any] | Image | Case
_LOG = logging.getLogger(__name__)

AnySource = One | Iterable[One]
Found = Case | Rejected
OnRead = Callable[[int, int], None]
"""Told how many files are read, of how many that were named or found so far."""


class Source(Protocol):
    """A third party's reader, asked before medplug's own for every path, named or found in a folder."""

    def accepts(self, source: str) -> bool:
        """Whether this reader reads `source`."""
        ...

    def read(self, source: str, unit: Unit) -> Iterator[Case | Rejected]:
        """Yield the cases of `source`. An exception becomes a refusal of it."""
        ...


class Collector:
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
        self._instances: list[Instance] = []
        self._arrays = 0

    def read(self, items: Iterable[Any]) -> Iterator[Found]:
        """The cases of all items, series last."""
        if isinstance(items, list | tuple) and all(
            isinstance(item, str | Path) and not is_address(item) for item in items
        ):
            yield from self._paths([Path(item) if str(item).strip() else _no_path() for item in items])
        else:
            for item in items:
                yield from self._one(item)
        yield from self._series()

    def _paths(self, paths: Sequence[Path]) -> Iterator[Found]:
        """The cases of all paths, whose files are looked at together, as those of a folder."""
        self._known_of += sum(not path.is_dir() for path in paths)
        for path, head in made_ahead(paths, head_ahead):
            yield from self._named(path, head)
            if not path.is_dir():
                self._tell()

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
        elif is_address(item):
            yield from self._retrieved(item)
        elif isinstance(item, str | Path):
            yield from self._named(Path(item) if str(item).strip() else _no_path())
        else:
            raise CallError(f"a {type(item).__name__} is no source; paths, arrays, images and cases are")

    def _retrieved(self, url: str) -> Iterator[Found]:
        """The cases of a study that a node keeps, as if its instances were files in a folder with the node's name."""
        try:
            with quiet():
                study = retrieve(url)
        except NodeError as error:
            name = url.partition("?")[0]  # what follows may identify a patient
            yield reject(CaseReference(source=name), "unreadable", str(error))
            return
        self._known_of += len(study.files)
        for path, name in study.files:
            if name not in self._seen:
                self._seen.add(name)
                yield from self._guarded(name, True, partial(self._instance, path, name, study.folder))
            self._tell()
        for name in study.missing:
            yield reject(CaseReference(source=name), "unreadable", f"{name}: its archive does not give it")

    def _instance(self, path: Path, name: str, held: object) -> Iterator[Found]:
        return self._images(path, name, True, head_of(path, name), held)

    def _numbered(self, name: str) -> str:
        self._arrays += 1
        return name if self._arrays == 1 else f"{name}-{self._arrays}"

    def _named(self, path: Path, head: Head | None = None) -> Iterator[Found]:
        if path.is_dir() and not self._reader_for(path):
            yield from self._folder(path)
            return
        name = name_of(path)
        if not (os.path.lexists(path) or self._reader_for(path)):
            yield reject(CaseReference(source=name), "unreadable", f"{name}: does not exist")
            return
        yield from self._file(path, walked=False, head=head)

    def _folder(self, path: Path) -> Iterator[Found]:
        files = list(files_below(path, self._leave_out))
        self._known_of += len(files)
        for file, head in made_ahead(files, head_ahead):
            yield from self._file(file, walked=True, head=head)
            self._tell()
        if not files:
            yield skipped(name_of(path), "is an empty folder")

    def _reader_for(self, path: Path) -> Source | None:
        return next((source for source in self._extra if _accepts(source, path)), None)

    def _file(self, path: Path, *, walked: bool, head: Head | None = None) -> Iterator[Found]:
        name = name_of(path)
        if name in self._seen:  # named twice, or named and found: one result
            return
        self._seen.add(name)
        yield from self._guarded(name, walked, partial(self._opened, path, name, walked, head))

    def _guarded(self, name: str, walked: bool, read: Callable[[], Iterator[Found]]) -> Iterator[Found]:
        """What `read` finds in the file `name`; whatever goes wrong becomes its refusal."""
        try:
            yield from read()
        except SourceError as error:
            rejected = refused(CaseReference(source=name), error)
            holds_no_image = isinstance(rejected.outcome, Refused) and rejected.outcome.code == "not-an-image"
            yield skipped(name, str(error).removeprefix(f"{name}: ")) if walked and holds_no_image else rejected
        except MedplugError:
            raise
        except Exception as error:  # a stranger's reader, or a file that vanished or may not be read
            reason = f"{name}: cannot be read ({type(error).__name__}: {clean(error)})"
            yield reject(CaseReference(source=name), "unreadable", reason)

    def _opened(self, path: Path, name: str, walked: bool, head: Head | None) -> Iterator[Found]:
        if (stranger := self._reader_for(path)) is not None:
            yield from stranger.read(str(path), self._unit)
            return
        head = head or head_of(path, name)
        if head.kind is Kind.TABLE and not walked:
            yield from table_cases(path, self._options, self._row_file)
        elif head.kind is Kind.ZIP:
            yield from self._archive(path, name)
        elif head.kind is Kind.DICOMDIR and not walked:
            yield from self._index(path, name)
        else:
            yield from self._images(path, name, walked, head)

    def _images(self, path: Path, name: str, walked: bool, head: Head, held: object = None) -> Iterator[Found]:
        """The cases of one file, and `held`, what it lies in, as long as its pixels may be read."""
        if isinstance(head.instance, SourceError):
            raise head.instance
        if head.instance is not None:
            if held is not None:
                keep(held, head.instance.file)
            if self._unit is Unit.SERIES:
                self._instances.append(head.instance)
                return
            from .dicom_file import cases

            yield from cases(head.instance, self._unit, self._tilt)
            return
        found = file_cases(str(path), name, head.kind, self._unit, self._tilt)
        if found is None:
            raise unknown(name, head.kind, walked=walked)
        for case in found:
            if held is not None:
                for image in case.images.values():
                    keep(held, image.read)
            yield case

    def _archive(self, path: Path, name: str) -> Iterator[Found]:
        with reading(name):
            archive = zipfile.ZipFile(path)
        with archive:
            files = list(members(archive, name, path.stat().st_size))
            self._known_of += len(files)
            folder = TemporaryFolder()
            for number, file in enumerate(files):
                yield from self._guarded(file.name, True, partial(self._member, file, folder, number))
                self._tell()
        if not files:
            yield skipped(name, "is an empty archive")

    def _member(self, file: Member, folder: TemporaryFolder, number: int) -> Iterator[Found]:
        unpacked = file.unpack(folder, number)
        head = head_of(unpacked.path, file.name)
        yield from self._images(unpacked.path, file.name, True, head, unpacked)

    def _index(self, path: Path, name: str) -> Iterator[Found]:
        """The files that a DICOMDIR names."""
        from .dicomdir import referenced_files

        named = list(referenced_files(path, name))
        yield skipped(name, f"is an index, of {len(named)} files")
        self._known_of += len(named)
        for file in named:
            if isinstance(file, Path):
                yield from self._file(file, walked=True)
            else:
                source = f"{posixpath.dirname(name) or '.'}/{file[0]}"
                yield reject(CaseReference(source=source), "unreadable", f"{source}: {file[1]}")
            self._tell()

    def _tell(self) -> None:
        self._done += 1
        if self._on_read is not None:
            self._on_read(self._done, self._known_of)

    def _row_file(self, path: Path) -> Iterator[Found]:
        """A file that a table names: a table in a table is none, and rows may share a file."""
        if path.suffix.lower() == ".csv":
            name = name_of(path)
            return iter([reject(CaseReference(source=name), "not-an-image", f"{name}: is a table, no image")])
        return Collector(self._unit, self._options, self._extra, None, self._tilt).alone(path, walked=False)


def _no_path() -> Path:
    raise CallError("a source is an empty path; write . for the current folder")


def _accepts(source: Source, path: Path) -> bool:
    """Ask a third party's reader; one that raises reads nothing, and the path goes the usual way."""
    try:
        return bool(source.accepts(str(path)))
    except Exception:
        _LOG.warning("%s.accepts raised and is not asked about %s", type(source).__name__, path.name, exc_info=True)
        return False
