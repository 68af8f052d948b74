"""When each DICOM object was first made: the one thing of an object that does not follow from what it says."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import Path

from .. import state
from ..errors import WriterError

RECORD = "objects.sqlite"
_WAIT = 60.0  # seconds for another process to finish its entry, which takes milliseconds


class ObjectRecord:
    """SHA-256 of an object's content -> the moment of its first making, in `objects.sqlite` of the state folder.

    Every process of this machine that asks for one digest gets one moment, whoever asks first. Raises `WriterError`.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._path = (folder or state.folder()) / RECORD

    def moment(self, digest: str, now: datetime | None = None) -> datetime:
        """Return when the content `digest` was first made, in local time: now, if it never was."""
        moment = (now or datetime.now()).isoformat(timespec="microseconds")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            connection = sqlite3.connect(self._path, timeout=_WAIT, isolation_level=None)
            try:
                # One writer at a time, from before the look: no two processes may both find nothing.
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("CREATE TABLE IF NOT EXISTS objects (digest TEXT PRIMARY KEY, moment TEXT NOT NULL)")
                connection.execute("INSERT OR IGNORE INTO objects VALUES (?, ?)", (digest, moment))
                [(found,)] = connection.execute("SELECT moment FROM objects WHERE digest = ?", (digest,))
                connection.execute("COMMIT")
            finally:
                connection.close()
            return datetime.fromisoformat(found)
        except (sqlite3.Error, OSError, ValueError) as error:
            raise WriterError(
                f"the record of objects {self._path} cannot be used: {error}. "
                f"Free it, or name another folder in {state.ENVIRONMENT}; objects made anew then get other UIDs"
            ) from error
