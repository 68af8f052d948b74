"""Deletion and insertion scores of maps of where a model looked (Petsiuk et al., RISE, 2018), beside controls.

What a map calls important is painted out first, and the answer should fall fast; or it is shown first in a blurred
image, and the answer should rise fast. Both are of the rows as they are and of the label that the model gives most.
Unlike pointing they need no planted lesion, and unlike it they have no truth: the altered images are none that a model
was trained on, and a map of the middle can do as well as the model's where what matters lies in the middle.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..case import Case
from ..dataset import Dataset
from ..explain import METHOD, Method
from ..figures import Figure, Perturbed
from ..result import Classification
from ..session import Session
from .bootstrap import estimate
from .explanation_figures import Progress, centred_blob, shuffled_session
from .intervals import of_same
from .questions import clusters_of
from .scores import Floats, mean

CONTROLS = ("a random map", "a centred blob", "shuffled weights")

ROWS = 12
"""Rows that are scored, at most."""

STEPS = 8
"""Into so many equal parts the pixels are cut; a row costs 4 + 2 * 4 * (STEPS - 1) answers and two maps."""

_CELLS = 8  # of a random map along a side
_BLUR = 12  # places along a side that a blurred image has

Map = NDArray[np.float32]
Pixels = NDArray[np.generic]


def score_maps(
    session: Session,
    rows: Dataset,
    count: int = ROWS,
    *,
    method: Method = METHOD,
    seed: int = 0,
    resamples: int = 1000,
    progress: Progress | None = None,
) -> Perturbed:
    """Score the maps by `method` of `count` rows, `ROWS` at most, and those of controls on the same rows.

    Both scores are the mean probability of the label, 0 to 1, over the parts of the pixels that are painted out with
    the image's mean grey, or shown. Controls: a map of random blocks, the middle of the image, and the same network
    with the values of each weight shuffled. Raises `CallError` for a model that cannot be explained.
    """
    shuffled = shuffled_session(session, seed)
    chosen = np.random.default_rng(seed).permutation(len(rows))[: min(count, ROWS)]
    places, scores = [], []
    for done, row in enumerate(chosen.tolist(), start=1):
        case = replace(rows.cases[row], mask=None)  # which an answer does not need, and every version would read
        found = _scores(session, shuffled, case, method, np.random.default_rng([seed, row]))
        if found is not None:
            places.append(row)
            scores.append(found)
        if progress is not None:
            progress(done, len(chosen))
    if not scores:
        return Perturbed(rows=0, steps=STEPS)
    patients = clusters_of(rows, np.array(places, dtype=np.intp))
    return Perturbed(rows=len(places), steps=STEPS, figures=_figures(np.array(scores), patients, resamples, seed))


def mean_curve(answers: Sequence[float]) -> float:
    """Return the area under a curve whose points lie evenly from 0 to 1, by trapezoids."""
    return float(np.mean([(one + other) / 2 for one, other in pairwise(answers)]))


def standing(map: Map, generator: np.random.Generator) -> Map:
    """Return which part of the places stands above each: 0 where the map is highest, below 1 everywhere.

    Places that are equally high stand in random order, so that a map that is mostly 0 does not run from the top left.
    """
    order = np.lexsort((generator.random(map.size, np.float32), -map.ravel()))
    above = np.empty(map.size, np.float32)
    above[order] = np.arange(map.size) / map.size
    return above.reshape(map.shape)


def blurred(pixels: Pixels) -> Pixels:
    """Return pixels [C, ...] with all that is fine taken away: means of blocks, interpolated."""
    import torch

    plain = torch.from_numpy(pixels.astype(np.float32))[None]
    sides = tuple(plain.shape[2:])
    small = torch.nn.functional.interpolate(plain, tuple(min(_BLUR, side) for side in sides), mode="area")
    smooth = torch.nn.functional.interpolate(small, sides, mode="bilinear" if len(sides) == 2 else "trilinear")
    return _stored(smooth[0].numpy(), pixels.dtype)


def even(pixels: Pixels) -> Pixels:
    """Return pixels [C, ...] that are all their channel's mean."""
    middle = pixels.astype(np.float64).mean(axis=tuple(range(1, pixels.ndim)), keepdims=True)
    return _stored(np.broadcast_to(middle, pixels.shape), pixels.dtype)


def _scores(
    session: Session, shuffled: Session, case: Case, method: Method, generator: np.random.Generator
) -> list[float] | None:
    """Deletion, then insertion, of the model's map and of each control; None for a row that cannot be scored."""
    [before] = [answer.result for answer in session.answer([case])]
    if not isinstance(before.prediction, Classification):
        return None
    label = max(before.prediction.probabilities, key=before.prediction.probabilities.__getitem__)
    own, other = (one.explain(case, label, method=method).explanation for one in (session, shuffled))
    if own is None or other is None:
        return None
    shape = own.map.shape
    blocks = generator.random((_CELLS,) * len(shape)).astype(np.float32)
    random = blocks[np.ix_(*(np.arange(side) * _CELLS // side for side in shape))]
    maps = (own.map, random, centred_blob(shape), other.map)
    pixels = case.image.read()
    ends = (pixels, even(pixels), blurred(pixels))
    told = _told(session, case, label, _altered(ends, [standing(one, generator) for one in maps]))
    if told is None:
        return None
    (whole, grey, smooth), inner = told[:3], iter(told[3:])
    curves = [[next(inner) for _ in range(STEPS - 1)] for _ in range(2 * len(maps))]
    deletion = [mean_curve([whole, *curve, grey]) for curve in curves[: len(maps)]]
    return deletion + [mean_curve([smooth, *curve, whole]) for curve in curves[len(maps) :]]


def _altered(ends: tuple[Pixels, Pixels, Pixels], above: Sequence[Map]) -> Iterator[Pixels]:
    """Every version of an image: as it is, even, blurred; then part by part, for deletion and for insertion."""
    yield from ends
    pixels, grey, smooth = ends
    for first, second in ((pixels, grey), (smooth, pixels)):
        for one in above:
            for step in range(1, STEPS):
                yield np.where(one < step / STEPS, second, first)


def _told(session: Session, case: Case, label: str, images: Iterable[Pixels]) -> list[float] | None:
    """The probability of a label in each version of a case; None when one of them is not answered."""
    name = next(iter(case.images))

    def version(pixels: Pixels) -> Case:
        return replace(case, images={**case.images, name: replace(case.image, read=lambda: pixels)})

    found = []
    for answer in session.answer(map(version, images)):
        prediction = answer.result.prediction
        if not isinstance(prediction, Classification):
            return None
        found.append(prediction.probabilities[label])
    return found


def _figures(scores: Floats, patients: NDArray[np.int64], resamples: int, seed: int) -> tuple[Figure, ...]:
    deletion, insertion = np.split(scores, 2, axis=1)
    columns: dict[tuple[str, str | None], Floats] = {}
    for name, better, told, sign in (
        ("deletion", "deletion below control", deletion, -1),
        ("insertion", "insertion above control", insertion, 1),
    ):
        columns |= {(name, label): told[:, place] for place, label in enumerate((None, *CONTROLS))}
        columns |= {
            (better, label): sign * (told[:, 0] - told[:, place]) for place, label in enumerate(CONTROLS, start=1)
        }

    def statistics(weights: Floats) -> dict[tuple[str, str | None], Floats]:
        return {key: mean(one, weights) for key, one in columns.items()}

    found = estimate(statistics, patients, resamples, seed)
    units = len(np.unique(patients))
    return tuple(
        Figure(name=name, label=label, value=one.value, low=one.low, high=one.high)
        for (name, label), plain in found.items()
        for one in [of_same(plain, units, -1 if "control" in name else 0, 1)]
    )


def _stored(values: NDArray[np.floating], dtype: np.dtype[np.generic]) -> Pixels:
    return (np.rint(values) if dtype.kind in "iu" else values).astype(dtype)
