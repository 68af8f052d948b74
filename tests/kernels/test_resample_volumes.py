"""Volumes of stored integers, interpolated as 16-bit words, against the exact path for floats and the twin."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kernels.calls import noise, plain, run
from kernels.reference import resample_reference, resize, rotation, toned
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from medplug._kernels import Tone

INTEGERS = ["uint8", "int8", "uint16", "int16"]
BORDERS = ["edge", "constant"]
SHARE = {"axes": 2.0**-13, "oblique": 2.0**-12}  # of the values' spread, as the kernels promise
WINDOW = Tone(slope=1 / 1500, intercept=1 / 3, low=0, high=1, scale=4, offset=-2)


def turned(sizes: tuple[int, ...], new: tuple[int, ...], degrees: float, scale: float) -> NDArray[np.float64]:
    """The map of a rotation about all three axes and the volume's centre."""
    linear = np.eye(3) * scale
    for axis in range(3):
        angle = np.deg2rad(degrees * (axis + 1) / 2)
        plane = np.eye(3)
        i, j = [k for k in range(3) if k != axis]
        plane[i, i] = plane[j, j] = np.cos(angle)
        plane[i, j], plane[j, i] = np.sin(angle), -np.sin(angle)
        linear = linear @ plane
    return np.column_stack([linear, (np.array(sizes) - 1) / 2 - linear @ ((np.array(new) - 1) / 2)])


def allowed(stored: NDArray[Any], share: float, **how: Any) -> float:
    values = toned(stored, how["before"])
    ends = [values.min(), values.max(), *(how["fill"] if how["border"] == "constant" else [])]
    gain = max(abs(tone.slope * tone.scale) for tone in how["after"])
    return float(gain * (share * (max(ends) - min(ends)) + 2.0**-22 * np.abs(ends).max()) + 1e-6)


def assert_near_exact(stored: NDArray[Any], new: tuple[int, ...], to_stored: Any, share: float, **how: Any) -> None:
    how = plain(len(stored), **how)
    made = run(stored, (len(stored), *new), to_stored, **how)
    exact = run(stored.astype(np.float32), (len(stored), *new), to_stored, **how)

    assert_allclose(made, exact, rtol=0, atol=allowed(stored, share, **how))


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("kind", SHARE)
def test_small_volumes_agree_with_the_twin(kind, dtype, border):
    sizes, new = (4, 5, 7), (5, 4, 6)
    to_stored = resize(sizes, new) if kind == "axes" else turned(sizes, new, 25, 0.9)
    to_stored[:, -1] += [0.3, -0.4, 0.2]
    stored = noise((1, *sizes), dtype)
    how = plain(1, border=border, fill=[-30.25])

    out = run(stored, (1, *new), to_stored, **how)

    expected = resample_reference(stored, out, to_stored, **how)
    assert_allclose(out, expected, rtol=0, atol=allowed(stored, SHARE[kind], **how))


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("seed", range(12))
def test_maps_along_the_axes_agree_with_the_exact_path(seed, border):
    draw = np.random.default_rng(seed)
    sizes = tuple(draw.choice([1, 2, 3, 9, 40, 70, 130], 3))
    new = tuple(draw.choice([1, 2, 15, 16, 17, 50], 3))
    scales = draw.choice([-1.0, 1.0], 3) * draw.choice([0.3, 0.5, 1.0, 2.143, 5.5], 3)
    linear = np.diag(scales)[draw.permutation(3)]
    starts = np.where(linear.sum(1) < 0, np.array(sizes) - 1.0, 0.0) + draw.choice([0.0, 0.0, -1.3, 0.7], 3)
    stored = noise((2, *sizes), draw.choice(INTEGERS), seed)

    assert_near_exact(stored, new, np.column_stack([linear, starts]), SHARE["axes"], border=border, fill=[9.5, -3.0])


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("fill", [-1000.0, 0.4, 1e6])
@pytest.mark.parametrize(("degrees", "scale"), [(3, 1.0), (7, 2.1), (40, 0.6), (110, 1.3), (65, 30.0)])
def test_turned_volumes_agree_with_the_exact_path_inside_and_outside(degrees, scale, fill, border):
    sizes, new = (40, 60, 75), (30, 27, 53)
    stored = noise((1, *sizes))

    to_stored = turned(sizes, new, degrees, scale)

    assert_near_exact(stored, new, to_stored, SHARE["oblique"], border=border, fill=[fill])


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("before", [Tone(slope=-0.5, intercept=3), Tone(low=-40.5, high=90.25), Tone(low=0, high=1)])
@pytest.mark.parametrize("kind", SHARE)
def test_lines_and_windows_before_agree_with_the_exact_path(kind, before, dtype):
    sizes, new = (9, 30, 41), (12, 17, 33)
    to_stored = resize(sizes, new) if kind == "axes" else turned(sizes, new, 12, 1.4)

    assert_near_exact(noise((1, *sizes), dtype), new, to_stored, SHARE[kind], before=[before], border="constant")


@pytest.mark.parametrize("kind", SHARE)
@pytest.mark.parametrize("after", [WINDOW, Tone(slope=0.01, scale=-3, low=-1), Tone(slope=1 / 9000, sigmoid=True)])
def test_curves_after_agree_with_the_exact_path(after, kind):
    sizes, new = (9, 30, 41), (12, 17, 33)
    to_stored = resize(sizes, new) if kind == "axes" else turned(sizes, new, 12, 1.4)

    assert_near_exact(noise((1, *sizes)), new, to_stored, SHARE[kind], after=[after], border="constant", fill=[24.0])


def test_a_shift_by_whole_pixels_is_exact_on_words():
    for dtype in INTEGERS:
        stored = noise((1, 20, 30, 70), dtype)
        shift = np.column_stack([np.eye(3), [2, 3, 4]])

        assert_array_equal(run(stored, (1, 18, 27, 66), shift), stored[:, 2:, 3:, 4:])


def test_a_flat_volume_stays_flat_wherever_it_is_sampled():
    stored = np.full((1, 20, 30, 70), 1234, np.int16)
    for to_stored in (resize((20, 30, 70), (31, 13, 33)), turned((20, 30, 70), (31, 13, 33), 20, 1.7)):
        out = run(stored, (1, 31, 13, 33), to_stored, border="constant", fill=[1234.0])

        assert_array_equal(out, np.full(out.shape, 1234, np.float32))


CALLS = """
import hashlib, numpy as np
from kernels.calls import noise, run
from kernels.reference import resize
from kernels.test_resample_volumes import INTEGERS, WINDOW, turned
from medplug._kernels import Tone
digest = hashlib.sha256()
for dtype in INTEGERS:
    stored = noise((1, 21, 50, 90), dtype)
    for new in ((33, 23, 41), (15, 60, 95)):
        for to_stored in (resize((21, 50, 90), new), turned((21, 50, 90), new, 9, 1.2)):
            for border in ("edge", "constant"):
                for threads in THREADS:
                    out = run(stored, (1, *new), to_stored, after=[WINDOW], border=border, fill=[7.5], threads=threads)
                    digest.update(out.tobytes())
tones = [Tone(), Tone(low=100, high=9000), Tone(slope=0.37, intercept=2, low=1.3, high=900.7)]
for dtype in ("uint16", "int16"):  # tiles inside the volume, which some sets read where they lie
    stored, new = noise((1, 60, 90, 120), dtype), (30, 27, 53)
    for tone in tones:
        for view in (stored, stored[:, ::-1, ::-1], stored[:, ::2, :80]):
            for threads in THREADS:
                out = run(view, (1, *new), turned(view.shape[1:], new, 3, 0.9), before=[tone], threads=threads)
                digest.update(out.tobytes())
print(digest.hexdigest())
"""


def digest(isa: str, threads: int) -> str:
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    environment = os.environ | {"MEDPLUG_ISA": isa, "PYTHONPATH": path}
    code = CALLS.replace("THREADS", f"[{threads}]")
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_every_instruction_set_gives_the_same_bits():
    digests = {digest(isa, 1) for isa in ("plain", "avx2", "avx512", "avx512-gather")}

    assert len(digests) == 1
    assert len(digests.pop().strip()) == hashlib.sha256().digest_size * 2


def test_volumes_have_the_same_bits_for_every_number_of_threads():
    stored = noise((1, 40, 60, 75))
    for to_stored in (resize((40, 60, 75), (50, 31, 33)), turned((40, 60, 75), (50, 31, 33), 9, 1.6)):
        alone = run(stored, (1, 50, 31, 33), to_stored, border="constant")
        for threads in range(2, 9):
            made = run(stored, (1, 50, 31, 33), to_stored, border="constant", threads=threads)
            assert_array_equal(made.view(np.uint32), alone.view(np.uint32))


@pytest.mark.parametrize("scale", [1e-12, 1e-120])
def test_steps_so_small_that_their_volume_is_none_give_one_value(scale):
    stored = noise((1, 6, 7, 8), "int16")
    turned = np.array([[0.8, 0.6, 0.0], [-0.6, 0.8, 0.1], [0.1, 0.2, 0.9]]) * scale
    to_stored = np.column_stack([turned, [2, 3, 4]])

    out = run(stored, (1, 5, 6, 7), to_stored)

    assert_allclose(out, stored[0, 2, 3, 4], atol=1e-3)


def test_an_axis_of_one_output_may_make_any_step():
    stored = noise((1, 6, 7, 8), "int16")
    to_stored = np.column_stack([rotation(9, 0.9, (6, 7, 8), (1, 5, 6))])
    far = to_stored.copy()
    far[:, 0] = (2e6, -3e6, 9e5)

    one, other = (run(stored, (1, 1, 5, 6), map_) for map_ in (to_stored, far))

    assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("sizes", "new", "to_stored"),
    [
        (
            (4, 1, 4),
            (4, 34, 2),
            [[0, -8.2e-8, -1.83e-6, -1.83e-6], [-1.83e-6, -1.83e-6, 0, 0], [512.1, -1.83e-6, -1.83e-6, -2.6e-6]],
        ),
        (
            (4, 9, 3),
            (5, 27, 2),
            [[0, 1981756.2, -0.103, -0.124], [32.5, -0.124, -0.124, -1.9e-6], [6.7e-21, 0, 0, 0]],
        ),
        ((6, 20, 20), (4, 30, 30), [[1, 1, 0, 0], [1, 1 + 1e-9, 0, 0.5], [0, 0.1, 0.7, 0]]),
    ],
    ids=["tiny steps beside huge ones", "huge steps beside tiny ones", "nearly one direction"],
)
@pytest.mark.parametrize("dtype", INTEGERS)
def test_where_the_inverse_of_a_map_is_coarse_all_of_a_box_is_filled(sizes, new, to_stored, dtype):
    """Positions that are off by a thousandth of a pixel are then outputs that are off by more than a tile."""
    run(
        noise((1, 40, 50, 60), "int16", seed=1), (1, 30, 30, 30), turned((40, 50, 60), (30, 30, 30), 20, 1.3)
    )  # leftovers
    stored, to_stored = noise((1, *sizes), dtype), np.array(to_stored)

    out = run(stored, (1, *new), to_stored)

    expected = resample_reference(stored, out, to_stored, **plain(1))
    assert_allclose(out, expected, atol=allowed(stored, SHARE["oblique"], **plain(1)) + np.ptp(stored) * 1e-3)
