"""The section of an evaluation that shows generated images beside the training images nearest to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..case import Case
from ..figures import Evaluation
from .html_page import Section, fill
from .pictures import Shown, try_show

_SIDE = 192


def neighbours_section(evaluation: Evaluation, cases: Iterable[Case]) -> Section:
    """Return the pairs, nearest first; `cases` bring the pictures of the training images."""
    wanted = {one.source for one in evaluation.neighbours}
    shown: Mapping[str, Shown | str] = {
        case.reference.source: try_show(case.image, _SIDE) for case in cases if case.reference.source in wanted
    }
    lead = (
        "Each generated image (left) beside the training image nearest to it, nearest first. A distance of 1 is that "
        "of the median real image from the nearest training image; below a half it is a near copy."
    )
    pairs = [(one, shown.get(one.source)) for one in evaluation.neighbours]
    return Section("Nearest training images", fill("neighbours.html", pairs=pairs), lead)
