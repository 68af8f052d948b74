"""The fast quality: two by two pixels become one, then the exact path's own tiles."""

import numpy as np
import pytest
from kernels.calls import DTYPES, noise, run
from kernels.reference import resize, rotation
from numpy.testing import assert_allclose, assert_array_equal

from medplug import Preprocessing
from medplug._kernels import Tone

SIZES, NEW = (257, 310), (31, 37)
LEAST = 2.8
BEYOND = 60  # pixels of the half around the image that an output may see


def halved(image):
    """Means of two by two; what an odd size lacks is what lies beside it."""
    rows, columns = image.shape
    whole = np.pad(image, ((0, rows % 2), (0, columns % 2)), mode="edge")
    return (whole[::2, ::2] + whole[1::2, ::2] + whole[::2, 1::2] + whole[1::2, 1::2]) / 4


def fast_twin(image, to_stored, new, border, fill):
    """Output by output, in float64: a triangle of which the two by two pixels' variance is taken off."""
    half = halved(image)
    scales = np.linalg.norm(to_stored[:, :2], axis=1)
    supports = np.sqrt(scales**2 / 4 - 3 / 8)
    out = np.empty(new)
    for place in np.ndindex(new):
        weights = []
        for axis, support in enumerate(supports):
            position = (to_stored[axis] @ [*place, 1.0] - 0.5) / 2
            pixels = np.arange(-BEYOND, half.shape[axis] + BEYOND)
            if border == "edge":
                position = np.clip(position, 0, half.shape[axis] - 1)
            weights.append(np.maximum(0, 1 - np.abs(pixels - position) / support))
        padded = np.pad(half, BEYOND, constant_values=fill if border == "constant" else np.nan)
        both = np.outer(*weights)
        inside = ~np.isnan(padded)
        out[place] = (both * np.where(inside, padded, 0)).sum() / (both * inside).sum()
    return out


@pytest.mark.parametrize(("border", "sizes"), [("edge", SIZES), ("constant", (256, 310))])
@pytest.mark.parametrize("dtype", [dtype for dtype in DTYPES if dtype != "float32"])
@pytest.mark.parametrize(("degrees", "scale"), [(7.3, 2.9), (-31, 4.4), (90.5, 7.0)])
def test_it_agrees_with_its_twin(dtype, degrees, scale, border, sizes):
    """Noise, odd sizes where there is an edge, and outputs beyond the image."""
    stored = noise((1, *sizes), dtype)
    to_stored = rotation(degrees, scale, sizes, NEW)
    to_stored[:, 2] += (-40, 30)
    low, high = (np.iinfo(dtype).min // 4, np.iinfo(dtype).max // 4)
    fill = float(low)

    how = {"filter": "antialias", "border": border, "fill": [fill], "before": [Tone(low=low, high=high)]}
    made = run(stored, (1, *NEW), to_stored, quality="fast", **how)

    expected = fast_twin(np.clip(stored[0].astype(float), low, high), to_stored, NEW, border, fill)
    assert_allclose(made[0], expected, atol=3e-4 * (high - low))
    assert np.abs(made - run(stored, (1, *NEW), to_stored, **how)).max() > 0


@pytest.mark.parametrize("window", [300, 4095, 9000, 30000])
@pytest.mark.parametrize("scale", [2.85, 3.5, 5.3, 11.0])
def test_its_error_on_a_picture_is_below_48_decibels(scale, window):
    """The whole of an image with edges, a slope and noise, as a radiograph has them; words of every width."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:701, :640]
    shapes = 0.3 + 0.3 * np.sin(x / 40) + 0.2 * ((x - 300) ** 2 + (y - 350) ** 2 < 180**2) + 0.1 * y / 700
    stored = np.clip((shapes + generator.normal(0, 0.03, shapes.shape)) * window, 0, window).astype(np.uint16)[None]
    new = (int(701 / scale), int(640 / scale))
    to_stored = rotation(7.3, scale, stored.shape[1:], new)
    tone = [Tone(slope=1 / window, low=0, high=1)]

    exact = run(stored, (1, *new), to_stored, filter="antialias", before=tone)
    fast = run(stored, (1, *new), to_stored, filter="antialias", before=tone, quality="fast")

    error = np.sqrt(np.mean((fast - exact) ** 2))
    assert 0 < error < 10 ** (-48 / 20)


def test_beside_a_sharp_edge_it_is_off_by_at_most_a_sixth_of_the_step():
    y, x = np.mgrid[:700, :640]
    stored = ((x // 16 + y // 16) % 2 * 4095).astype(np.uint16)[None]
    to_stored = rotation(7.3, 2.85, (700, 640), (150, 130))
    how = {"filter": "antialias", "before": [Tone(slope=1 / 4095, low=0, high=1)]}

    exact, fast = (run(stored, (1, 150, 130), to_stored, quality=quality, **how) for quality in ("exact", "fast"))

    assert 0.1 < np.abs(fast - exact).max() < 0.175


def test_a_flat_image_stays_flat():
    stored = np.full((1, *SIZES), 1234, np.uint16)

    out = run(stored, (1, *NEW), rotation(9, 3.7, SIZES, NEW), filter="antialias", quality="fast")

    assert_allclose(out, 1234, rtol=1e-6)


@pytest.mark.parametrize("threads", [2, 8])
def test_threads_change_nothing(threads):
    stored = noise((2, *SIZES), "int16")
    how = {"filter": "antialias", "quality": "fast"}
    to_stored = rotation(12, 3.1, SIZES, (90, 80))

    one, several = (run(stored, (2, 90, 80), to_stored, threads=count, **how) for count in (1, threads))

    assert_array_equal(one.view(np.uint32), several.view(np.uint32))


@pytest.mark.parametrize(
    ("dtype", "sizes", "to_stored", "how"),
    [
        ("uint16", SIZES, rotation(7, LEAST - 0.01, SIZES, NEW), {}),
        ("float32", SIZES, rotation(7, 4, SIZES, NEW), {}),
        ("uint16", SIZES, rotation(7, 4, SIZES, NEW), {"filter": "linear"}),
        ("uint16", SIZES, rotation(7, 4, SIZES, NEW), {"filter": "nearest"}),
        ("uint16", SIZES, resize(SIZES, NEW), {}),
        ("uint16", SIZES, rotation(7, 4, SIZES, NEW), {"border": "constant", "fill": [9.0]}),
        ("uint16", (255, 310), rotation(7, 4, SIZES, NEW), {}),
    ],
)
def test_where_it_does_not_pay_it_is_the_exact_answer(dtype, sizes, to_stored, how):
    stored = noise((1, *sizes), dtype)
    how = {"filter": "antialias", "before": [Tone(low=0, high=255)]} | how

    exact, fast = (run(stored, (1, *NEW), to_stored, quality=quality, **how) for quality in ("exact", "fast"))

    assert_array_equal(exact, fast)


def test_an_unknown_quality_is_refused():
    with pytest.raises(ValueError, match="no quality named 'best'; there are exact, fast"):
        run(noise((1, 9, 9)), (1, 9, 9), np.eye(2, 3), quality="best")


def test_a_preprocessing_says_which_quality_it_is():
    exact, fast = Preprocessing(), Preprocessing(quality="fast")

    assert Preprocessing.from_json(fast.to_json()).quality == "fast"
    assert exact.plan_id != fast.plan_id
