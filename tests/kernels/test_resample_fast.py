"""The fast quality: two by two pixels become one, smoothed, and outputs lie between four of these."""

import numpy as np
import pytest
from kernels.calls import DTYPES, noise, run
from kernels.reference import resize, rotation
from numpy.testing import assert_allclose, assert_array_equal

from medplug._kernels import Tone

SIZES = (431, 510)
LEAST, MOST = 2.4, 7.5


def shrunk(scale):
    """The size of an output that shows the whole image."""
    return tuple(int(size / scale) for size in SIZES)


def between(pixel, share):
    """The weights of the pixels -10 to 10 that lie before and after a position, as running sums."""
    pixels = np.arange(-10, 11)
    return np.cumsum((pixels == pixel) * (1 - share) + (pixels == pixel + 1) * share)


def smoothing(scale):
    """Five weights: those under which an edge becomes most like what the triangle makes of it, least squares."""
    pixels = 2 * np.arange(-10, 11)
    changes, wanted = [], []
    for share in (np.arange(8) + 0.5) / 8:
        position = 2 * share + 0.5
        triangle = sum(np.maximum(0, 1 - np.abs(pixels + i - position) / scale) for i in (0, 1))
        middle = between(0, share)
        changes.append([between(-d, share) + between(d, share) - 2 * middle for d in (1, 2)])
        wanted.append(np.cumsum(triangle / triangle.sum()) - middle)
    changes = np.concatenate(changes, axis=1).T
    beside, beyond = np.linalg.lstsq(changes, np.concatenate(wanted), rcond=None)[0]
    if beyond < 0:  # it would overshoot
        beside, beyond = np.linalg.lstsq(changes[:, :1], np.concatenate(wanted), rcond=None)[0][0], 0
    return np.array([beyond, beside, 1 - 2 * (beside + beyond), beside, beyond])


def fast_twin(image, to_stored, new):
    """In float64. What lies within three pixels of the half's edge means nothing."""
    rows, columns = (size // 2 for size in image.shape)
    half = image[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2).mean(axis=(1, 3))
    for axis, scale in enumerate(np.linalg.norm(to_stored[:, :2], axis=1)):
        half = np.apply_along_axis(np.convolve, axis, half, smoothing(scale), mode="same")
    places = np.moveaxis(np.indices(new), 0, -1) @ to_stored[:, :2].T + to_stored[:, 2]
    row, column = np.moveaxis(np.clip((places - 0.5) / 2, 0, [rows - 1.001, columns - 1.001]), -1, 0)
    top, left = row.astype(int), column.astype(int)
    down, right = row - top, column - left
    above = half[top, left] * (1 - right) + half[top, left + 1] * right
    below = half[top + 1, left] * (1 - right) + half[top + 1, left + 1] * right
    return above * (1 - down) + below * down


@pytest.mark.parametrize("border", ["edge", "constant"])
@pytest.mark.parametrize("dtype", [dtype for dtype in DTYPES if dtype != "float32"])
@pytest.mark.parametrize(("degrees", "scale"), [(7.3, 2.5), (-31, 3.5), (90.5, 4.4), (12, 7.2)])
def test_it_agrees_with_its_twin(dtype, degrees, scale, border):
    """Noise, odd sizes and outputs beyond the image: near the edges every output is the exact one."""
    stored = noise((1, *SIZES), dtype)
    new = shrunk(scale)
    to_stored = rotation(degrees, scale, SIZES, new)
    low, high = (np.iinfo(dtype).min // 4, np.iinfo(dtype).max // 4)
    how = {"filter": "antialias", "border": border, "fill": [float(low)], "before": [Tone(low=low, high=high)]}

    made, exact = (run(stored, (1, *new), to_stored, quality=quality, **how)[0] for quality in ("fast", "exact"))

    apart = np.abs(made - fast_twin(np.clip(stored[0].astype(float), low, high), to_stored, new)) / (high - low)
    same = np.abs(made - exact) < 1e-4 * (high - low)  # tiles of another size round positions otherwise
    assert np.where(same, 0, apart).max() < 3e-4
    assert 0.1 < np.mean(~same) < 1


@pytest.mark.parametrize("window", [300, 4095, 9000, 30000])
@pytest.mark.parametrize("scale", [2.45, 3.5, 5.3, 7.4])
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


def test_beside_a_sharp_edge_it_is_off_by_at_most_an_eighth_of_the_step():
    y, x = np.mgrid[:700, :640]
    stored = ((x // 16 + y // 16) % 2 * 4095).astype(np.uint16)[None]
    to_stored = rotation(7.3, 2.45, (700, 640), (250, 230))
    how = {"filter": "antialias", "before": [Tone(slope=1 / 4095, low=0, high=1)]}

    exact, fast = (run(stored, (1, 250, 230), to_stored, quality=quality, **how) for quality in ("exact", "fast"))

    assert 0.05 < np.abs(fast - exact).max() < 0.125
    assert fast.min() > -1e-6
    assert fast.max() < 1 + 1e-6


@pytest.mark.parametrize(("high", "off"), [(255, 0), (4095, 0), (16383, 0), (16385, 2), (32767, 4)])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_flat_image_stays_flat_and_in_its_window(high, off, share):
    """Words of 15 bits lose one or two of them."""
    stored = np.full((1, *SIZES), round(high * share), np.uint16)
    stored[0, :40] = 0
    new = shrunk(3.7)
    how = {"filter": "antialias", "quality": "fast", "before": [Tone(low=0, high=high)]}

    out = run(stored, (1, *new), rotation(9, 3.7, SIZES, new), **how)

    flat = out[0, 45:-25, 25:-25]
    assert_allclose(flat, stored[0, -1, -1], rtol=1e-6, atol=off)
    assert out.max() <= high * (1 + 1e-6)


@pytest.mark.parametrize("threads", [2, 8])
def test_threads_change_nothing(threads):
    stored = noise((2, *SIZES), "int16")
    new = shrunk(3.1)
    how = {"filter": "antialias", "before": [Tone(low=-9000, high=9000)] * 2}
    to_stored = rotation(12, 3.1, SIZES, new)

    one, several = (run(stored, (2, *new), to_stored, threads=count, quality="fast", **how) for count in (1, threads))

    assert_array_equal(one.view(np.uint32), several.view(np.uint32))
    assert np.abs(one - run(stored, (2, *new), to_stored, **how)).max() > 1  # it is the fast one


@pytest.mark.parametrize(
    ("dtype", "sizes", "scale", "how"),
    [
        ("uint16", SIZES, LEAST - 0.01, {}),
        ("uint16", SIZES, MOST + 0.01, {}),
        ("float32", SIZES, 4, {}),
        ("uint16", SIZES, 4, {"filter": "linear"}),
        ("uint16", SIZES, 4, {"filter": "nearest"}),
        ("uint16", (255, 510), 4, {}),
    ],
)
def test_where_it_does_not_pay_it_is_the_exact_answer(dtype, sizes, scale, how):
    stored = noise((1, *sizes), dtype)
    new = tuple(int(size / scale) for size in sizes)
    how = {"filter": "antialias", "before": [Tone(low=0, high=255)]} | how

    exact, fast = (
        run(stored, (1, *new), rotation(7, scale, sizes, new), quality=quality, **how) for quality in ("exact", "fast")
    )

    assert_array_equal(exact, fast)


def test_a_plain_resize_is_the_exact_answer():
    stored = noise((1, *SIZES), "uint16")

    exact, fast = (
        run(stored, (1, *shrunk(4)), resize(SIZES, shrunk(4)), filter="antialias", quality=quality)
        for quality in ("exact", "fast")
    )

    assert_array_equal(exact, fast)


def test_an_unknown_quality_is_refused():
    with pytest.raises(ValueError, match="no quality named 'best'; there are exact, fast"):
        run(noise((1, 9, 9)), (1, 9, 9), np.eye(2, 3), quality="best")
