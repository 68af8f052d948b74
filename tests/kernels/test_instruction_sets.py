"""Every instruction set gives the same bits: the one that this machine would take, and the others by MEDPLUG_ISA."""

import hashlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from kernels.calls import noise, plain
from kernels.reference import resize, rotation

from medplug import _kernels
from medplug._kernels import Tone, resample, resample_batch

SHAPES = [
    ((1, 67, 83), (30, 41)),
    ((1, 300, 257), (20, 15)),
    ((2, 200, 301), (64, 50)),
    ((1, 30, 20), (70, 90)),
    ((1, 300, 500), (7, 9)),
    ((1, 310, 290), (80, 75)),  # of the fast quality three weights, then five
    ((1, 310, 290), (48, 45)),
]

INNER = [2.4, 3.3, 3.9, 4.3, 4.6, 5.4, 6.5, 9.3, 13.0, 20.0]
"""Scales of outputs whose windows all lie inside the image."""

WAYS = [("linear", "exact"), ("antialias", "exact"), ("antialias", "fast")]


def digest() -> str:
    """Everything that runs in words, over sizes, maps, borders, filters and windows, as one hash."""
    found = hashlib.sha256()
    for dtype, (shape, new) in itertools.product(["uint8", "int8", "uint16", "int16"], SHAPES):
        stored = noise(shape, dtype)
        info = np.iinfo(dtype)
        fifth = (info.max - info.min) / 5
        tones = [
            Tone(low=info.min + fifth, high=info.min + 2 * fifth),
            Tone(slope=-0.3, intercept=7.1, low=-20.5, high=1000.3),
            Tone(slope=1 / fifth, intercept=0.1, low=0, high=1, gamma=0.8),
            Tone(table=np.arange(300, 0, -1, dtype=np.float32), first=-50, slope=0.7, sigmoid=True, scale=3),
        ]
        maps = [
            resize(shape[1:], new),
            rotation(17, shape[1] / new[0] * 0.9, shape[1:], new),
            rotation(17, 0.7, shape[1:], new),
        ]
        for tone, border, map_, (filter_, quality) in itertools.product(tones, ["edge", "constant"], maps, WAYS):
            out = np.empty((shape[0], *new), np.float32)
            how = plain(shape[0], before=[tone] * shape[0], fill=[3.3] * shape[0], border=border, filter=filter_)
            how |= {"quality": quality}
            resample(stored, out, map_, **how)
            found.update(out.tobytes())
            if dtype == "uint8":
                how |= {"matrix": np.full((shape[0], shape[0] + 1), 0.3)}
                resample(noise((shape[0] + 1, *shape[1:]), dtype), out, map_, **how)
                found.update(out.tobytes())
        inside = noise((1, 420, 430), dtype)
        for scale, tone in itertools.product(INNER, tones[:2]):
            new = (20, 37) if scale < 8 else (7, 9)
            out = np.empty((1, *new), np.float32)
            even = rotation(17, scale, (420, 430), new)
            for map_ in (even, even * [[1.0], [0.4]] + [[0.0, 0.0, 0.0], [0.0, 0.0, 120.0]]):
                resample(inside, out, map_, **plain(1, before=[tone], filter="antialias"))
                found.update(out.tobytes())
    return found.hexdigest()


@pytest.mark.parametrize("name", ["avx512-gather", "avx512", "avx2", "plain"])
def test_a_set_gives_the_bits_of_the_one_in_use(name):
    asked = subprocess.run(
        [sys.executable, "-c", "from kernels.test_instruction_sets import main; main()"],
        env=os.environ
        | {
            "MEDPLUG_ISA": name,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)]),
        },
        capture_output=True,
        text=True,
    )
    if f"has no {name}" in asked.stderr:
        pytest.skip(f"this machine has no {name}")
    assert asked.stdout.split() == [name, digest()], asked.stderr


def main() -> None:
    print(_kernels.instruction_set, digest())


def test_an_unknown_set_is_refused_when_the_module_is_loaded():
    asked = subprocess.run(
        [sys.executable, "-c", "import medplug._kernels"],
        env=os.environ | {"MEDPLUG_ISA": "sse9", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )

    assert asked.returncode == 1
    assert "MEDPLUG_ISA is sse9; there are avx512-gather, avx512, avx2, plain" in asked.stderr


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("dtype", "layout"), [("uint8", 1), ("int16", 1), ("float32", 1), ("uint8", -1)])
def test_a_batch_gives_each_image_what_it_gets_alone(dtype, layout, threads):
    stored = noise((5, 2, 40, 30), dtype)[:, :, :, ::layout]
    maps = np.array([rotation(9.0 * i, 0.6 + 0.4 * i, (40, 30), (17, 21)) for i in range(5)])
    how = plain(2, filter="antialias", border="constant", fill=[1.0, 2.0])
    out = np.full((5, 2, 17, 21), np.nan, np.float32)

    resample_batch(stored, out, maps, **how, threads=threads)

    for image, made, map_ in zip(stored, out, maps, strict=True):
        alone = np.empty_like(made)
        resample(image, alone, map_, **how)
        np.testing.assert_array_equal(made.view(np.uint32), alone.view(np.uint32))


@pytest.mark.parametrize("slice_shift", [0.0, 0.5, 5.0])
def test_a_batch_of_single_slices_looks_where_their_maps_say(slice_shift):
    stored = noise((2, 1, 1, 40, 30), "uint8")
    flat = np.eye(3, 4)
    flat[1:, 1:] = rotation(9, 0.6, (40, 30), (17, 21))
    flat[0, 3] = slice_shift
    how = plain(1, filter="antialias", border="constant", fill=[7.0])
    out = np.empty((2, 1, 1, 17, 21), np.float32)

    resample_batch(stored, out, np.array([flat, flat]), **how)

    for image, made in zip(stored, out, strict=True):
        alone = np.empty_like(made)
        resample(image, alone, flat, **how)
        np.testing.assert_array_equal(made, alone)


def test_a_batch_of_volumes_and_of_resizes_works_too():
    stored = noise((3, 1, 6, 9, 8), "int16")
    maps = np.array([resize((6, 9, 8), (4, 5, 7))] * 3)
    out = np.empty((3, 1, 4, 5, 7), np.float32)

    resample_batch(stored, out, maps, **plain(1))

    for image, made in zip(stored, out, strict=True):
        alone = np.empty_like(made)
        resample(image, alone, maps[0], **plain(1))
        np.testing.assert_array_equal(made, alone)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"to_stored": np.eye(2, 3)[None]}, r"to_stored has shape \(1, 2, 3\); 2 images of 2 axes needs \(2, 2, 3\)"),
        ({"to_stored": np.zeros((2, 2, 3))}, r"to_stored\[0\] is singular"),
        ({"out": np.empty((3, 1, 4, 4), np.float32)}, r"out has shape \(3, 1, 4, 4\) for 2 images"),
        ({"stored": np.zeros((1, 4, 4), np.uint8)}, r"\[images, channels, \(slices,\) rows, columns\] is needed"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(change, message):
    call = {
        "stored": np.zeros((2, 1, 4, 4), np.uint8),
        "out": np.empty((2, 1, 4, 4), np.float32),
        "to_stored": np.array([np.eye(2, 3)] * 2),
    } | change

    with pytest.raises(ValueError, match=message):
        resample_batch(**call, **plain(1))
