"""Turned images made smaller: windows of every width, in words, beside the same windows in floats."""

import numpy as np
import pytest
from kernels.calls import run
from kernels.reference import rotation
from numpy.testing import assert_allclose

from medplug._kernels import Tone

SCALES = [1.3, 2.1, 2.4, 3.3, 3.9, 4.6, 5.4, 6.5, 9.3, 13.0, 20.0, 29.0]  # windows of 3 to 66 pixels


def inner(scale, border):
    """The size of an output and of an image that goes on around all that its windows read, or does not."""
    new = (40, 37) if scale < 8 else (14, 19)
    around = 1.5 if border == "inside" else 0.8
    return new, tuple(int(side * scale * around + 2 * scale) for side in new)


def pictures(shape, high):
    y, x = np.mgrid[: shape[0], : shape[1]]
    yield ((x // 37 + y // 41) % 2 * high).astype(np.uint16)[None]
    yield np.random.default_rng(1).integers(0, high, shape, np.uint16, endpoint=True)[None]


@pytest.mark.parametrize("border", ["inside", "edge", "constant"])
@pytest.mark.parametrize("high", [4095, 32767])
@pytest.mark.parametrize("scale", SCALES)
def test_windows_of_any_width_are_within_a_sixteen_thousandth_of_the_float_path(scale, high, border):
    new, shape = inner(scale, border)
    how = {"filter": "antialias", "before": [Tone(slope=1 / high, low=0, high=1)], "fill": [0.4]}
    how["border"] = "edge" if border == "inside" else border
    to_stored = rotation(7.3, scale, shape, new)

    for stored in pictures(shape, high):
        words, floats = (run(image, (1, *new), to_stored, **how) for image in (stored, stored.astype(np.float32)))

        assert_allclose(words, floats, rtol=0, atol=2**-14)
        assert np.abs(words - floats).mean() < 2e-5


@pytest.mark.parametrize("value", [1, 1000, 4094, 4095])
@pytest.mark.parametrize("scale", SCALES)
def test_a_flat_image_stays_flat(scale, value):
    new, shape = inner(scale, "edge")
    stored = np.full((1, *shape), value, np.uint16)

    out = run(stored, (1, *new), rotation(7.3, scale, shape, new), filter="antialias", before=[Tone(low=0, high=4095)])

    assert_allclose(out, value, rtol=1e-6)
