"""Files that live as long as somebody may read them."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path


class TemporaryFolder:
    """A folder that only its owner may enter; removed when nobody holds this any more."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="medplug-"))
        weakref.finalize(self, shutil.rmtree, str(self.path), ignore_errors=True)


def keep(held: object, reader: object) -> None:
    """Keep `held` as long as `reader` lives, which reads from it."""
    weakref.finalize(reader, _held, held)


def _held(held: object) -> None:
    """Nothing: it is enough that the argument was held until now."""
