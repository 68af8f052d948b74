"""Padding is no measurement: it takes no part in percentiles, is shown as background, and leaves other images alone."""

from dataclasses import replace

import numpy as np
import pytest

from medplug import Display, Percentiles, Preprocessing, Resize, Stored, Window, sources
from medplug.case import ValueMeaning
from medplug.pipeline import Pipeline
from medplug.tone import percentile_range

PADDED = np.array([[-2000, -2000, 100, 200], [-2000, 300, 400, 500]], np.int16)


@pytest.fixture
def padded(tmp_path):
    """A grey case with these pixels, whose values mean what keywords say."""

    def make(pixels=PADDED, **meaning):
        case = sources.from_array(pixels)
        image = replace(case.image, values=ValueMeaning(**meaning))
        return replace(case, images={"image": image})

    return make


def prepared(case, values, **how):
    return Pipeline(Preprocessing(values=values, **how)).prepare(case).arrays["image"][0]


@pytest.mark.parametrize(
    ("values", "meaning"),
    [
        (Window(300, 400), {}),
        (Window(300, 400), {"inverted": True}),
        (Window(-300, 400), {"rescale": (-1.0, 0.0)}),
        (Window(-300, 400), {"rescale": (-1.0, 0.0), "inverted": True}),
        (Display(fallback=Percentiles(0, 100)), {"inverted": True}),
    ],
)
def test_padding_is_black_whichever_way_values_are_shown(padded, values, meaning):
    shown = prepared(padded(padding=(-2000, -2000), **meaning), values)

    assert shown[PADDED == -2000].tolist() == [0, 0, 0]
    assert shown.max() == 1


def test_what_is_no_padding_keeps_its_value(padded):
    plain = prepared(padded(), Window(300, 400))
    shown = prepared(padded(padding=(-2000, -2000)), Window(300, 400))

    np.testing.assert_array_equal(shown[PADDED != -2000], plain[PADDED != -2000])


def test_padding_takes_no_part_in_percentiles(padded):
    image = padded(padding=(-2000, -2000)).image

    assert percentile_range(Percentiles(0, 100), image, image.read()) == (100, 500)


@pytest.mark.parametrize("shape", [(37, 41), (1100, 1100)])
def test_percentiles_are_those_of_the_other_pixels_however_many(padded, shape):
    rng = np.random.default_rng(0)
    pixels = rng.integers(-1000, 1000, shape).astype(np.int16)
    pixels[rng.random(shape) < 0.3] = -2000
    image = padded(pixels, padding=(-2000, -2000)).image

    found = percentile_range(Percentiles(0.5, 97.3), image, image.read())

    np.testing.assert_allclose(found, np.percentile(pixels[pixels != -2000], [0.5, 97.3]), atol=1e-6)


def test_the_neighbours_of_padding_are_mixed_with_background_and_not_with_its_value(padded):
    pixels = np.full((8, 8), 1000, np.int16)
    pixels[:, :3] = -2000
    pixels[0, 7] = 900
    case = padded(pixels, padding=(-2000, -2000))

    shown = prepared(case, Stored(), geometry=(Resize((8, 4)),))

    assert shown.min() >= 900


def test_a_range_of_padding_is_padding_throughout(padded):
    shown = prepared(padded(padding=(-2000, 200)), Window(400, 400))

    assert shown.ravel().tolist() == [0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.5, 0.75]


def test_an_image_of_padding_alone_is_left_as_it_is(padded):
    pixels = np.full((2, 4), -2000, np.int16)

    np.testing.assert_array_equal(prepared(padded(pixels, padding=(-2000, -2000)), Stored()), pixels)
