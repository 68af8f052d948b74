"""What of a source is analysed: data, so that a command line, a configuration and a record can hold it."""

from __future__ import annotations

import fnmatch

import msgspec

from .case import Case


class Selection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The cases that are wanted; an empty field wants them all. What is not wanted is skipped, with the reason.

    `modality`, `body_part` and `view` list code strings, upper case. `description` lists patterns of the Series
    Description (`*` and `?`, without regard to case), of which one must match. `min_slices` counts a volume's slices.
    A case that does not state what is asked for is not wanted.
    """

    modality: tuple[str, ...] = ()
    body_part: tuple[str, ...] = ()
    view: tuple[str, ...] = ()
    description: tuple[str, ...] = ()
    min_slices: int = 1

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
