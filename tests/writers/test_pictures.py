"""Pictures show what a viewer would show, with what the model said at its right place."""

import numpy as np
import pytest
from PIL import Image as Picture
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_rescale, pixel_array
from writers.pages import decoded

from medplug.demo.dataset import SCANNERS, exposures
from medplug.sources import from_array, read
from medplug.writers.pictures import grey, heat, inferno, outlines, show


@pytest.mark.parametrize("scanner", SCANNERS, ids=lambda scanner: scanner.name)
def test_a_radiograph_is_shown_as_it_was_drawn_whatever_the_scanner_stored(tmp_path, scanner):
    exposure = next(one for one in exposures(12) if one.scanner is scanner)
    exposure.dataset().save_as(tmp_path / "x.dcm", enforce_file_format=True)
    [case] = read(str(tmp_path / "x.dcm"))

    shown = show(case.image)

    drawn = exposure.render().image
    assert shown.size == drawn.shape[::-1]
    assert np.abs(decoded(shown.uri) - 255 * drawn.astype(np.float64)).max() <= 1


def test_a_ct_without_a_window_is_shown_between_its_own_percentiles():
    dataset = dcmread(get_testdata_file("CT_small.dcm"))
    [case] = read(get_testdata_file("CT_small.dcm"))

    picture = decoded(show(case.image).uri)

    hounsfield = apply_rescale(pixel_array(dataset), dataset)
    low, high = np.percentile(hounsfield, [0.5, 99.5])
    expected = 255 * np.clip((hounsfield - low) / (high - low), 0, 1)
    assert np.abs(picture - expected).max() <= 2


def test_a_large_image_is_reduced_and_a_small_one_is_left():
    large = show(from_array(np.zeros((1024, 2048), np.uint8)).image)
    small = show(from_array(np.zeros((28, 30), np.uint8)).image)

    assert (large.size, small.size) == ((512, 256), (30, 28))
    assert decoded(large.uri).shape == (256, 512)


def test_pixels_that_are_not_square_keep_their_proportion():
    shown = show(from_array(np.zeros((50, 100), np.uint8), spacing=(2.0, 1.0)).image)

    assert shown.size == (100, 100)


@pytest.mark.parametrize(("slices", "middle"), [(5, 3), (6, 3), (1, 1)])
def test_of_a_volume_the_middle_slice_is_shown_and_numbered(slices, middle):
    volume = np.arange(1, slices + 1, dtype=np.uint8)[:, None, None] * np.full((1, 20, 30), 20, np.uint8)

    shown = show(from_array(volume).image)

    assert (shown.slice, shown.slices) == (middle, slices)
    assert np.all(decoded(shown.uri) == 20 * middle)


def test_colour_stays_colour():
    red = np.zeros((10, 10, 3), np.uint8)
    red[..., 0] = 200

    picture = decoded(show(from_array(red).image).uri)

    assert np.array_equal(picture, red)


def test_the_colours_of_a_heat_map_are_those_of_inferno_and_rise_in_lightness():
    matplotlib = pytest.importorskip("matplotlib")
    values = np.linspace(0, 1, 101)

    colours = inferno(values)

    expected = 255 * matplotlib.colormaps["inferno"](values)[:, :3]
    assert np.abs(colours - expected).max() < 20  # nine points of it
    luma = colours @ np.array([0.2126, 0.7152, 0.0722])
    assert np.all(np.diff(luma) > 0)


def test_a_heat_map_is_clear_where_there_is_nothing_and_dense_where_there_is_most():
    array = np.zeros((40, 60), np.float32)
    array[10:20, 30:40] = 0.5
    array[30:, 50:] = 1

    picture = decoded(heat(array, 0.0, 1.0))

    assert picture.shape == (40, 60, 4)
    assert picture[5, 5, 3] == 0
    assert 0 < picture[15, 35, 3] < picture[35, 55, 3] < 255


def test_outlines_run_along_the_mask_inside_it():
    mask = np.zeros((60, 80), np.uint8)
    mask[20:40, 30:50] = 1

    picture = decoded(outlines(mask, (80, 60), np.array([(10, 20, 30)], np.uint8)))

    line = picture[..., 3] == 255
    expected = np.zeros((60, 80), bool)
    expected[20:40, 30:50] = True
    expected[22:38, 32:48] = False
    assert np.array_equal(line, expected)
    assert np.all(picture[line][:, :3] == (10, 20, 30))
    assert not picture[mask == 0, 3].any()


def test_a_reconstruction_is_shown_at_the_size_of_the_picture_beside_it():
    picture = decoded(grey(np.full((20, 30), 0.5, np.float32), (60, 40)))

    assert picture.shape == (40, 60)
    assert np.all(picture == 128)


def test_maps_of_a_volume_show_the_slice_that_the_picture_shows():
    volume = np.zeros((6, 20, 20), np.float32)
    volume[2] = 1

    assert decoded(heat(volume, 0.0, 1.0))[..., 3].min() > 150
    assert isinstance(Picture.fromarray(decoded(grey(volume, (20, 20)))), Picture.Image)
