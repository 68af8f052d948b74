"""A folder of numbered files that becomes visible at once, and replaces what an earlier run left there."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path


class Staging:
    """Files for `folder`/`name`, collected out of sight; their names are made from a number, never from input."""

    def __init__(self, folder: Path, name: str, suffix: str) -> None:
        self.folder = folder / name
        self.suffix = suffix
        self._hidden = folder / f".{name}.{os.getpid()}.part"
        self._own = re.compile(rf"\d{{6,}}(-[a-z0-9-]+)?{re.escape(suffix)}")

    def file(self, number: int, kind: str = "") -> str:
        """Return the file's name, relative to the run's folder: `name`/000001-kind.suffix."""
        stem = f"{number:06d}-{kind}" if kind else f"{number:06d}"
        return f"{self.folder.name}/{stem}{self.suffix}"

    def put(self, file: str, content: bytes) -> None:
        """Write a file that `file` named."""
        self._hidden.mkdir(exist_ok=True)
        (self._hidden / Path(file).name).write_bytes(content)

    def publish(self) -> None:
        """Move the files to their place; an earlier run's are removed, and nothing else is touched."""
        made = sorted(self._hidden.iterdir()) if self._hidden.is_dir() else []
        self.clear()
        if made:
            self.folder.mkdir(exist_ok=True)
        for file in made:
            file.replace(self.folder / file.name)
        self.discard()

    def clear(self) -> None:
        """Remove an earlier run's files, and their folder if nothing else is in it."""
        if not self.folder.is_dir():
            return
        for old in self.folder.iterdir():
            if self._own.fullmatch(old.name):
                old.unlink()
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def discard(self) -> None:
        """Forget everything that has not been published."""
        shutil.rmtree(self._hidden, ignore_errors=True)
