"""medplug's own contestant: the plan of a preprocessing, or the kernel itself where matrices are given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
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
    before, after = [_kernels.Tone(low=low, high=high)], [_kernels.Tone(scale=a, offset=b)]

    def one(n: int, out: NDArray[np.float32]) -> None:
        _kernels.resample(
            work.stored[n, np.newaxis],
            out[np.newaxis],
            work.to_stored[n],
            before=before,
            after=after,
            filter=work.filter,
            border="edge",
            fill=[0.0],
        )

    return Contestant(LIBRARY, "one pass", image_by_image(one, work.answer_shape, threads))


def _mask(work: Work, threads: int) -> Contestant:
    assert work.recipe is not None
    recipe, image = work.recipe, _image(work, 0)

    def run() -> NDArray[np.float32]:
        return resample_mask(grid_of(recipe, image), image.read(), threads)

    return Contestant(LIBRARY, "one pass", run)
