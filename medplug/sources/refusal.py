"""How a source refuses: in short and harmless words, and without strangers' warnings or errors."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..case import CaseReference
from ..errors import MedplugError, SourceError
from ..result import RefusalCode, Refused, Rejected, Skipped

MAX_IMAGE_BYTES = 2**31
"""No image may decode to more than this: a few bytes in a header can claim any size."""

_PYDICOM_LOG = logging.getLogger("pydicom")
_quiet_lock = threading.Lock()
_quiet_depth = 0
_quiet_context: warnings.catch_warnings[None] | None = None


@contextmanager
def quiet() -> Iterator[None]:
    """Hide warnings: what pydicom and Pillow warn about is either harmless or found by our own checks.

    pydicom logs its warnings too, and they quote the file: a patient's name, say. Counts its users, because
    `warnings.catch_warnings` alone would restore another thread's filters.
    """
    global _quiet_depth, _quiet_context
    with _quiet_lock:
        if _quiet_depth == 0:
            _quiet_context = warnings.catch_warnings()
            _quiet_context.__enter__()
            warnings.simplefilter("ignore")
            _PYDICOM_LOG.disabled = True
        _quiet_depth += 1
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_depth -= 1
            if _quiet_depth == 0 and _quiet_context is not None:
                _PYDICOM_LOG.disabled = False
                _quiet_context.__exit__(None, None, None)
                _quiet_context = None


def clean(text: object, limit: int = 120) -> str:
    """`text` as printable ASCII on one line and at most `limit` long: it may come from a hostile file."""
    plain = "".join(c if " " <= c <= "~" else "?" for c in str(text)[: limit + 1])
    return plain if len(plain) <= limit else plain[: limit - 3] + "..."


def name_of(path: str | Path) -> str:
    """The path as text that JSON can hold, whatever bytes the file system has in it."""
    return os.fsencode(path).decode("utf-8", "replace")


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Read the source `name` quietly: whatever goes wrong inside becomes a `SourceError` that names it."""
    try:
        with quiet():
            yield
    except SourceError as error:
        if str(error).startswith(f"{name}: "):
            raise
        raise SourceError(error.code, f"{name}: {error}") from None
    except MedplugError:
        raise
    except MemoryError:
        raise SourceError("unreadable", f"{name}: needs more memory than there is") from None
    except RecursionError:
        raise SourceError("unreadable", f"{name}: is nested too deeply") from None
    except Exception as error:
        # The text of a foreign error may quote the file.
        reason = f"{name}: cannot be read ({type(error).__name__}: {clean(error)})"
        raise SourceError("unreadable", reason) from error


def refused(reference: CaseReference, error: SourceError) -> Rejected:
    """The refusal that `error` becomes."""
    return reject(reference, error.code, str(error))  # type: ignore[arg-type]  # SourceError holds a RefusalCode


def reject(reference: CaseReference, code: RefusalCode, reason: str) -> Rejected:
    """A refusal of `reference`."""
    return Rejected(reference, Refused(code=code, reason=reason))


def skipped(name: str, reason: str) -> Rejected:
    """A file that a walk found and that holds no image."""
    return Rejected(CaseReference(source=name), Skipped(reason=f"{name}: {reason}"))
