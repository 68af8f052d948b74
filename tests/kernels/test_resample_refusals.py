"""What `resample` refuses, and how it says so."""

import re

import numpy as np
import pytest
from kernels.calls import noise, plain, run
from numpy.testing import assert_array_equal

from medplug._kernels import Tone, resample

EYE = np.eye(2, 3)
SHAPE = (1, 4, 4)


@pytest.mark.parametrize("dtype", ["float64", "int32", "uint32", "bool", "complex64", "float16", ">u2", ">f4"])
def test_other_stored_types_are_named(dtype):
    stored = np.zeros(SHAPE, dtype)

    with pytest.raises(TypeError, match=rf"stored holds {re.escape(str(stored.dtype))}; uint8, int8, uint16, int16"):
        run(stored, SHAPE, EYE)


@pytest.mark.parametrize("dtype", ["float64", "int16", ">f4"])
def test_other_output_types_are_named(dtype):
    with pytest.raises(TypeError, match=rf"out holds {dtype}; float32"):
        resample(noise(SHAPE), np.zeros(SHAPE, dtype), EYE, **plain(1))


@pytest.mark.parametrize("argument", ["stored", "out", "to_stored"])
def test_a_list_is_no_array(argument):
    arguments = {"stored": noise(SHAPE), "out": np.zeros(SHAPE, np.float32), "to_stored": EYE}
    arguments[argument] = arguments[argument].tolist()

    with pytest.raises(TypeError, match=rf"{argument} is a list, not a NumPy array"):
        resample(**arguments, **plain(1))


@pytest.mark.parametrize(
    ("linear", "singular"),
    [
        ([[1, 0], [0, 0]], True),
        ([[0, 0], [0, 0]], True),
        ([[1, 2], [2, 4]], True),
        ([[0.1, 0.3], [0.2, 0.6000000000000001]], True),
        ([[1e-9, 0], [0, 1e9]], False),
        ([[1, 1e13], [1, -1e13]], False),
        ([[1, 1e5], [0, 1]], False),
        ([[1e-99, 0], [0, 1e-99]], False),
    ],
)
def test_only_a_singular_map_is_refused(linear, singular):
    to_stored = np.column_stack([linear, [0, 0]])
    if singular:
        with pytest.raises(ValueError, match="to_stored is singular"):
            run(noise(SHAPE), SHAPE, to_stored)
    else:
        assert np.isfinite(run(noise(SHAPE), SHAPE, to_stored)).all()


def test_a_singular_map_of_a_volume_is_refused():
    linear = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    with pytest.raises(ValueError, match="to_stored is singular"):
        run(noise((1, 2, 2, 2)), (1, 2, 2, 2), np.column_stack([linear, [0, 0, 0]]))


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1e101])
@pytest.mark.parametrize("place", [(0, 0), (1, 2)])
def test_a_map_must_be_finite(place, number):
    to_stored = EYE.copy()
    to_stored[place] = number

    with pytest.raises(ValueError, match=re.escape(f"to_stored[{place[0]}, {place[1]}] is ")):
        run(noise(SHAPE), SHAPE, to_stored)


@pytest.mark.parametrize("to_stored", [np.eye(3, 4), np.eye(2), np.zeros(6), np.eye(3)])
def test_a_map_of_another_shape_is_refused(to_stored):
    with pytest.raises(ValueError, match=r"to_stored has shape .* needs \(2, 3\)"):
        run(noise(SHAPE), SHAPE, to_stored)


def test_a_map_of_another_type_is_refused():
    with pytest.raises(TypeError, match="to_stored holds float32; float64"):
        resample(noise(SHAPE), np.zeros(SHAPE, np.float32), EYE.astype(np.float32), **plain(1))


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((1, 4, 8), np.float32)[:, :, ::2],
        np.zeros((1, 4, 4), np.float32).transpose(0, 2, 1),
        np.zeros((1, 4, 4), np.float32)[:, ::-1],
        np.zeros(SHAPE, np.dtype([("pad", "u1"), ("value", "f4")]))["value"],
        np.frombuffer(bytearray(65), np.float32, 16, 1).reshape(SHAPE),
    ],
    ids=["sliced", "transposed", "reversed", "in records", "unaligned"],
)
def test_an_output_that_is_not_contiguous_is_refused(out):
    with pytest.raises(ValueError, match=r"out is not C-contiguous; pass numpy\.empty\(\(1, 4, 4\)"):
        resample(noise(SHAPE), out, EYE, **plain(1))


def test_a_read_only_output_is_refused():
    out = np.zeros(SHAPE, np.float32)
    out.flags.writeable = False

    with pytest.raises(ValueError, match="out is read-only"):
        resample(noise(SHAPE), out, EYE, **plain(1))


@pytest.mark.parametrize("offset", [0, 15, -15])
def test_an_output_in_the_stored_memory_is_refused(offset):
    memory = np.zeros(64, np.float32)
    stored, out = memory[16:32].reshape(SHAPE), memory[16 + offset : 32 + offset].reshape(SHAPE)

    with pytest.raises(ValueError, match="out lies in the same memory as stored"):
        resample(stored, out, EYE, **plain(1))


def test_an_output_beside_the_stored_memory_is_taken():
    memory = np.arange(32, dtype=np.float32)
    stored, out = memory[:16].reshape(SHAPE), memory[16:].reshape(SHAPE)

    resample(stored, out, EYE, **plain(1))

    assert_array_equal(out, stored)


@pytest.mark.parametrize(("stored", "out"), [((1, 0, 4), SHAPE), (SHAPE, (1, 4, 0)), ((0, 4, 4), SHAPE)])
def test_empty_images_are_refused(stored, out):
    with pytest.raises(ValueError, match="is empty: axis"):
        run(np.zeros(stored, np.uint8), out, EYE)


@pytest.mark.parametrize("shape", [(4, 4), (1, 1, 1, 4, 4)])
def test_other_numbers_of_axes_are_refused(shape):
    with pytest.raises(ValueError, match=r"stored has shape"):
        run(np.zeros(shape, np.uint8), shape, EYE)


def test_an_output_with_other_axes_is_refused():
    with pytest.raises(ValueError, match="out has 4 axes and stored has 3"):
        run(noise(SHAPE), (1, 1, 4, 4), EYE)


@pytest.mark.parametrize("shape", [(1, 2, 2**20 + 1), (2**20 + 1, 1, 1)])
def test_an_axis_beyond_the_cap_is_refused(shape):
    stored = np.broadcast_to(np.uint8(0), shape)
    with pytest.raises(ValueError, match=r"at most 2\*\*20"):
        run(stored, SHAPE, EYE)


def test_more_items_than_the_cap_are_refused():
    stored = np.broadcast_to(np.uint8(0), (2, 2**20, 2**20))
    with pytest.raises(ValueError, match=r"more than 2\*\*40"):
        run(stored, (2, 1, 1), EYE)


def test_the_largest_image_is_taken():
    stored = np.broadcast_to(np.uint8(7), (1, 2**20, 2**20))

    assert_array_equal(run(stored, (1, 2, 2), [[2**19, 0, 0], [0, 2**19, 0]]), np.full((1, 2, 2), 7))


def test_other_channel_counts_need_a_matrix():
    with pytest.raises(ValueError, match="stored has 1 channels and out has 3; give a matrix"):
        run(noise(SHAPE), (3, 4, 4), EYE)


def test_a_matrix_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"matrix has shape \(3, 2\); .* = \(3, 1\) is needed"):
        run(noise(SHAPE), (3, 4, 4), EYE, matrix=np.zeros((3, 2)))


def test_a_matrix_must_be_finite():
    with pytest.raises(ValueError, match=r"matrix\[0, 0\] is "):
        run(noise(SHAPE), SHAPE, EYE, matrix=np.array([[np.nan]]))


@pytest.mark.parametrize("argument", ["before", "after"])
def test_tones_are_one_for_each_output_channel(argument):
    with pytest.raises(ValueError, match=f"{argument} has 2 tones for 1 output channels"):
        run(noise(SHAPE), SHAPE, EYE, **{argument: [Tone(), Tone()]})
    with pytest.raises(TypeError, match=rf"{argument}\[0\] is a float, not a Tone"):
        run(noise(SHAPE), SHAPE, EYE, **{argument: [1.0]})


def test_fills_are_finite_and_one_for_each_output_channel():
    with pytest.raises(ValueError, match="fill has 2 values for 1 output channels"):
        run(noise(SHAPE), SHAPE, EYE, fill=[0, 0])
    with pytest.raises(ValueError, match=r"fill\[0\] is nan"):
        run(noise(SHAPE), SHAPE, EYE, fill=[np.nan])
    with pytest.raises(ValueError, match=r"fill\[0\] is beyond every double"):
        run(noise(SHAPE), SHAPE, EYE, fill=[10**400])


def test_arrays_are_looked_at_after_the_numbers_whose_code_may_change_them():
    stored = noise((3, 4, 4))

    class Reshaping:
        def __float__(self):
            stored.resize((1, 12, 4), refcheck=False)
            return 0.0

    with pytest.raises(ValueError, match="stored has 1 channels and out has 3"):
        run(stored, (3, 4, 4), EYE, fill=[Reshaping(), 0.0, 0.0])


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("filter", "cubic", "no filter named 'cubic'; there are nearest, linear, antialias"),
        ("border", "mirror", "no border named 'mirror'; there are edge, constant"),
        ("threads", 0, "threads is 0; 1 to 1024 is accepted"),
        ("threads", 1025, "threads is 1025; 1 to 1024 is accepted"),
    ],
)
def test_unknown_choices_are_named(argument, value, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        run(noise(SHAPE), SHAPE, EYE, **{argument: value})
