"""Images that stand in a data set more than once: the same pixels, or nearly the same."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..case import Case, Image, Pixels
from ..errors import PreprocessingError, SourceError
from ..plan import plan
from ..preprocessing import Display, Percentiles, Preprocessing, Resize
from .alike import LIMIT, LIMIT_OF_SMALL, SHAPES, SMALL, nearest
from .targets import Targets

ORDER = ("train", "val", "test")
"""The splits in the order in which an image that stands in two is taken out of the first."""

_Print = tuple[bytes | None, NDArray[np.uint8] | None]


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """What tells images apart: for each row the hash of its pixels, and a small picture in one of `alike.SHAPES`.

    None where the pixels cannot be read, or cannot be displayed. 4 KiB an image, 16 KiB a volume. `small` [N] says
    which images hold less than that.
    """

    hashes: tuple[bytes | None, ...]
    pictures: tuple[NDArray[np.uint8] | None, ...]
    small: NDArray[np.bool_]


@dataclass(frozen=True)
class Duplicate:
    """A row whose image also stands, as that of row `twin`, in a later split. `likeness` is 1 for the same pixels."""

    row: int
    twin: int
    likeness: float

    @property
    def same(self) -> bool:
        """Whether the pixels are the same, value by value."""
        return self.likeness == 1


def fingerprints(cases: Sequence[Case], told: Callable[[int, int], None] = lambda done, of: None) -> Fingerprints:
    """Read the first image of each case and reduce it; `told` hears how many are done, of how many."""
    prints: list[_Print] = []
    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="medplug-duplicates") as pool:
        for one in pool.map(lambda case: _print(case.image), cases):
            prints.append(one)
            told(len(prints), len(cases))
    return Fingerprints(
        hashes=tuple(one for one, _ in prints),
        pictures=tuple(one for _, one in prints),
        small=np.array([min(case.image.shape[-2:]) < SMALL for case in cases], np.bool_),
    )


def across_splits(prints: Fingerprints, splits: NDArray[np.str_]) -> list[Duplicate]:
    """Return the rows whose image stands in a later split too, each with the likest row there, in their order."""
    found: dict[int, Duplicate] = {}
    for place, split in enumerate(ORDER[:-1]):
        rows = np.flatnonzero(splits == split)
        later = np.flatnonzero(np.isin(splits, ORDER[place + 1 :]))
        first: dict[bytes, int] = {}
        for row in later.tolist():
            if (one := prints.hashes[row]) is not None:
                first.setdefault(one, row)
        for row in rows.tolist():
            if (twin := first.get(prints.hashes[row] or b"")) is not None:
                found[row] = Duplicate(row, twin, 1.0)
        for shape in SHAPES.values():
            ours, among = _of_shape(prints, rows[~np.isin(rows, list(found))], shape), _of_shape(prints, later, shape)
            twins, likeness = nearest(_stacked(ours, shape), _stacked(among, shape))
            theirs = list(among)
            for row, twin, alike in zip(ours, twins.tolist(), likeness.tolist()):
                if twin < 0:
                    continue
                limit = LIMIT_OF_SMALL if prints.small[row] or prints.small[theirs[twin]] else LIMIT
                if alike >= limit:
                    found[row] = Duplicate(row, theirs[twin], min(alike, 0.9999))
    return [found[row] for row in sorted(found)]


def contradictions(prints: Fingerprints, splits: NDArray[np.str_], targets: Targets) -> Iterator[tuple[int, int]]:
    """Yield two rows of each image that one split holds twice, the same pixels with different labels."""
    seen: dict[tuple[str, bytes], list[int]] = defaultdict(list)
    for row, one in enumerate(prints.hashes):
        if one is not None:
            seen[str(splits[row]), one].append(row)
    for rows in seen.values():
        for other in rows[1:]:
            if not np.array_equal(targets[rows[0]], targets[other], equal_nan=targets.dtype.kind == "f"):
                yield rows[0], other
                break


def _print(image: Image) -> _Print:
    try:
        pixels = image.read()
    except SourceError:
        return None, None  # whoever needs the row says so
    try:
        return _hash(pixels), _picture(image, pixels)
    except PreprocessingError:  # channels that nobody knows how to display
        return _hash(pixels), None


def _hash(pixels: Pixels) -> bytes:
    """Of the values and the shape: not of the file, its format, or how many bits it gives to a value."""
    if len(pixels) == 3 and (pixels == pixels[:1]).all():
        pixels = pixels[:1]  # grey, stored as colour
    plain = np.ascontiguousarray(pixels, "<i4" if pixels.dtype.kind in "iu" else "<f4")
    return hashlib.blake2b(plain.data, digest_size=16, key=repr(plain.shape).encode()).digest()


def _picture(image: Image, pixels: Pixels) -> NDArray[np.uint8]:
    """The image as a viewer shows it, small, from its darkest to its brightest."""
    small = Preprocessing(
        values=Display(fallback=Percentiles()),
        channels="grey",
        geometry=(Resize(SHAPES[len(image.shape)]),),
    )
    shown = np.nan_to_num(plan(small, image, pixels).run(pixels)[0])
    low, high = float(shown.min()), float(shown.max())
    picture: NDArray[np.uint8] = np.rint((shown - low) * (255 / max(high - low, 1e-6))).astype(np.uint8)
    return picture


def _of_shape(prints: Fingerprints, rows: NDArray[np.intp], shape: tuple[int, ...]) -> dict[int, NDArray[np.uint8]]:
    pictures = {row: prints.pictures[row] for row in rows.tolist()}
    return {row: one for row, one in pictures.items() if one is not None and one.shape == shape}


def _stacked(pictures: dict[int, NDArray[np.uint8]], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.stack(list(pictures.values())) if pictures else np.empty((0, *shape), np.uint8)
