"""What `resample` must give exactly, and at the extremes."""

import resource
from typing import Any

import numpy as np
import pytest
from kernels.calls import DTYPES, QUARTER_TURN, noise, plain, run
from kernels.reference import resample_reference, resize, rotation, rounding
from numpy.testing import assert_allclose, assert_array_equal

from medplug._kernels import Tone

FILTERS = ["nearest", "linear", "antialias"]
BORDERS = ["edge", "constant"]
EYE = np.eye(2, 3)


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_identity_is_exact(dtype, border, filter):
    stored = noise((2, 40, 35), dtype)

    assert_array_equal(run(stored, stored.shape, EYE, filter=filter, border=border), stored)


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("border", BORDERS)
def test_the_identity_of_a_volume_is_exact(border, filter):
    stored = noise((1, 11, 20, 9))

    assert_array_equal(run(stored, stored.shape, np.eye(3, 4), filter=filter, border=border), stored)


@pytest.mark.parametrize("filter", FILTERS)
def test_a_crop_is_exact(filter):
    stored = noise((1, 30, 20))

    assert_array_equal(run(stored, (1, 7, 9), [[1, 0, 12], [0, 1, 3]], filter=filter), stored[:, 12:19, 3:12])


@pytest.mark.parametrize("filter", FILTERS)
def test_a_flip_is_exact(filter):
    stored = noise((1, 5, 4))

    assert_array_equal(run(stored, (1, 5, 4), [[-1, 0, 4], [0, -1, 3]], filter=filter), stored[:, ::-1, ::-1])


@pytest.mark.parametrize("filter", FILTERS)
def test_a_quarter_turn_is_exact(filter):
    stored = noise((1, 5, 4))

    assert_array_equal(run(stored, (1, 4, 5), QUARTER_TURN, filter=filter), np.rot90(stored, 1, (1, 2)))


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("filter", FILTERS)
def test_a_quarter_turn_composed_from_cosines_is_exact_too(filter, border):
    stored = noise((1, 51, 51), "float32")
    stored[0, 20, 30] = np.nan

    turned = run(stored, (1, 51, 51), rotation(90, 1, (51, 51), (51, 51)), filter=filter, border=border)

    assert_array_equal(turned, np.rot90(stored, 1, (1, 2)))


def test_axes_of_a_volume_may_trade_places():
    stored = noise((1, 3, 4, 5))

    turned = run(stored, (1, 5, 3, 4), [[0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]])

    assert_array_equal(turned, stored.transpose(0, 3, 1, 2))


def test_a_pad_repeats_the_edge_or_takes_the_fill():
    stored = noise((1, 3, 2))
    frame = [[1, 0, -2], [0, 1, -1]]

    assert_array_equal(run(stored, (1, 7, 4), frame), np.pad(stored, ((0, 0), (2, 2), (1, 1)), "edge"))
    assert_array_equal(
        run(stored, (1, 7, 4), frame, border="constant", fill=[7.5]),
        np.pad(stored.astype(float), ((0, 0), (2, 2), (1, 1)), constant_values=7.5),
    )


def test_half_a_pixel_outside_the_fill_counts_half():
    stored = np.full((1, 3, 3), 10, np.uint8)

    row = run(stored, (1, 3, 4), [[1, 0, 0], [0, 1, -0.5]], border="constant", fill=[2.0])[0, 1]

    assert_array_equal(row, [6, 10, 10, 6])


def test_the_fill_is_a_value_between_before_and_after():
    stored = np.zeros((1, 2, 2), np.uint8)
    before, after = Tone(slope=2, intercept=1), Tone(scale=10)

    out = run(stored, (1, 1, 2), [[1, 0, 0], [0, 9, 0]], before=[before], after=[after], border="constant", fill=[3])

    assert_array_equal(out, [[[10, 30]]])


def test_ties_of_nearest_go_up_also_under_rounding_noise():
    stored = np.arange(20, dtype=np.int16).reshape(1, 1, 20)
    noisy = [[1, 0, 0], [0, 2 * (1 + 1e-15), 0.5 - 1e-13]]

    assert_array_equal(run(stored, (1, 1, 9), noisy, filter="nearest")[0, 0], np.arange(9) * 2 + 1)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 6), (1, 6, 1), (1, 1, 1, 1), (1, 1, 5, 1), (1, 4, 1, 3)])
def test_single_pixels_and_thin_images_agree_with_the_twin(shape, filter, border):
    stored = noise(shape, "uint8")
    new = tuple(n + 2 for n in shape[1:])
    for to_stored in (resize(shape[1:], new), rotation(30, 1.5, shape[1:], new)):
        how = plain(1, filter=filter, border=border, fill=[-3.0])
        out = run(stored, (1, *new), to_stored, **how)

        assert_allclose(
            out, resample_reference(stored, out, to_stored, **how), atol=1e-4 + rounding(stored, to_stored, **how)
        )


@pytest.mark.parametrize("turned", [0.0, 0.3])
def test_one_pixel_of_a_huge_scale_is_the_mean(turned):
    stored = noise((1, 60, 50), "uint16")
    scale = 1e12 * np.array([[np.cos(turned), np.sin(turned), 0], [-np.sin(turned), np.cos(turned), 0]])

    out = run(stored, (1, 1, 1), scale, filter="antialias")

    assert_allclose(out, stored.mean(), rtol=1e-6)


@pytest.mark.parametrize("turned", [0.0, 0.3])
@pytest.mark.parametrize("scale", [1e6, 1e12, 1e90])
def test_a_huge_scale_leaves_nearly_nothing_of_the_image_to_a_constant_border(turned, scale):
    stored = np.full((1, 60, 50), 200, np.uint8)
    linear = scale * np.array([[np.cos(turned), np.sin(turned), 0], [-np.sin(turned), np.cos(turned), 0]])

    out = run(stored, (1, 2, 2), linear, filter="antialias", border="constant", fill=[5.0])

    assert_allclose(out, 5.0, atol=1e-6)


def test_the_constant_border_keeps_its_share_under_a_wide_filter():
    stored = noise((1, 4, 3), "uint8")
    for to_stored in (np.array([[5.7, 0, -3.2], [0, 6.3, 1.0]]), rotation(20, 9.3, (4, 3), (4, 4))):
        how = plain(1, filter="antialias", border="constant", fill=[100.0])
        out = run(stored, (1, 4, 4), to_stored, **how)

        assert_allclose(
            out, resample_reference(stored, out, to_stored, **how), atol=1e-4 + rounding(stored, to_stored, **how)
        )


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("far", [1e6, 1e12, -1e12, 1e19, -1e99])
@pytest.mark.parametrize("shear", [0.0, 0.25])
def test_far_outside_there_is_only_the_border(shear, far, filter):
    stored = noise((1, 5, 6))
    to_stored = [[0.75, shear, far], [shear, 0.75, far]]
    corner = stored[0, -1, -1] if far > 0 else stored[0, 0, 0]

    assert_array_equal(run(stored, (1, 3, 3), to_stored, filter=filter), np.full((1, 3, 3), corner))
    filled = run(stored, (1, 3, 3), to_stored, filter=filter, border="constant", fill=[4.25])
    assert_array_equal(filled, np.full((1, 3, 3), 4.25))


def test_a_wide_pad_costs_no_more_memory_than_the_image():
    stored = noise((1, 1, 200), "uint8")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    out = run(stored, (1, 1, 1_000_000), [[1, 0, 0], [0, 180.0, 0]], filter="antialias")

    assert_array_equal(out[0, 0, 3:], np.full(999_997, out[0, 0, -1]))
    growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert growth < 300_000  # KiB; a window for each output pixel would take 1.6 GB


@pytest.mark.parametrize("step", [[[0.5, 0, 0], [0, 0.5, 0]], [[0.5, 0.25, 0], [-0.25, 0.5, 2]]])
def test_nan_reaches_exactly_the_pixels_whose_filter_touches_it(step):
    stored = noise((1, 6, 6), "float32")
    stored[0, 3, 2] = np.nan
    stored[0, 0, 5] = np.inf
    how = plain(1, before=[Tone(slope=0.5)], after=[Tone(scale=2)])

    out = run(stored, (1, 11, 11), step, **how)

    expected = resample_reference(stored, out, np.array(step), **how)
    assert np.isnan(expected).sum() in range(4, 30)
    assert_allclose(out, expected, rtol=1e-5)


def test_a_matrix_mixes_channels_before_the_tones():
    stored = noise((3, 6, 5), "uint8")
    matrix = np.array([[0.299, 0.587, 0.114], [-1.0, 0.5, 2.0]])
    how = plain(2, matrix=matrix, before=[Tone(slope=2), Tone(low=0, high=100)])

    for to_stored in (resize((6, 5), (4, 4)), rotation(15, 1.2, (6, 5), (4, 4))):
        out = run(stored, (2, 4, 4), to_stored, **how)

        assert_allclose(out, resample_reference(stored, out, to_stored, **how), atol=1e-3)


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("scale", [0.4, 9.0])
@pytest.mark.parametrize("shift", [0.0, -300.0])
def test_turned_images_of_several_tiles_agree_with_the_twin_inside_and_outside(shift, scale, border, filter):
    stored = noise((1, 90, 70))
    to_stored = rotation(31, scale, (90, 70), (34, 36))
    to_stored[:, -1] += shift
    how = plain(1, filter=filter, border=border, fill=[7.0])
    expected = resample_reference(stored, np.empty((1, 34, 36)), to_stored, **how)

    made = run(stored, (1, 34, 36), to_stored, filter=filter, border=border, fill=[7.0])

    # Where a position falls half-way between two pixels, nearest may take either.
    wrong = np.abs(made - expected) > 0.5
    assert wrong.sum() <= (2 if filter == "nearest" else 0)


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize(
    ("stored_shape", "new"), [((70, 45), (37, 41)), ((9, 20), (50, 30)), ((20, 12, 13), (9, 18, 6))]
)
def test_images_of_several_blocks_agree_with_the_twin(stored_shape, new, border, filter):
    stored = noise((1, *stored_shape), "uint16")
    how = plain(1, filter=filter, border=border, fill=[30000.0])
    to_stored = resize(stored_shape, new)
    to_stored[:, -1] += 0.3  # away from the ties of nearest

    out = run(stored, (1, *new), to_stored, **how)

    off = 0.01 + rounding(stored, to_stored, **how)
    assert_allclose(out, resample_reference(stored, out, to_stored, **how), atol=off)


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("border", BORDERS)
def test_an_oblique_volume_agrees_with_the_twin(border, filter):
    stored = noise((1, 9, 8, 10), "int16")
    how = plain(1, filter=filter, border=border, fill=[500.0])
    to_stored = np.array([[1.1, 0.4, -0.5, 2.3], [-0.3, 1.6, 0.7, -0.9], [0.6, -0.2, 0.9, 1.7]])

    out = run(stored, (1, 6, 5, 7), to_stored, **how)

    off = 0.01 + rounding(stored, to_stored, **how)
    assert_allclose(out, resample_reference(stored, out, to_stored, **how), atol=off)


def _unaligned(image: Any) -> Any:
    records = np.zeros(image.shape, np.dtype([("pad", "u1"), ("value", image.dtype)]))
    records["value"] = image
    return records["value"]


LAYOUTS = {
    "negative": lambda image: image[:, ::-1, ::-1],
    "transposed": lambda image: image.transpose(0, 2, 1),
    "channels last": lambda image: np.ascontiguousarray(image.transpose(1, 2, 0)).transpose(2, 0, 1),
    "every third": lambda image: image[:, ::2, 1::3],
    "broadcast": lambda image: np.broadcast_to(image[:, :1], image.shape),
    "inside a larger one": lambda image: np.pad(image, 3)[3:-3, 3:-3, 3:-3],
    "unaligned": _unaligned,
    "Fortran": np.asfortranarray,
}


@pytest.mark.parametrize("turned", [0, 25])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_every_layout_gives_what_its_contiguous_copy_gives(dtype, layout, turned):
    stored = LAYOUTS[layout](noise((4, 13, 17), dtype))
    stored.flags.writeable = False
    to_stored = rotation(turned, 1.7, stored.shape[1:], (7, 6))

    out = run(stored, (4, 7, 6), to_stored, filter="antialias")

    assert_array_equal(out, run(np.ascontiguousarray(stored), (4, 7, 6), to_stored, filter="antialias"))
    how = plain(4, filter="antialias")
    expected = resample_reference(stored, out, to_stored, **how)
    assert_allclose(out, expected, atol=1e-4 + rounding(stored, to_stored, **how))


def test_a_map_that_rounds_coarsely_stays_inside_its_memory():
    """Near 1e17 neighbouring numbers lie 16 apart: a tile reads more pixels than its exact size says."""
    stored = np.ones((1, 1, 1, 1 << 20), np.uint8)
    to_stored = [[0, 1.0, 0, 0], [0, 0, 1.0, 0], [1e12, 9.0, 0, -1e17 + 160]]

    made = run(stored, (1, 100001, 2, 2), to_stored, border="constant")

    assert set(np.unique(made)) <= {0.0, 1.0}
