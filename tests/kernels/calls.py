"""Plain calls of the kernels, for tests that care about one argument at a time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medplug._kernels import Tone, resample

DTYPES = ["uint8", "int8", "uint16", "int16", "float32"]
QUARTER_TURN = [[0, 1, 0], [-1, 0, 3]]  # of an image with four columns


def noise(shape: tuple[int, ...], dtype: str = "int16", seed: int = 0) -> NDArray[Any]:
    """Values all over the item type's range; floats between -1000 and 1000."""
    generator = np.random.default_rng(seed)
    if dtype == "float32":
        return generator.uniform(-1000, 1000, shape).astype(np.float32)
    limits = np.iinfo(dtype)
    return generator.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def plain(channels: int, **how: Any) -> dict[str, Any]:
    """The arguments of `resample` that leave values as they are, but for those given."""
    tones = [Tone()] * channels
    return {
        "before": tones,
        "after": tones,
        "filter": "linear",
        "border": "edge",
        "fill": [0.0] * channels,
    } | how


def run(stored: NDArray[Any], shape: tuple[int, ...], to_stored: Any, **how: Any) -> NDArray[np.float32]:
    """Resample into a fresh output that starts as NaN, so that a pixel left out shows."""
    out = np.full(shape, np.nan, np.float32)
    resample(stored, out, np.asarray(to_stored, np.float64), **plain(shape[0], **how))
    return out
