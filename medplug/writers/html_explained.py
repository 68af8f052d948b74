"""The section about a model's maps of where it looked: what they were held against, and examples."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..case import Image
from ..evaluation.explanation_figures import CONTROLS, Checked, Example
from ..figures import Explained, Figure, Perturbed
from .html_page import Section, fill, number
from .pictures import Shown, heat, outlines, try_show

_SIDE = 320
_OUTLINE = np.array([(45, 212, 191)], np.uint8)


@dataclass(frozen=True)
class _Row:
    """One example: each picture is a caption, the image below and what lies over it."""

    pictures: tuple[tuple[str, Shown, tuple[str, ...]], ...]
    said: str
    source: str


def explained_section(checked: Checked) -> Section:
    """Return the section; a volume's pictures show the slice through the middle of the lesion."""
    explained = checked.explained
    notes = [] if explained.figures else [_too_few(explained)]
    if explained.figures:
        alike = explained.figure("rank correlation", CONTROLS[-1])
        notes.append(
            f"The rank correlation of a map with that of shuffled weights is {alike.value:.2f}{_between(alike)}: near "
            "1 it would show the image, not what was learnt."
        )
    body = fill(
        "explained.html",
        warnings=checked.warnings,
        rows=_rows(explained),
        scores=_scores(explained.perturbed),
        scored="" if explained.perturbed is None else _scored(explained.perturbed),
        notes=notes,
        examples=[row for row in map(_row, checked.examples) if row is not None],
    )
    lead = (
        f"Maps by {explained.method}. A synthetic lesion was planted into {explained.rows} rows; in "
        f"{explained.planted} it tripled the odds of a label, and the map for that label should be highest inside it."
    )
    return Section("Explanations", body, lead)


def _rows(explained: Explained) -> list[tuple[str, str, str, str]]:
    if not explained.figures:
        return []
    rows = [_line("the model's map", explained.figure("pointing hit"), None)]
    for control in CONTROLS:
        above = explained.figure("hit above control", control)
        rows.append(_line(control, explained.figure("pointing hit", control), above))
    return rows


def _scores(perturbed: Perturbed | None) -> list[tuple[str, list[str]]]:
    """A line for the map and for each control: deletion, by how much the map's is lower, insertion, and so on."""
    if perturbed is None or not perturbed.figures:
        return []
    told = {(one.name, one.label): f"{one.value:.3f}{_between(one)}" for one in perturbed.figures}
    names = ("deletion", "deletion below control", "insertion", "insertion above control")
    labels = dict.fromkeys(one.label for one in perturbed.figures)
    return [
        ("the model's map" if label is None else label, [told.get((name, label), "") for name in names])
        for label in labels
    ]


def _scored(perturbed: Perturbed) -> str:
    if not perturbed.figures:
        return "No row could be scored by deletion and insertion."
    return (
        f"Deletion and insertion (Petsiuk et al. 2018) on {perturbed.rows} rows as they are, in {perturbed.steps} "
        "steps: the mean probability of the label that was given while what the map calls important is painted out "
        "first (lower is better), or shown first in a blurred image (higher is better). They are no proof: the altered "
        "images are none that the model has learned, and where what matters lies in the middle, a centred blob does as "
        "well as a map."
    )


def _line(name: str, rate: Figure, above: Figure | None) -> tuple[str, str, str, str]:
    said = "" if above is None else f"{above.value:+.3f}{_between(above)}"
    return name, f"{rate.value:.3f}", _between(rate).strip(" ()"), said


def _between(figure: Figure) -> str:
    return "" if figure.low is None or figure.high is None else f" ({figure.low:.3f} to {figure.high:.3f})"


def _too_few(explained: Explained) -> str:
    return (
        f"Only {explained.planted} of {number(explained.rows)} planted lesions moved an answer: "
        "that is too few to say how well the maps point."
    )


def _row(example: Example) -> _Row | None:
    image, mask = example.case.image, example.mask
    maps = [example.map, example.shuffled, example.blob]
    if mask.ndim == 3:
        middle = int(mask.sum(axis=(1, 2)).argmax())
        image, mask, maps = _slice(image, middle), mask[middle], [one[middle] for one in maps]
    shown = try_show(image, _SIDE)
    if isinstance(shown, str):
        return None
    lesion = outlines(mask.astype(np.uint8), shown.size, _OUTLINE)
    captions = (f"the map for {example.label}", "with shuffled weights", "a centred blob")
    pictures: list[tuple[str, Shown, tuple[str, ...]]] = [("the planted lesion", shown, (lesion,))]
    pictures += [(caption, shown, (heat(one, 0.0, 1.0), lesion)) for caption, one in zip(captions, maps, strict=True)]
    said = "The map points into the lesion." if example.hit else "The map points beside the lesion."
    return _Row(tuple(pictures), said, example.case.reference.source)


def _slice(image: Image, index: int) -> Image:
    """One slice of a volume, as an image of its own."""
    pixels: NDArray[np.generic] = image.read()[:, index]
    spacing = None if image.spacing is None else image.spacing[1:]
    return replace(
        image,
        shape=image.shape[1:],
        read=lambda: pixels,
        spacing=spacing,
        imager_spacing=None,
        to_patient=None,
        frames=(),
    )
