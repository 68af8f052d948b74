"""`percentiles` against NumPy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.calls import DTYPES, noise
from numpy.testing import assert_allclose

from medplug._kernels import percentiles

Q = [0, 0.5, 1, 25, 50, 50, 99.9, 100]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1,), (7,), (40, 30), (3, 20, 10), (2, 3, 40, 50)])
def test_percentiles_are_numpys(shape, dtype):
    stored = noise(shape, dtype)

    assert_allclose(percentiles(stored, Q), np.percentile(stored.astype(np.float64), Q), rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_ends_are_the_range(dtype):
    stored = noise((50, 60), dtype)

    assert percentiles(stored, [0, 100]) == [stored.min(), stored.max()]


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_percentiles_are_the_same_for_every_number_of_threads(dtype, threads):
    stored = noise((5, 300, 400), dtype)[:, ::-1, ::3]

    assert percentiles(stored, Q, threads=threads) == percentiles(np.ascontiguousarray(stored), Q)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), min_size=1, max_size=30),
    st.lists(st.floats(0, 100), min_size=1, max_size=4),
)
def test_floats_that_are_not_finite_do_not_count(values, q):
    stored = np.array(values, np.float32)
    finite = stored[np.isfinite(stored)].astype(np.float64)
    if len(finite) == 0:
        with pytest.raises(ValueError, match="stored holds no finite value"):
            percentiles(stored, q)
    else:
        assert_allclose(percentiles(stored, q), np.percentile(finite, q), rtol=1e-9, atol=abs(finite).max() * 1e-12)


def test_a_broadcast_array_counts_every_item():
    stored = np.broadcast_to(np.array([[1], [2], [4]], np.uint8), (3, 1000))

    assert percentiles(stored, [0, 50, 100]) == [1, 2, 4]


@pytest.mark.parametrize("q", [[-1], [101], [np.nan], [10**400]])
def test_percentages_beyond_a_hundred_are_refused(q):
    with pytest.raises(ValueError, match="q"):
        percentiles(noise((3, 3)), q)


@pytest.mark.parametrize("dtype", ["float64", "int32", ">i2"])
def test_other_types_are_refused(dtype):
    with pytest.raises(TypeError, match=f"stored holds {dtype}; uint8"):
        percentiles(np.zeros(3, dtype), [50])


@pytest.mark.parametrize("shape", [(), (1, 1, 1, 1, 1), (0,), (3, 0)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="stored"):
        percentiles(np.zeros(shape, np.uint8), [50])
