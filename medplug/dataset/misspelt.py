"""Labels that may be another one, misspelt: a classifier would learn them as of their own."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

_HARDLY_ANY = 3
_ALIKE = 0.8


def misspelt(counts: Mapping[str, int]) -> list[str]:
    """Return a note for each label of at most three rows that is written almost as one of ten times as many."""
    return [
        f"the label {rare!r} stands in {rows} of {sum(counts.values())} rows, and is learned as one of its own; "
        f"if {near!r} is meant, write it so in the data"
        for rare, rows in counts.items()
        if rows <= _HARDLY_ANY and not _numbered(rare)
        for near in _near(rare, [label for label, others in counts.items() if others >= 10 * rows])
    ]


def _near(rare: str, often: list[str]) -> list[str]:
    folded = {label.casefold(): label for label in often}
    return [folded[near] for near in get_close_matches(rare.casefold(), folded, 1, _ALIKE)]


def _numbered(label: str) -> bool:
    return any(letter.isdigit() for letter in label)  # grade 1 is no misspelt grade 2
