"""`resample` against its twin, over whatever hypothesis can think of."""

from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kernels.calls import DTYPES, noise
from kernels.reference import means_reference, rounding, tone_reference
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from medplug._kernels import Tone, resample

modest = settings(max_examples=300, deadline=None, derandomize=True)
eighths = st.integers(-24, 24).map(lambda k: k / 8)


@st.composite
def stored_images(draw: st.DrawFn, axes: int) -> NDArray[Any]:
    """Channels first, and strides that may be negative, transposed, zero or wider than the items."""
    sizes = draw(st.tuples(*[st.integers(1, 9 if axes == 2 else 5)] * axes))
    channels = draw(st.integers(1, 3))
    image = noise((channels, *sizes), draw(st.sampled_from(DTYPES)), draw(st.integers(0, 99)))
    order = draw(st.permutations(range(axes)))
    image = image.transpose(0, *(axis + 1 for axis in order))
    steps = draw(st.tuples(*[st.sampled_from([1, 1, -1, 2, -2])] * axes))
    image = image[(slice(None), *(slice(None, None, step) for step in steps))]
    if draw(st.integers(0, 7)) == 7:
        image = np.broadcast_to(image[:, :1], (image.shape[0], draw(st.integers(1, 6)), *image.shape[2:]))
    return image


@st.composite
def maps(draw: st.DrawFn, axes: int) -> NDArray[np.float64]:
    """Signed permutations with scales, rotations, and matrices without any order; shifts that may lead outside."""
    kind = draw(st.sampled_from(["axes", "rotation", "general"]))
    if kind == "axes":
        scales = [draw(eighths.filter(bool)) * draw(st.sampled_from([1, 1, 3])) for _ in range(axes)]
        linear = np.diag(scales)[draw(st.permutations(range(axes)))]
    elif kind == "rotation":
        first, second = draw(st.permutations(range(axes)))[:2]
        angle = np.deg2rad(draw(st.integers(-180, 180)))
        linear = np.eye(axes)
        linear[first, first] = linear[second, second] = np.cos(angle)
        linear[first, second], linear[second, first] = np.sin(angle), -np.sin(angle)
        linear *= draw(st.sampled_from([0.4, 1, 1.3, 2, 3.1]))
    else:
        linear = np.array([[draw(eighths) for _ in range(axes)] for _ in range(axes)])
        assume(abs(np.linalg.det(linear)) > 0.05)
    shift = [draw(st.integers(-16, 40)) / 8 for _ in range(axes)]
    return np.column_stack([linear, shift])


@st.composite
def tones(draw: st.DrawFn, table: bool) -> Tone:
    if draw(st.booleans()):
        return Tone()  # clamps and sigmoids hide what comes before them
    # A table jumps at halves: after the filter, rounding would decide between two entries.
    entries = np.random.default_rng(draw(st.integers(0, 9))).uniform(-2, 2, draw(st.integers(1, 300)))
    return Tone(
        table=entries.astype(np.float32) if table and draw(st.booleans()) else None,
        first=draw(st.integers(-100, 100)),
        slope=draw(st.sampled_from([1, 0.01, -0.5, 1 / 30000])),
        intercept=draw(st.sampled_from([0, 0.5, -3])),
        low=draw(st.sampled_from([-np.inf, -np.inf, -100, 0])),
        high=draw(st.sampled_from([np.inf, np.inf, 100, 1])),
        sigmoid=draw(st.booleans()),
        gamma=draw(st.sampled_from([1, 1, 0.8, 2])),
        scale=draw(st.sampled_from([1, 4, -2])),
        offset=draw(st.sampled_from([0, 0.45])),
    )


@st.composite
def calls(draw: st.DrawFn) -> dict[str, Any]:
    axes = draw(st.sampled_from([2, 3]))
    stored = draw(stored_images(axes))
    channels = draw(st.integers(1, 3))
    matrix = None
    if channels != stored.shape[0] or draw(st.booleans()):
        matrix = np.array([[draw(eighths) for _ in stored] for _ in range(channels)])
    return {
        "stored": stored,
        "out": np.full((channels, *(draw(st.integers(1, 8 if axes == 2 else 4)) for _ in range(axes))), np.nan, "f4"),
        "to_stored": draw(maps(axes)),
        "matrix": matrix,
        "before": [draw(tones(table=True)) for _ in range(channels)],
        "after": [draw(tones(table=False)) for _ in range(channels)],
        "filter": draw(st.sampled_from(["nearest", "linear", "antialias"])),
        "border": draw(st.sampled_from(["edge", "constant"])),
        "fill": [draw(eighths) for _ in range(channels)],
    }


@modest
@given(calls(), st.integers(1, 8))
def test_any_call_agrees_with_the_twin(call, threads):
    means = means_reference(**call)
    off = rounding(**call)
    ends = [
        np.stack([tone_reference(tone, plane) for tone, plane in zip(call["after"], shifted, strict=True)])
        for shifted in (means - off, means, means + off)
    ]

    resample(**call, threads=threads)

    spare = 2e-6 * max(1.0, np.abs(ends).max())
    assert (call["out"] >= np.min(ends, axis=0) - spare).all()
    assert (call["out"] <= np.max(ends, axis=0) + spare).all()


@settings(modest, max_examples=60)
@given(calls())
def test_any_call_gives_the_same_bits_for_every_number_of_threads(call):
    resample(**call)
    alone = call["out"].copy()
    for threads in range(2, 9):
        call["out"][...] = np.nan
        resample(**call, threads=threads)

        assert_array_equal(call["out"].view(np.uint32), alone.view(np.uint32))
