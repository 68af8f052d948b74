"""DIMSE's status codes in words."""

from __future__ import annotations


def in_words(status: int) -> str:
    """A C-STORE's status as PS3.4 B.2.3 and PS3.7 Annex C call it."""
    from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS

    category, text = STORAGE_SERVICE_CLASS_STATUS.get(status, ("Failure", "unknown status"))
    return f"0x{status:04X} {text or category}"
