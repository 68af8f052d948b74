"""medplug's own contestant: the plan of a preprocessing, or the kernel itself where matrices are given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from .. import _kernels
from ..case import Image, ValueMeaning
from ..plan import grid_of, plan, resample_mask
from ..sources import from_array
from .contestant import Contestant, image_by_image
from .work import Work

LIBRARY = "medplug"


def contestant(work: Work, threads: int) -> Contestant:
    """Return medplug's way: threads inside an image, or over the images where there are many."""
    if work.kind == "tiles":
        return _matrices(work, threads)
    return _mask(work, threads) if work.kind == "mask" else _planned(work, threads)


def contestants(work: Work, threads: int) -> list[Contestant]:
    """Return medplug's ways: the exact one, and the fast quality where that is another."""
    if work.kind != "warp" or work.recipe is None:
        return [contestant(work, threads)]
    fast = replace(work, recipe=structs.replace(work.recipe, quality="fast"))
    return [contestant(work, threads), replace(contestant(fast, threads), how="one pass, fast quality")]


def _planned(work: Work, threads: int) -> Contestant:
    assert work.recipe is not None
    recipe, images = work.recipe, [_image(work, n) for n in range(len(work.stored))]
    inside = threads if len(images) == 1 else 1

    def one(n: int, out: NDArray[np.float32]) -> None:
        pixels = images[n].read()
        draw = work.draws[n] if work.draws else None
        plan(recipe, images[n], pixels, draw).run(pixels, out[np.newaxis], threads=inside)

    return Contestant(LIBRARY, "one pass", image_by_image(one, work.answer_shape, threads))


def _image(work: Work, n: int) -> Image:
    image = from_array(work.stored[n], dims=len(work.shape), spacing=work.spacing).image
    if work.tone is None:
        return image
    meaning = ValueMeaning(rescale=(work.tone.slope, work.tone.intercept), inverted=work.tone.inverted)
    return replace(image, values=meaning)


def _matrices(work: Work, threads: int) -> Contestant:
    tone = work.toned
    a, b = tone.line
    low, high = tone.limits
    how: dict[str, Any] = {
        "before": [_kernels.Tone(low=low, high=high)],
        "after": [_kernels.Tone(scale=a, offset=b)],
        "filter": work.filter,
        "border": "edge",
        "fill": [0.0],
        "threads": threads,
    }

    def run() -> NDArray[np.float32]:
        out = np.empty(work.answer_shape, np.float32)
        _kernels.resample_batch(work.stored[:, np.newaxis], out[:, np.newaxis], work.to_stored, **how)
        return out

    return Contestant(LIBRARY, "one call", run)


def _mask(work: Work, threads: int) -> Contestant:
    assert work.recipe is not None
    recipe, image = work.recipe, _image(work, 0)

    def run() -> NDArray[np.float32]:
        return resample_mask(grid_of(recipe, image), image.read(), threads)

    return Contestant(LIBRARY, "one pass", run)
