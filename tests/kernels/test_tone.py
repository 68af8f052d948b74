"""`Tone`: what it holds, refuses and does to values."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.calls import run
from kernels.reference import tone_reference
from numpy.testing import assert_allclose, assert_array_equal

from medplug._kernels import Tone


def toned(tone, values):
    stored = np.asarray(values, np.float32)[None, None]
    return run(stored, stored.shape, np.eye(2, 3), before=[tone])[0, 0]


def test_a_tone_says_what_it_was_given_and_cannot_change():
    table = np.array([1, 2, 3], np.float32)
    tone = Tone(table=table, first=-1, slope=2, intercept=3, low=-4, high=5, gamma=0.5, scale=6, offset=7, sigmoid=True)
    table[0] = 99

    assert_array_equal(tone.table, [1, 2, 3])
    assert (tone.first, tone.slope, tone.intercept, tone.low, tone.high) == (-1, 2.0, 3.0, -4.0, 5.0)
    assert (tone.sigmoid, tone.gamma, tone.scale, tone.offset) == (True, 0.5, 6.0, 7.0)
    with pytest.raises(AttributeError):
        tone.slope = 1.0
    with pytest.raises(ValueError, match="read-only"):
        tone.table[0] = 1


def test_the_default_tone_changes_nothing():
    tone = Tone()

    assert tone.table is None
    assert (tone.low, tone.high) == (-np.inf, np.inf)
    values = [-np.inf, -3e38, -1e-40, 0, 0.1, 3e38, np.inf, np.nan]
    assert_array_equal(toned(tone, values), np.asarray(values, np.float32))


def test_a_table_outlives_its_tone():
    table = Tone(table=np.arange(1000, dtype=np.float32)).table

    assert_array_equal(table, np.arange(1000))


def test_a_table_rounds_and_clamps_its_index():
    tone = Tone(table=np.array([10, 20, 30], np.float32), first=5)

    values = [-np.inf, -1e30, 5, 5.4, 5.5, 6.49, 6.5, 8, 1e30, np.inf]

    assert_array_equal(toned(tone, values), [10, 10, 10, 10, 20, 20, 30, 30, 30, 30])


@pytest.mark.parametrize(
    "tone",
    [
        Tone(slope=3, intercept=1, low=0, high=1, scale=2, offset=1),
        Tone(sigmoid=True),
        Tone(gamma=0.5, low=0, high=1),
        Tone(table=np.array([1, 2], np.float32)),
        Tone(slope=0),
    ],
)
def test_nan_stays_nan(tone):
    assert_array_equal(np.isnan(toned(tone, [0.25, np.nan, 0.75])), [False, True, False])


def test_values_below_zero_have_gamma_of_zero():
    assert_array_equal(toned(Tone(gamma=0.5), [-4, 0, 4]), [0, 0, 2])


def test_a_sigmoid_saturates():
    assert_array_equal(toned(Tone(sigmoid=True), [-1e30, 0, 1e30, -np.inf, np.inf]), [0, 0.5, 1, 0, 1])


def test_a_narrow_window_on_wide_values_keeps_its_precision():
    values = np.linspace(60000, 60001, 33)
    tone = Tone(slope=1, intercept=-60000, low=0, high=1)

    assert_allclose(toned(tone, values), np.float32(values) - 60000.0, atol=1e-7)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=40),
    st.booleans(),
    st.integers(-1000, 1000),
    st.floats(-10, 10),
    st.floats(-10, 10),
    st.tuples(st.floats(-10, 10), st.floats(-10, 10)).map(sorted),
    st.booleans(),
    st.sampled_from([1.0, 0.45, 1.8]),
    st.floats(-10, 10),
)
def test_any_tone_agrees_with_the_twin(values, with_table, first, slope, intercept, ends, sigmoid, gamma, offset):
    table = np.linspace(-3, 3, 77).astype(np.float32) if with_table else None
    tone = Tone(
        table=table,
        first=first,
        slope=slope,
        intercept=intercept,
        low=ends[0],
        high=ends[1],
        sigmoid=sigmoid,
        gamma=gamma,
        scale=3,
        offset=offset,
    )

    expected = tone_reference(tone, np.asarray(values, np.float32))

    assert_allclose(toned(tone, values), expected, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"slope": np.nan}, "slope is nan"),
        ({"intercept": np.inf}, "intercept is inf"),
        ({"scale": -np.inf}, "scale is -inf"),
        ({"offset": np.nan}, "offset is nan"),
        ({"gamma": 0}, "gamma is 0.000000; a positive number is needed"),
        ({"gamma": np.nan}, "gamma is nan"),
        ({"low": 2, "high": 1}, "low must not exceed high"),
        ({"low": np.nan}, "neither may be NaN"),
        ({"first": 2**40}, "first is 1099511627776"),
        ({"table": np.zeros((2, 2), np.float32)}, "table has 2 axes; one is needed"),
        ({"table": np.zeros(0, np.float32)}, "table is empty"),
        ({"table": np.array([0, np.inf], np.float32)}, "table[1] is inf"),
    ],
)
def test_senseless_numbers_are_refused(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Tone(**arguments)


def test_a_table_of_another_type_is_refused():
    with pytest.raises(TypeError, match="table holds float64; float32"):
        Tone(table=np.zeros(3))


@pytest.mark.parametrize("attribute", ["table", "first", "slope", "low", "sigmoid"])
def test_a_tone_that_was_never_initialised_has_no_attributes(attribute):
    with pytest.raises(TypeError, match="self is a Tone that was never initialised"):
        getattr(Tone.__new__(Tone), attribute)


def test_a_tone_that_was_never_initialised_is_refused():
    with pytest.raises(TypeError, match=r"before\[0\] is a Tone that was never initialised; call Tone"):
        run(np.zeros((1, 2, 2), np.uint8), (1, 2, 2), np.eye(2, 3), before=[Tone.__new__(Tone)])
