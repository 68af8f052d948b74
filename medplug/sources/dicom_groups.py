"""What one series holds: localisers beside a stack, and several volumes in one place; told apart, never guessed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .dicom_elements import MARK_KEYWORDS
from .dicom_file import Instance
from .dicom_geometry import MIN_SLICES, Plane, same_places

_CROSSING_DEGREES = 10.0
"""How far a localiser's plane is turned at least: far above what slices of one stack differ by."""


@dataclass(frozen=True, eq=False)
class Group:
    """The slices of one volume; `mark` says by which element, and which of its values, it differs from the others."""

    members: tuple[Instance, ...]
    mark: str = ""


def without_localisers(members: Sequence[Instance]) -> tuple[list[Instance], list[tuple[Instance, str]]]:
    """The slices of a stack, and what lies beside it with the reason: nothing, unless a stack is left."""
    localisers = [member for member in members if _is_localiser(member)]
    others = [member for member in members if not _is_localiser(member)]
    apart = [(member, "its Image Type is LOCALIZER") for member in localisers]
    if len(others) < MIN_SLICES:
        return list(members), []
    by_direction: list[list[Instance]] = []
    for member in others:
        plane = member.planes[0]
        for alike in by_direction:
            if not _cross(alike[0].planes[0], plane):
                alike.append(member)
                break
        else:
            by_direction.append([member])
    stacks = [alike for alike in by_direction if len(alike) >= MIN_SLICES]
    if len(stacks) == 1:
        crossing = [member for alike in by_direction if alike is not stacks[0] for member in alike]
        apart += [(member, "it crosses the other slices, as a localiser does") for member in crossing]
        others = stacks[0]
    return others, apart


def _is_localiser(member: Instance) -> bool:
    return "LOCALIZER" in member.marks.get("ImageType", "").split("\\")  # value 3, PS3.3 C.8.2.1.1.1


def _cross(first: Plane, other: Plane) -> bool:
    if first.orientation is None or other.orientation is None:
        return False
    return abs(float(first.normal @ other.normal)) < math.cos(math.radians(_CROSSING_DEGREES))


def volumes(members: Sequence[Instance]) -> list[Group]:
    """The volumes of a series: one, unless its slices lie several times in each place and say by what they differ.

    Elements that would part them in different ways part them in none.
    """
    heights = _heights(members)
    if heights is None or not _repeat(heights):
        return [Group(tuple(members))]
    for count in (1, 2):
        parted: dict[tuple[int, ...], tuple[tuple[str, ...], list[tuple[str, ...] | None]]] = {}
        for keywords in itertools.combinations(MARK_KEYWORDS, count):
            values = [_values(member, keywords) for member in members]
            if None not in values and _parts(values, heights):
                labels = [values.index(value) for value in values]
                parted.setdefault(tuple(labels), (keywords, values))
        if len(parted) == 1:
            [(keywords, values)] = parted.values()
            return _groups(members, keywords, values)
        if parted:
            break
    return [Group(tuple(members))]


def _heights(members: Sequence[Instance]) -> NDArray[np.float64] | None:
    planes = [member.planes[0] for member in members]
    if any(plane.orientation is None or plane.position is None for plane in planes):
        return None
    return np.array([plane.position for plane in planes]) @ planes[0].normal


def _repeat(heights: NDArray[np.float64]) -> bool:
    ordered = np.sort(heights)
    return bool(same_places(ordered[:-1], ordered[1:]).any())


def _values(member: Instance, keywords: Sequence[str]) -> tuple[str, ...] | None:
    values = tuple(member.marks.get(keyword, "") for keyword in keywords)
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


def _groups(
    members: Sequence[Instance], keywords: Sequence[str], values: Sequence[tuple[str, ...] | None]
) -> list[Group]:
    kinds = sorted({value for value in values if value is not None}, key=_in_order)
    return [
        Group(
            tuple(member for member, value in zip(members, values, strict=True) if value == kind),
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
