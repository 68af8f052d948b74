"""Turned images made smaller: windows of every width, in words, beside the same windows in floats."""

import numpy as np
import pytest
from kernels.calls import plain, run
from kernels.reference import rotation
from numpy.testing import assert_allclose, assert_array_equal

from medplug._kernels import Tone, resample, resample_batch

SCALES = [1.3, 2.1, 2.4, 3.3, 3.9, 4.6, 5.4, 6.5, 9.3, 13.0, 20.0, 29.0]
"""Half the width of windows, but for the turn, which makes them an eighth wider."""

COMMENSURATE = [11.34, 16.24, 21.62, 28.55, 31.5, 31.99]
"""Supports whose weights would go from pixel to pixel by whole numbers, which are then all rounded alike."""


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


@pytest.mark.parametrize("border", ["inside", "edge", "constant"])
@pytest.mark.parametrize("support", COMMENSURATE)
def test_no_support_rounds_all_weights_of_a_side_alike(support, border):
    new, shape = (14, 19), tuple(int(side * support * (1.2 if border == "inside" else 0.7)) + 80 for side in (14, 19))
    how = {"filter": "antialias", "before": [Tone(slope=1 / 32767, low=0, high=1)], "fill": [0.4]}
    how["border"] = "edge" if border == "inside" else border
    to_stored = rotation(0.5, 1.0, shape, new)
    to_stored[:, :2] *= support / np.linalg.norm(to_stored[0, :2])
    to_stored[:, 2] = np.array(shape) / 2 - 0.5 - to_stored[:, :2] @ (np.array(new) / 2 - 0.5) + 0.21
    y, x = np.mgrid[: shape[0], : shape[1]]

    for along in (y, x):
        stored = np.where(along >= along.max() // 2, 32767, 0).astype(np.uint16)[None]
        words, floats = (run(image, (1, *new), to_stored, **how) for image in (stored, stored.astype(np.float32)))

        assert_allclose(words, floats, rtol=0, atol=2**-14)


@pytest.mark.parametrize("value", [1, 1000, 4094, 4095])
@pytest.mark.parametrize("scale", SCALES)
def test_a_flat_image_stays_flat(scale, value):
    new, shape = inner(scale, "edge")
    stored = np.full((1, *shape), value, np.uint16)

    out = run(stored, (1, *new), rotation(7.3, scale, shape, new), filter="antialias", before=[Tone(low=0, high=4095)])

    assert_allclose(out, value, rtol=1e-6)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("border", ["edge", "constant"])
@pytest.mark.parametrize("quality", ["exact", "fast"])
def test_a_batch_of_maps_that_differ_gives_each_what_it_gets_alone(quality, border, threads):
    scales = [0.5, 3.0, 7.0, 1.0, 5.0, 30.0]
    stored = np.random.default_rng(2).integers(0, 4096, (len(scales), 1, 300, 280), np.uint16)
    maps = np.array([rotation(5.0 + 9 * i, scale, (300, 280), (90, 100)) for i, scale in enumerate(scales)])
    how = plain(1, filter="antialias", border=border, fill=[9.0], before=[Tone(low=0, high=4095)]) | {
        "quality": quality
    }
    out = np.empty((len(scales), 1, 90, 100), np.float32)

    resample_batch(stored, out, maps, **how, threads=threads)

    for image, made, map_ in zip(stored, out, maps, strict=True):
        alone = np.empty_like(made)
        resample(image, alone, map_, **how)
        assert_array_equal(made, alone)


@pytest.mark.parametrize("border", ["edge", "constant"])
def test_memory_that_is_kept_leaves_no_trace(border):
    to_stored = rotation(7.3, 4.6, (700, 640), (150, 140))
    how = {"filter": "antialias", "border": border, "before": [Tone(low=0, high=4095)]}
    stored = np.random.default_rng(3).integers(0, 4096, (1, 700, 640), np.uint16)

    made = []
    for value in (0, 4095):
        run(np.full((1, 700, 640), value, np.uint16), (1, 150, 140), to_stored, **how)
        made.append(run(stored, (1, 150, 140), to_stored, **how))

    assert_array_equal(made[0], made[1])
