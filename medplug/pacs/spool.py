"""The listener's files: whole and on the disk before anybody is told of them, and gone with what named them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import CallError
from .ledger import Ledger


class Spool:
    """A state folder: `queue.sqlite`, `studies/` and `results/` with files named by their content, and `work/`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for part in (self.studies, self.results, self.work):
            part.mkdir(exist_ok=True, mode=0o700)
        _sync(folder)
        _sync(folder.parent)
        self.ledger = Ledger(folder / "queue.sqlite")

    @property
    def studies(self) -> Path:
        """What was received, a folder a study."""
        return self.folder / "studies"

    @property
    def results(self) -> Path:
        """What is to be delivered, a folder a study."""
        return self.folder / "results"

    @property
    def work(self) -> Path:
        """What is being written or answered; nothing in it outlives the process."""
        return self.folder / "work"

    def recover(self) -> None:
        """Remove what a kill has left: nobody was told of it."""
        for left in self.work.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        known = {
            f"{_named(study)}/{sha256}" for study, sha256 in self.ledger.rows("SELECT study, sha256 FROM instance")
        }
        _sweep(self.studies, known)
        rows = self.ledger.rows("SELECT study, sha256 FROM result WHERE sent IS NULL")
        _sweep(self.results, {f"{_named(study)}/{sha256}" for study, sha256 in rows})

    def take(self, study: str, uid: str, parts: tuple[bytes | memoryview, ...], reserve: int) -> bool:
        """Keep an instance: when this returns, it is on the disk. False if it was here before.

        Raises `OSError` where the disk has no more than `reserve` bytes besides, and for whatever else it cannot do.
        """
        digest, size = hashlib.sha256(), 0
        for part in parts:
            digest.update(part)
            size += len(part)
        sha256 = digest.hexdigest()
        if self.ledger.has(study, uid, sha256):
            return False
        if shutil.disk_usage(self.folder).free < size + reserve:
            raise OSError(28, "the disk is as full as it may get")  # ENOSPC
        begun = self.work / f"{sha256}.{os.urandom(4).hex()}.part"
        try:
            with begun.open("xb") as stream:
                for part in parts:
                    stream.write(part)
                stream.flush()
                os.fsync(stream.fileno())
            with self.ledger.lock:
                if self.ledger.has(study, uid, sha256):
                    return False
                publish(begun, self.studies / _named(study) / sha256)
                self.ledger.received(study, uid, sha256)
            return True
        finally:
            begun.unlink(missing_ok=True)

    @contextmanager
    def snapshot(self, study: str) -> Iterator[Path]:
        """A folder for a run, with a study's instances in `study/` as they are now; it is removed at the end."""
        folder = self.work / os.urandom(8).hex()
        try:
            (folder / "study").mkdir(parents=True)
            with self.ledger.lock:
                for sha256 in self.ledger.instances(study):
                    os.link(self.studies / _named(study) / sha256, folder / "study" / f"{sha256}.dcm")
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def keep_results(self, study: str, files: dict[str, Path]) -> dict[str, str]:
        """Put a run's files, by UID, where they wait for delivery; return their SHA-256 by UID."""
        kept = {}
        for uid, file in files.items():
            with file.open("rb") as stream:
                kept[uid] = hashlib.file_digest(stream, "sha256").hexdigest()
                if self.ledger.rows("SELECT 1 FROM result WHERE uid = ? AND sha256 = ? AND sent > 0", uid, kept[uid]):
                    continue  # the destination has it
                os.fsync(stream.fileno())
            publish(file, self.results / _named(study) / kept[uid])
        return kept

    def result(self, study: str, sha256: str) -> Path:
        """The file of a result that waits."""
        return self.results / _named(study) / sha256

    def forget(self, study: str, models: tuple[str, ...], keep: float) -> bool:
        """Remove a study, first from the queue, then from the disk; False, and nothing, if it is not finished now."""
        with self.ledger.lock:
            if not self.ledger.forget(study, models, keep):
                return False
            shutil.rmtree(self.studies / _named(study), ignore_errors=True)
            shutil.rmtree(self.results / _named(study), ignore_errors=True)
            return True

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only listener of this folder as long as the process lives. Raises `CallError` where another is."""
        with (self.folder / "lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CallError(
                    f"state: another listener works in {self.folder}; stop it, or name another folder"
                ) from None
            yield


def publish(file: Path, place: Path) -> None:
    """Give a file that is on the disk its name, so that the name is on the disk as well."""
    if not place.parent.is_dir():
        place.parent.mkdir(mode=0o700, exist_ok=True)
        _sync(place.parent.parent)
    file.rename(place)
    _sync(place.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _named(study: str) -> str:
    """The folder of a study: what a caller sends never names a path."""
    return hashlib.sha256(study.encode()).hexdigest()[:32]


def _sweep(folder: Path, known: set[str]) -> None:
    for owner in folder.iterdir():
        for file in owner.iterdir():
            if f"{owner.name}/{file.name}" not in known:
                file.unlink()
        with suppress(OSError):
            owner.rmdir()  # if nothing is left in it
