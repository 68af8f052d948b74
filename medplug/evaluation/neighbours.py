"""The generated images that come nearest to training images, for people to look at."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from ..figures import Neighbour
from .compared_images import Images
from .nearest_training import Nearness

MOST = 12


def neighbours(near: Nearness, made: Images, learned: Images) -> tuple[Neighbour, ...]:
    """Return the nearest pairs, nearest first. A training image is named, and not shown: the data is its owner's."""
    order = np.argsort(near.made, kind="stable")[:MOST]
    return tuple(
        Neighbour(
            name=made.names[row],
            picture=_picture(made.pixels[row]),
            source=learned.names[near.which[row]],
            distance=float(near.made[row]),
        )
        for row in order
    )


def _picture(image: NDArray[np.float32]) -> str:
    """The middle slice of [C, (D,) H, W] as a PNG data URI."""
    plane = image[:, (image.shape[1] - 1) // 2] if image.ndim == 4 else image
    stored = np.rint(plane * 255).astype(np.uint8)
    stream = io.BytesIO()
    shown = stored[0] if len(stored) == 1 else np.ascontiguousarray(np.moveaxis(stored, 0, -1))
    Picture.fromarray(shown).save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
