"""Text for DICOM elements: what a header says, checked before it is written again, and what others call things."""

from __future__ import annotations

import math
import re
from collections.abc import MutableSequence
from typing import TYPE_CHECKING, Any

from ..errors import WriterError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_LENGTH = {"SH": 16, "LO": 64, "CS": 16, "AS": 4, "DA": 8, "TM": 16, "DS": 16, "PN": 64}
_FORM = {
    "AS": re.compile(r"\d{3}[DWMY]"),
    "CS": re.compile(r"[A-Z0-9_ ]*"),
    "DA": re.compile(r"\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"),
    "TM": re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?"),
    "DS": re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"),
}
"""Character repertoire and form by VR, PS3.5 6.2."""


def identifying(header: Dataset, keyword: str, name: str) -> str:
    """Return a value by which a patient or a study is known, empty where there is none; `WriterError` if it is broken.

    It is never mended: an object with another identifier would stand beside another patient's images.
    """
    text, valid = _checked(header, keyword)
    if not valid:
        raise WriterError(f"{name}: its {keyword} is not valid (PS3.5 6.2) and cannot be copied; no object was written")
    return text


def spare(header: Dataset, keyword: str) -> str:
    """Return a value that may also be missing: empty where it is absent or not valid."""
    text, valid = _checked(header, keyword)
    return text if valid else ""


def long_string(text: str, length: int = 64) -> str:
    r"""Return any text as a Long String or, with `length` 16, a Short String (PS3.5 6.2): no \, no controls.

    `length` counts bytes of UTF-8: the standard counts characters, and not every reader does.
    """
    plain = "".join(c if c.isprintable() and c != "\\" else " " for c in text).strip()
    if len(plain.encode()) <= length:
        return plain
    while len(plain.encode()) > length - 3:
        plain = plain[:-1]
    return f"{plain.rstrip()}..."


def value_of(header: Dataset, keyword: str) -> Any:
    """Return the value of any element as pydicom gives it; None where it is absent, or pydicom cannot read it."""
    try:
        return header.get(keyword)
    except Exception:  # a header is a stranger's: whatever it does to pydicom, it states nothing
        return None


def numbers(header: Dataset, keyword: str) -> tuple[float, ...]:
    """Return the finite numbers of an element; empty where it is absent or one of them is none."""
    value = value_of(header, keyword)
    try:
        found = tuple(float(one) for one in (value if isinstance(value, MutableSequence) else [value]))
    except (TypeError, ValueError):
        return ()
    return found if all(map(math.isfinite, found)) else ()


def code_strings(header: Dataset, keyword: str) -> tuple[str, ...]:
    """Return the values of a code string (CS, PS3.5 6.2); none where one of them is none."""
    value = value_of(header, keyword)
    texts = tuple(str(one or "").strip() for one in (value if isinstance(value, MutableSequence) else [value]))
    return texts if all(0 < len(one) <= _LENGTH["CS"] and _FORM["CS"].fullmatch(one) for one in texts) else ()


def code_string(header: Dataset, keyword: str) -> str | None:
    """Return the first value of a code string, None where there is none or one is not valid."""
    return next(iter(code_strings(header, keyword)), None)


def _checked(header: Dataset, keyword: str) -> tuple[str, bool]:
    """The text of an element of one value, and whether its VR allows it."""
    from pydicom.datadict import dictionary_VR

    try:
        value = header.get(keyword)
        if isinstance(value, MutableSequence):  # several, where the element has one
            return "", False
        text = "" if value is None else str(value).strip()
    except Exception:  # an encoding or a number that pydicom cannot make sense of
        return "", False
    vr = dictionary_VR(keyword)
    if vr == "PN":
        groups = text.split("=")
        valid = len(groups) <= 3 and all(len(group) <= 64 and group.count("^") <= 4 for group in groups)
    else:
        valid = len(text) <= _LENGTH[vr] and (not text or vr not in _FORM or bool(_FORM[vr].fullmatch(text)))
    # U+FFFD stands for bytes that its character set does not have.
    clean = all(c.isprintable() and c not in "\\\ufffd" for c in text)
    return text, valid and clean
