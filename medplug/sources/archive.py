"""Zip archives, read as the files of a folder. Nothing in an archive names a path, and none fills the disk."""

from __future__ import annotations

import re
import shutil
import weakref
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import SourceError
from ..temporary import TemporaryFolder
from .refusal import MAX_IMAGE_BYTES, clean

_MAX_MEMBERS = 200_000
_MAX_BYTES = 2**35  # of all members, inflated
_MAX_RATIO = 200  # of all members to the archive; images are deflated to a half
_SMALL_BYTES = 2**30  # an archive that inflates to less may do so from any size
_SUFFIX = re.compile(r"(\.nii)?\.[a-z0-9]{1,8}$")
_ENCRYPTED = 0x1  # APPNOTE.TXT 4.4.4
_CHUNK_BYTES = 2**20
_SPARE_BYTES = 2**28  # of the temporary folder's disk, which others write to as well


class Unpacked:
    """A member as a file of a name of our own; removed when nothing that was read from it is left."""

    def __init__(self, folder: TemporaryFolder, number: int, suffix: str) -> None:
        self._folder = folder  # which lives as long
        self.path = folder.path / f"{number:06}{suffix}"
        weakref.finalize(self, self.path.unlink, missing_ok=True)


@dataclass(frozen=True, eq=False)
class Member:
    """A file in an archive; `name` is for people: printable, and without steps upwards."""

    name: str
    archive: zipfile.ZipFile
    entry: zipfile.ZipInfo
    refusal: str | None

    def unpack(self, folder: TemporaryFolder, number: int) -> Unpacked:
        """Inflate into `folder`. Raises `SourceError`, or what zipfile raises for a damaged member."""
        if self.refusal is not None:
            raise SourceError("unreadable", f"{self.name}: {self.refusal}")
        if shutil.disk_usage(folder.path).free - self.entry.file_size < _SPARE_BYTES:
            size = f"takes {self.entry.file_size >> 20} MiB unpacked"
            raise SourceError(
                "unreadable",
                f"{self.name}: {size}, which would leave less than {_SPARE_BYTES >> 20} MiB on the disk of the"
                " temporary folder; make room there, or name another in TMPDIR",
            )
        suffix = _SUFFIX.search(self.entry.filename.lower())
        unpacked = Unpacked(folder, number, suffix[0] if suffix else "")
        left = self.entry.file_size
        with self.archive.open(self.entry) as stream, unpacked.path.open("xb") as file:
            while part := stream.read(_CHUNK_BYTES):
                left -= len(part)
                if left < 0:
                    raise SourceError("unreadable", f"{self.name}: is longer than it claims")
                file.write(part)
        return unpacked


def members(archive: zipfile.ZipFile, name: str, archive_bytes: int) -> Iterator[Member]:
    """The files in an archive, in sorted order, each once. Raises `SourceError` where there are too many."""
    entries = sorted((entry for entry in archive.infolist() if not entry.is_dir()), key=lambda entry: entry.filename)
    if len(entries) > _MAX_MEMBERS:
        raise SourceError("unreadable", f"{name}: holds {len(entries)} files, more than {_MAX_MEMBERS}")
    left = min(_MAX_BYTES, max(_SMALL_BYTES, _MAX_RATIO * archive_bytes))
    taken: dict[str, int] = {}
    for entry in entries:
        own = f"{name}:{_harmless(entry.filename)}"
        taken[own] = taken.get(own, 0) + 1
        left -= entry.file_size
        yield Member(own if taken[own] == 1 else f"{own}:{taken[own]}", archive, entry, _refusal(entry, left))


def _harmless(name: str) -> str:
    parts = [part for part in re.split(r"[/\\]", name) if part not in ("", ".", "..")]
    text = "/".join("".join(c if c.isprintable() else "?" for c in part) for part in parts)
    return text if len(text) <= 400 else clean(text, 400)


def _refusal(entry: zipfile.ZipInfo, left: int) -> str | None:
    if entry.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if entry.file_size > MAX_IMAGE_BYTES:
        return f"claims {entry.file_size >> 20} MiB, more than {MAX_IMAGE_BYTES >> 20}"
    if left < 0:
        return "is left out, since its archive inflates to too much"
    return None
