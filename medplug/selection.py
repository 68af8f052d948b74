"""What of a source is analysed: data, so that a command line, a configuration and a record can hold it."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

import msgspec

from .case import Case
from .errors import CallError
from .modalities import check_modalities


class Selection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The cases that are wanted; an empty field wants them all. What is not wanted is skipped, with the reason.

    `modality`, `body_part` and `view` list code strings, upper case. `description` lists patterns of the Series
    Description (`*` and `?`, without regard to case), of which one must match. `min_slices` counts a volume's slices.
    A case that does not state what is asked for is not wanted. Raises `CallError` for a modality without a term.
    """

    modality: tuple[str, ...] = ()
    body_part: tuple[str, ...] = ()
    view: tuple[str, ...] = ()
    description: tuple[str, ...] = ()
    min_slices: int = 1

    def __post_init__(self) -> None:
        check_modalities(self.modality)

    def leaves_out(self, case: Case) -> str | None:
        """Why a case is not wanted; None where it is."""
        image = case.image
        for name in ("modality", "body_part", "view"):
            wanted, stated = getattr(self, name), getattr(image, name)
            if wanted and stated not in wanted:
                words = name.replace("_", " ")
                return f"its {words} is {stated or 'not stated'}; {' or '.join(wanted)} is selected"
        if self.description and not any(
            fnmatch.fnmatchcase((image.description or "").lower(), pattern.lower()) for pattern in self.description
        ):
            return f"its series is {image.description or 'not described'}; {' or '.join(self.description)} is selected"
        slices = image.shape[0] if len(image.shape) == 3 else 1
        if slices < self.min_slices:
            return f"it has {slices} slices; at least {self.min_slices} are selected"
        return None


EVERYTHING = Selection()


def selection_of(settings: Iterable[str]) -> Selection:
    """The selection that lines as `modality=CT` spell; a name that comes several times lists several values.

    Raises `CallError` for a line that says nothing.
    """
    listed: dict[str, list[str]] = {}
    for setting in settings:
        name, equals, value = (part.strip() for part in setting.partition("="))
        if name not in Selection.__struct_fields__ or not equals or not value:
            known = ", ".join(Selection.__struct_fields__)
            raise CallError(f"{setting!r} selects nothing: write NAME=VALUE; the names are {known}")
        listed.setdefault(name, []).append(value if name == "description" else value.upper())
    slices = listed.pop("min_slices", ["1"])
    if len(slices) > 1 or not slices[0].isdecimal() or int(slices[0]) < 1:
        raise CallError(f"min_slices={','.join(slices)}: want one whole number of at least 1")
    return Selection(min_slices=int(slices[0]), **{name: tuple(values) for name, values in listed.items()})
