"""A resampler holds what `resample` is told but for the images: the same answers, the same refusals, once."""

import numpy as np
import pytest
from kernels.calls import DTYPES, noise, plain, run

from medplug._kernels import Resampler, Tone

HALF = np.array([[2.0, 0, 0.5], [0, 2, 0.5]])
TURNED = np.array([[1.5, 0.4, 0.5], [-0.4, 1.5, 9.0]])
DEEP = np.array([[1.0, 0, 0, 0], [0, 2, 0, 0.5], [0, 0, 2, 0.5]])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("to_stored", [HALF, TURNED, DEEP], ids=["half", "turned", "deep"])
def test_it_answers_as_resample_does_image_after_image(dtype, to_stored, threads):
    deep = (3,) if len(to_stored) == 3 else ()
    how = {"before": [Tone(slope=0.01, low=-1, high=1)] * 2, "filter": "antialias", "border": "constant"}
    how |= {"matrix": np.array([[1.0, 0, 0], [0, 0.5, 0.5]])}
    resampler = Resampler(to_stored, **plain(2, **how))

    for seed in range(3):
        stored, out = noise((3, *deep, 20, 30), dtype, seed), np.full((2, *deep, 10, 15), np.nan, np.float32)
        resampler(stored, out, threads)
        np.testing.assert_array_equal(out, run(stored, out.shape, to_stored, **how))


def test_it_takes_images_of_any_size():
    resampler = Resampler(HALF, **plain(1))

    for side in (2, 7, 40):
        stored, out = noise((1, side, side)), np.full((1, side // 2, side // 2), np.nan, np.float32)
        resampler(stored=stored, out=out)
        np.testing.assert_array_equal(out, run(stored, out.shape, HALF))


def test_what_it_was_made_of_may_go():
    tone = Tone(table=np.arange(100, dtype=np.float32))
    matrix, to_stored = np.array([[1.0]]), HALF.copy()
    resampler = Resampler(to_stored, matrix=matrix, **plain(1, before=[tone]))
    stored, out = noise((1, 8, 8), "uint8") % 100, np.empty((1, 4, 4), np.float32)
    to_stored[:], matrix[:] = 7, 7
    del tone, matrix, to_stored

    resampler(stored, out)

    np.testing.assert_allclose(out, run(stored, (1, 4, 4), HALF))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"to_stored": np.eye(2)}, ValueError, r"to_stored has shape \(2, 2\); an image of 2 axes needs \(2, 3\)"),
        ({"to_stored": np.eye(4)}, ValueError, r"to_stored has shape \(4, 4\)"),
        ({"to_stored": HALF[None]}, ValueError, r"to_stored has shape \(1, 2, 3\)"),
        ({"to_stored": np.zeros((2, 3))}, ValueError, "to_stored is singular"),
        ({"to_stored": HALF.tolist()}, TypeError, "to_stored is a list, not a NumPy array"),
        ({"matrix": np.eye(2)}, ValueError, r"matrix has shape \(2, 2\); .* = \(1, 2\) is needed"),
        ({"matrix": np.ones(1)}, ValueError, r"matrix has shape \(1,\)"),
        ({"before": []}, ValueError, "after has 1 tones for 0 output channels"),
        ({"after": [Tone()] * 2}, ValueError, "after has 2 tones for 1 output channels; give one each"),
        ({"fill": [0.0] * 3}, ValueError, "fill has 3 values for 1 output channels; give one each"),
        ({"before": [None]}, TypeError, r"before\[0\] is a NoneType, not a Tone"),
        ({"filter": "cubic"}, ValueError, "no filter named 'cubic'"),
        ({"border": "mirror"}, ValueError, "no border named 'mirror'"),
        ({"quality": "best"}, ValueError, "no quality named 'best'"),
    ],
)
def test_what_makes_no_sense_is_refused_when_it_is_made(change, error, words):
    with pytest.raises(error, match=words):
        Resampler(**({"to_stored": HALF} | plain(1) | change))


@pytest.mark.parametrize(
    ("stored", "out", "threads", "error", "words"),
    [
        (
            noise((1, 2, 8, 8)),
            np.zeros((1, 2, 4, 4), np.float32),
            1,
            ValueError,
            "stored has 4 axes; to_stored is a map",
        ),
        (noise((8, 8)), np.zeros((4, 4), np.float32), 1, ValueError, "stored has 2 axes; to_stored is a map of 2"),
        (noise((2, 8, 8)), np.zeros((1, 4, 4), np.float32), 1, ValueError, "stored has 2 channels and out has 1; this"),
        (noise((1, 8, 8)), np.zeros((2, 4, 4), np.float32), 1, ValueError, "this resampler makes 1 of 1"),
        (noise((1, 8, 8)), np.zeros((1, 4), np.float32), 1, ValueError, "out has 2 axes and stored has 3"),
        (noise((1, 8, 8)), np.zeros((1, 4, 4)), 1, TypeError, "out holds float64"),
        (noise((1, 8, 8)).astype(np.int32), np.zeros((1, 4, 4), np.float32), 1, TypeError, "stored holds int32"),
        (noise((1, 8, 8)).tolist(), np.zeros((1, 4, 4), np.float32), 1, TypeError, "stored is a list"),
        (noise((1, 8, 8)), np.zeros((1, 4, 4), np.float32), 0, ValueError, "threads is 0"),
    ],
)
def test_what_makes_no_sense_is_refused_when_it_is_called(stored, out, threads, error, words):
    with pytest.raises(error, match=words):
        Resampler(HALF, **plain(1))(stored, out, threads)


def test_an_image_is_not_resampled_into_itself():
    both = np.zeros((1, 8, 8), np.float32)
    with pytest.raises(ValueError, match="out lies in the same memory as stored"):
        Resampler(HALF, **plain(1))(both, both[:, :4])


def test_one_that_was_never_initialised_is_refused():
    hollow = Resampler.__new__(Resampler)
    out = np.zeros((1, 4, 4), np.float32)

    with pytest.raises(TypeError, match="self is a Resampler that was never initialised; call Resampler"):
        hollow(noise((1, 8, 8)), out)
    with pytest.raises(TypeError, match="self is a Resampler that was never initialised"):
        hollow.from_file(0, 0, 0, (1, 8, 8), "uint8", out)
    with pytest.raises(TypeError, match="self is a int, not a Resampler"):
        Resampler.__call__(7, noise((1, 8, 8)), out)
