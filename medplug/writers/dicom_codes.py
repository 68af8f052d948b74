"""Coded concepts (PS3.3 8.8) for what a model names: its own codes, or private ones of the scheme 99MEDPLUG."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from ..model import Labels
from .dicom_text import long_string

if TYPE_CHECKING:
    from highdicom.sr import CodedConcept

SCHEME = "99MEDPLUG"


def concept(value: str, scheme: str, meaning: str) -> CodedConcept:
    """Return a coded concept; texts are cut to what Code Value (SH) and Code Meaning (LO) hold."""
    from highdicom.sr import CodedConcept

    return CodedConcept(value, long_string(scheme, 16), long_string(meaning) or "unnamed")


def private(name: str, kind: str) -> CodedConcept:
    """Return the private code of something that a model names: its value follows from kind and name."""
    value = hashlib.sha256(f"{kind}:{name}".encode()).hexdigest()[:12].upper()
    return concept(f"{kind[:3].upper()}-{value}", SCHEME, name)


def finding(labels: Labels, name: str) -> CodedConcept:
    """Return a label's code as `labels.codes` gives it, or its private one."""
    code = labels.codes.get(name)
    return private(name, "label") if code is None else concept(code.value, code.scheme, code.meaning)


def scheme_of_private_codes() -> list[Any]:
    """Return the Coding Scheme Identification (PS3.3 C.12.1.1) that says whose 99MEDPLUG is."""
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    return [
        CodingSchemeIdentificationItem(SCHEME, name="Names that medplug models use", responsible_organization="medplug")
    ]
