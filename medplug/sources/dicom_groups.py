"""What one series holds: localisers beside a stack, and several volumes in one place; told apart, never guessed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .dicom_geometry import MIN_SLICES, Plane, same_places

Marks = Mapping[str, str]
"""The elements by which slices of one place may differ, as text."""

_CROSSING_DEGREES = 10.0
"""How far a localiser's plane is turned at least: far above what slices of one stack differ by."""


@dataclass(frozen=True)
class Group:
    """Which slices form a volume; `mark` says by which elements, and which of their values, it differs from others."""

    slices: tuple[int, ...]
    mark: str = ""


def beside_the_stack(planes: Sequence[Plane], marks: Sequence[Marks]) -> dict[int, str]:
    """The slices that are localisers, and why: none, unless a stack is left."""
    apart = {n: "its Image Type is LOCALIZER" for n, one in enumerate(marks) if _is_localiser(one)}
    by_direction: list[list[int]] = []
    for n, plane in enumerate(planes):
        if n in apart:
            continue
        for alike in by_direction:
            if not _cross(planes[alike[0]], plane):
                alike.append(n)
                break
        else:
            by_direction.append([n])
    if sum(map(len, by_direction)) < MIN_SLICES:
        return {}
    stacks = [alike for alike in by_direction if len(alike) >= MIN_SLICES]
    if len(stacks) == 1:
        crossing = [n for alike in by_direction if alike is not stacks[0] for n in alike]
        apart |= dict.fromkeys(crossing, "it crosses the other slices, as a localiser does")
    return apart


def _is_localiser(marks: Marks) -> bool:
    return "LOCALIZER" in marks.get("ImageType", "").split("\\")  # value 3, PS3.3 C.8.2.1.1.1


def _cross(first: Plane, other: Plane) -> bool:
    if first.orientation is None or other.orientation is None:
        return False
    return abs(float(first.normal @ other.normal)) < math.cos(math.radians(_CROSSING_DEGREES))


def volumes(planes: Sequence[Plane], marks: Sequence[Marks], keywords: Sequence[str]) -> list[Group]:
    """The volumes that slices form: one, unless they lie several times in each place and say by what they differ.

    `keywords` are the elements that may tell them apart, those that say most first. Where they would part the slices in
    different ways, they part them in none.
    """
    whole = [Group(tuple(range(len(planes))))]
    heights = _heights(planes)
    if heights is None or not _repeat(heights):
        return whole
    for count in (1, 2):
        parted: dict[tuple[int, ...], tuple[tuple[str, ...], list[tuple[str, ...] | None]]] = {}
        for chosen in itertools.combinations(keywords, count):
            values = [_values(one, chosen) for one in marks]
            if None not in values and _parts(values, heights):
                labels = [values.index(value) for value in values]
                parted.setdefault(tuple(labels), (chosen, values))
        if len(parted) == 1:
            [(chosen, values)] = parted.values()
            return _groups(chosen, values)
        if parted:
            break
    return whole


def _heights(planes: Sequence[Plane]) -> NDArray[np.float64] | None:
    if any(plane.orientation is None or plane.position is None for plane in planes):
        return None
    return np.array([plane.position for plane in planes]) @ planes[0].normal


def _repeat(heights: NDArray[np.float64]) -> bool:
    ordered = np.sort(heights)
    return bool(same_places(ordered[:-1], ordered[1:]).any())


def _values(marks: Marks, keywords: Sequence[str]) -> tuple[str, ...] | None:
    values = tuple(marks.get(keyword, "") for keyword in keywords)
    return values if all(values) else None


def _parts(values: Sequence[tuple[str, ...] | None], heights: NDArray[np.float64]) -> bool:
    """Whether the values part the slices into volumes that lie in the same places, each place taken once."""
    kinds = sorted({value for value in values if value is not None})
    places = [np.sort(heights[[value == kind for value in values]]) for kind in kinds]
    first = places[0]
    return len(kinds) > 1 and all(
        len(other) == len(first) >= MIN_SLICES and not _repeat(other) and bool(same_places(first, other).all())
        for other in places
    )


def _groups(keywords: Sequence[str], values: Sequence[tuple[str, ...] | None]) -> list[Group]:
    kinds = sorted({value for value in values if value is not None}, key=_in_order)
    return [
        Group(
            tuple(n for n, value in enumerate(values) if value == kind),
            ",".join(f"{keyword}/{value}" for keyword, value in zip(keywords, kind, strict=True)),
        )
        for kind in kinds
    ]


def _in_order(kind: tuple[str, ...]) -> tuple[tuple[float, str], ...]:
    """Numbers by their size, words by their letters."""
    return tuple((_number(value), value) for value in kind)


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return math.inf
