"""What one series holds: localisers beside a stack, and several volumes in one place; told apart, never guessed."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import SourceError
from .dicom_elements import PHASE_KEYWORDS
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
    different ways, they part them in none. Phases that lie between each other's slices are parted as well.
    """
    heights = _heights(planes)
    if heights is None:
        return [Group(tuple(range(len(planes))))]
    return [
        Group(tuple(group.slices[n] for n in part.slices), ",".join(filter(None, (group.mark, part.mark))))
        for group in _in_the_same_places(heights, marks, keywords)
        for part in _between_each_other(heights[list(group.slices)], [marks[n] for n in group.slices], keywords)
    ]


def _in_the_same_places(heights: NDArray[np.float64], marks: Sequence[Marks], keywords: Sequence[str]) -> list[Group]:
    whole = [Group(tuple(range(len(heights))))]
    if not _repeat(heights):
        return whole
    for count in (1, 2):
        parted: dict[tuple[int, ...], tuple[tuple[str, ...], list[tuple[str, ...]]]] = {}
        for chosen in itertools.combinations(keywords, count):
            values = _values(marks, chosen)
            if values is not None and _parts(values, heights):
                parted.setdefault(_labels(values), (chosen, values))
        if len(parted) == 1:
            [(chosen, values)] = parted.values()
            return _groups(chosen, values)
        if parted:
            break
    return whole


def _between_each_other(heights: NDArray[np.float64], marks: Sequence[Marks], keywords: Sequence[str]) -> list[Group]:
    """The phases of slices that lie in a place each, as of two tables with an offset: parted by all that differs."""
    chosen: dict[tuple[int, ...], str] = {}
    for keyword in () if _repeat(heights) else keywords:
        values = _values(marks, (keyword,)) if keyword in PHASE_KEYWORDS else None
        if values is not None and _overlap(values, heights):
            chosen.setdefault(_labels(values), keyword)
    values = _values(marks, tuple(chosen.values())) if chosen else None
    return [Group(tuple(range(len(heights))))] if values is None else _groups(tuple(chosen.values()), values)


def check_one_acquisition(planes: Sequence[Plane], marks: Sequence[Marks], keywords: Sequence[str]) -> None:
    """Slices at uneven distances may be two acquisitions, which no slice is made between.

    Raises `SourceError` (`geometry`) where an element says so.
    """
    heights = _heights(planes)
    for keyword in keywords:
        values = _values(marks, (keyword,))
        if heights is not None and values is not None and _overlap(values, heights):
            reason = f"no regular volume: its gaps are uneven, and slices of unlike {keyword} lie between each other"
            raise SourceError("geometry", reason)


def _heights(planes: Sequence[Plane]) -> NDArray[np.float64] | None:
    if any(plane.orientation is None or plane.position is None for plane in planes):
        return None
    return np.array([plane.position for plane in planes]) @ planes[0].normal


def _repeat(heights: NDArray[np.float64]) -> bool:
    ordered = np.sort(heights)
    return bool(same_places(ordered[:-1], ordered[1:]).any())


def _values(marks: Sequence[Marks], keywords: Sequence[str]) -> list[tuple[str, ...]] | None:
    """What each slice has for the keywords; None where one lacks any of them."""
    values = [tuple(one.get(keyword, "") for keyword in keywords) for one in marks]
    return values if all(map(all, values)) else None


def _labels(values: Sequence[Hashable]) -> tuple[int, ...]:
    """Equal numbers for equal values, whatever these are: two elements that part slices alike have the same."""
    numbers: dict[Hashable, int] = {}
    return tuple(numbers.setdefault(value, len(numbers)) for value in values)


def _by_kind(values: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], list[int]]:
    """The slices of each value, in one pass: there may be thousands of both."""
    slices: dict[tuple[str, ...], list[int]] = {}
    for n, value in enumerate(values):
        slices.setdefault(value, []).append(n)
    return slices


def _parts(values: Sequence[tuple[str, ...]], heights: NDArray[np.float64]) -> bool:
    """Whether the values part the slices into volumes that lie in the same places, each place taken once."""
    counts = Counter(values)
    if len(counts) < 2 or len(set(counts.values())) > 1 or min(counts.values()) < MIN_SLICES:
        return False
    places = [np.sort(heights[slices]) for slices in _by_kind(values).values()]
    return all(not _repeat(other) and bool(same_places(places[0], other).all()) for other in places)


def _overlap(values: Sequence[tuple[str, ...]], heights: NDArray[np.float64]) -> bool:
    """Whether two values mark enough slices for a volume each, and some of one lie between those of the other."""
    places = [heights[slices] for slices in _by_kind(values).values() if len(slices) >= MIN_SLICES]
    ends = sorted((float(one.min()), float(one.max())) for one in places)
    return any(following[0] < one[1] for one, following in itertools.pairwise(ends))


def _groups(keywords: Sequence[str], values: Sequence[tuple[str, ...]]) -> list[Group]:
    by_kind = _by_kind(values)
    return [
        Group(
            tuple(by_kind[kind]),
            ",".join(f"{keyword}/{value}" for keyword, value in zip(keywords, kind, strict=True)),
        )
        for kind in sorted(by_kind, key=_in_order)
    ]


def _in_order(kind: tuple[str, ...]) -> tuple[tuple[float, str], ...]:
    """Numbers by their size, words by their letters."""
    return tuple((_number(value), value) for value in kind)


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return math.inf
