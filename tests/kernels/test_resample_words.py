"""Integers run in 16-bit words where words hold their values: what lies at the edge of that, and just beyond it."""

import numpy as np
import pytest
from kernels.calls import DTYPES, noise, plain, run
from kernels.reference import resample_reference, resize, rotation, rounding
from numpy.testing import assert_allclose

from medplug._kernels import Tone

INTEGERS = [dtype for dtype in DTYPES if dtype != "float32"]
SIZES, SMALLER, LARGER = (20, 23), (9, 11), (31, 30)
MAPS = {
    "smaller": (resize(SIZES, SMALLER), SMALLER),
    "larger": (resize(SIZES, LARGER), LARGER),
    "turned": (rotation(20, 1.8, SIZES, SMALLER), SMALLER),
    "turned and larger": (rotation(20, 0.7, SIZES, SMALLER), SMALLER),
}


def agrees(stored, to_stored, new, **how):
    out = run(stored, (1, *new), to_stored, **how)
    expected = resample_reference(stored, out, to_stored, **plain(1, **how))
    assert_allclose(out, expected, atol=rounding(stored, to_stored, **plain(1, **how)) + 1e-6, rtol=1e-6)


def window(center, width):
    return Tone(slope=1 / width, intercept=0.5 - center / width, low=0, high=1)


@pytest.mark.parametrize("width", [1e-6, 1e-3, 0.3, 0.999, 1.0, 1.5, 3.7, 40.1, 4095.3, 32766.5, 40000])
@pytest.mark.parametrize("name", ["smaller", "turned and larger"])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_a_window_of_any_width_agrees_with_the_twin(dtype, name, width):
    """DICOM's window of width 1 is a step: its ends lie between two stored values, as far apart as nothing."""
    stored = noise((1, *SIZES), dtype) % 5
    for center in (1.5, 2.0, 2.71, 3.0 - 1e-7):
        agrees(stored, *MAPS[name], filter="antialias", before=[window(center, width)])


@pytest.mark.parametrize("steps", [70.0, 10007.0, 1e6, 1e20, 1e40, 1e90])
def test_a_turned_map_of_huge_steps_reads_the_corners(steps):
    stored = noise((1, *SIZES))
    to_stored = np.array([[steps, steps / 2, 3.0], [-steps / 3, steps, 4.0]])
    window = {"before": [Tone(low=-500, high=900)]}

    agrees(stored, to_stored, (3, 3), **window)

    agrees(stored, np.array([[0.3, steps / 2, 0.0], [-0.2, steps, 5 - 63 * steps]]), (2, 64), **window)

    padded = run(stored, (1, 3, 3), to_stored, border="constant", fill=[7.0], **window)
    assert padded[0, 0, 0] == np.clip(stored[0, 3, 4], -500, 900)
    assert (padded.ravel()[1:] == 7).all()


def test_weights_kept_for_a_narrow_window_are_not_taken_for_a_wide_one():
    """Of one geometry: the wider the window, the fewer bits a weight may have before a sum leaves its integer."""
    sizes, new = (200, 60), (5, 6)
    stored = noise((1, *sizes), "uint16")

    for high in (100, 32766, 100):
        agrees(stored, resize(sizes, new), new, filter="antialias", before=[Tone(low=0, high=high)])


def test_more_weights_than_are_worth_keeping_take_the_exact_path():
    """Each output reads nearly all of a long row: 500 times 9000 weights."""
    stored = noise((1, 2, 9000), "uint8")
    to_stored = np.array([[1.0, 0.0, 0.0], [0.0, 8999.0, -200 * 8999.0]])

    agrees(stored, to_stored, (2, 500), filter="antialias", before=[Tone(low=0, high=200)])


@pytest.mark.parametrize("name", MAPS)
def test_a_line_afterwards_that_no_float_holds_keeps_zero_zero(name):
    to_stored, new = MAPS[name]

    out = run(np.zeros((1, *SIZES), np.uint8), (1, *new), to_stored, after=[Tone(scale=1e50)])

    assert (out == 0).all()


CURVES = {
    "gamma": Tone(slope=1 / 200, low=0, high=1, gamma=0.8),
    "gamma of a negative": Tone(slope=-1 / 200, intercept=1, low=0, high=1, gamma=1.2, scale=4, offset=-2),
    "gamma that nothing clamps": Tone(gamma=2),
    "sigmoid": Tone(slope=1 / 90, intercept=-0.4, sigmoid=True),
    "table": Tone(table=np.random.default_rng(3).uniform(-2, 2, 300).astype(np.float32), first=-20, slope=3),
    "table of whole numbers": Tone(
        table=np.random.default_rng(4).integers(-9, 30000, 250).astype(np.float32), first=3, slope=-0.3, high=-200
    ),
    "table of many whole numbers, and a power": Tone(
        table=np.arange(0, 32768, 8, dtype=np.float32), first=-9, slope=1 / 32768, low=0, high=1, gamma=0.7
    ),
    "table that words do not hold": Tone(table=np.array([0, 70000, 9], np.float32)),
    "flat table": Tone(table=np.full(4, 2.0, np.float32), gamma=2),
    "table of one half": Tone(table=np.full(4, 2.5, np.float32)),
    "table below a window": Tone(table=np.arange(9, dtype=np.float32), low=50, high=51),
    "table above a window": Tone(table=np.arange(9, dtype=np.float32), low=-51, high=-50),
    "power of next to nothing": Tone(low=0, high=1, gamma=2, scale=1e-305),
    "window beyond all values": Tone(low=70000, high=70001, gamma=1.1),
}


@pytest.mark.parametrize("filter", ["nearest", "linear", "antialias"])
@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("dtype", INTEGERS)
def test_a_curve_agrees_with_the_twin(dtype, curve, name, filter):
    stored = noise((1, *SIZES), dtype)
    to_stored, new = MAPS[name]
    to_stored = to_stored + np.array([0, 0, 0.013])  # away from the ties of nearest
    agrees(stored, to_stored, new, filter=filter, before=[CURVES[curve]])


def test_a_curve_is_looked_up_through_any_strides():
    stored = noise((1, 40, 46), "int16")[:, ::-2, ::2]

    agrees(stored, *MAPS["smaller"], before=[CURVES["sigmoid"]])


@pytest.mark.parametrize("curve", [name for name in CURVES if "table" not in name])
@pytest.mark.parametrize("name", MAPS)
def test_colour_read_as_grey_takes_a_curve_too(name, curve):
    stored = noise((3, *SIZES), "uint8")
    how = {"matrix": np.array([[0.299, 0.587, 0.114]]), "filter": "antialias", "before": [CURVES[curve]]}

    agrees(stored, *MAPS[name], **how)


STEEP = {
    "step": window(90, 1),
    "narrow sigmoid": Tone(slope=1, intercept=-90, sigmoid=True),
    "steep power": Tone(slope=1 / 255, low=0, high=1, gamma=0.3),
}


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("curve", STEEP)
def test_colour_is_not_rounded_before_a_steep_curve(curve, name):
    stored = noise((3, *SIZES), "uint8") // np.array([1, 2, 100], np.uint8)[:, None, None]
    to_stored, new = MAPS[name]
    how = {"matrix": np.array([[0.299, 0.587, 0.114]]), "filter": "antialias", "before": [STEEP[curve]]}

    out = run(stored, (1, *new), to_stored, **how)

    assert_allclose(out, resample_reference(stored, out, to_stored, **plain(1, **how)), atol=1e-6)


@pytest.mark.parametrize("name", MAPS)
def test_a_curve_after_another_does_not_magnify_what_was_rounded(name):
    """Dark values resized in linear light; a window of 50 values after a table of 32000."""
    to_stored, new = MAPS[name]
    light = {"before": [Tone(slope=1 / 255, low=0, high=1, gamma=2.2)], "after": [Tone(gamma=1 / 2.2, scale=255)]}
    table = Tone(table=np.arange(0, 32001, 8, dtype=np.float32))
    narrow = {"before": [table], "after": [window(1000, 50)]}
    for dark in (1, 2, 3):
        out = run(np.full((1, *SIZES), dark, np.uint8), (1, *new), to_stored, **light)
        assert_allclose(out, dark, atol=1e-4)
    stored = noise((1, *SIZES), "uint16") % 4001

    out = run(stored, (1, *new), to_stored, **narrow)

    assert_allclose(out, resample_reference(stored, out, to_stored, **plain(1, **narrow)), atol=1e-5)


@pytest.mark.parametrize("name", MAPS)
def test_what_is_outside_counts_nothing_inside(name):
    stored = noise((1, *SIZES), "uint8")
    to_stored, new = MAPS[name]
    how = {"filter": "antialias", "border": "constant", "before": [Tone(slope=1 / 255, low=0, high=1)]}

    inside = run(stored, (1, *new), to_stored, **how, fill=[0.0])
    far = run(stored, (1, *new), to_stored, **how, fill=[1e6])

    untouched = far < 2
    assert untouched.sum() > 20
    assert_allclose(far[untouched], inside[untouched], atol=1e-5)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_nothing_leaves_the_clamp(dtype):
    stored = np.sort(noise((1, *SIZES), dtype), axis=None).reshape(1, *SIZES)
    for low, high in [(10.4, 90.6), (10.4, 20010.7), (-3.3, 99.99)]:
        out = run(stored, (1, *SIZES), np.eye(2, 3), before=[window((low + high) / 2, high - low)])

        assert out.min() >= -1e-6
        assert out.max() <= 1 + 1e-6


@pytest.mark.parametrize("axis", [0, 1])
def test_weights_are_rounded_to_the_nearest_not_only_within_the_bound(axis):
    """Between black and white lines: a weight is off by 2^-15, its sum by 2^-16; the farther neighbour is 2^-14 off."""
    stored = np.zeros((1, 64, 64), np.uint16)
    stored.swapaxes(1, 1 + axis)[:, ::2] = 4095
    new = [64, 64]
    new[axis] = 467
    to_stored, how = resize((64, 64), new), {"before": [window(2047.5, 4095)]}

    words = run(stored, (1, *new), to_stored, **how)

    apart = np.abs(words - run(stored.astype(np.float32), (1, *new), to_stored, **how)).max()
    assert 2**-16 < apart < 2**-15 + 2**-16


def test_a_curve_of_few_pixels_of_a_large_image_agrees_with_the_twin():
    stored = noise((1, 300, 400), "uint16")
    to_stored = np.array([[1.0, 0.0, 100.25], [0.0, 1.0, 200.5]])

    agrees(stored, to_stored, (6, 5), before=[CURVES["gamma"]])
