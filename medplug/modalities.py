"""The modalities that DICOM has terms for: what a person asks for is held against them, what a file says is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache

from .errors import CallError

_RETIRED = (  # of old files
    *("AS", "CD", "CF", "CP", "CS", "DD", "DF", "DM", "DS", "EC", "FA", "FS", "LP", "MA", "MS", "OPR", "ST", "VF"),
)
_X_RAY = ("CR", "DX", "RG")
_MEANT = {"X": _X_RAY, "XR": _X_RAY, "XRAY": _X_RAY, "RX": _X_RAY, "CXR": _X_RAY, "DR": _X_RAY, "PET": ("PT",)}
_MOST = 4


@cache
def modalities() -> Mapping[str, str]:
    """Return the defined terms of Modality and their meaning, PS3.3 C.7.3.1.1.1, by pydicom's list (CID 33)."""
    from pydicom.sr.codedict import codes

    terms = [getattr(codes.cid33, keyword) for keyword in codes.cid33.dir()]
    return {term.value: term.meaning for term in terms} | dict.fromkeys(_RETIRED, "retired")


def check_modalities(asked: Iterable[str]) -> None:
    """Raise `CallError` for a modality that no image can have, with the terms that may have been meant."""
    for one in asked:
        if one not in modalities():
            near = ", ".join(f"{term} ({modalities()[term]})" for term in _near(one))
            raise CallError(
                f"{one!r} is no modality that DICOM has a term for (PS3.3 C.7.3.1.1.1), so no image would have it; "
                + (f"did you mean {near}?" if near else "CT, MR, CR, DX, MG, US, NM, PT and XA are some of the terms")
            )


def _near(asked: str) -> tuple[str, ...]:
    """The terms that somebody may have meant: the same letters, the words for it, or nearly the same letters."""
    upper = asked.strip().upper()
    if upper in modalities():
        return (upper,)
    plain = upper.replace("-", "").replace(" ", "")
    if plain in _MEANT:
        return _MEANT[plain]
    current = {term: meaning for term, meaning in modalities().items() if term not in _RETIRED}
    meant = [term for term, meaning in current.items() if len(plain) > 3 and upper in meaning.upper()]
    return tuple((meant or get_close_matches(plain, current, _MOST, 0.6))[:_MOST])
