"""The work items, by name. Each says its geometry twice: as matrices for everybody, and in medplug's own words.

The float64 reference and the peers read the matrices; medplug's answer is right only if both say the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..augmentation import Draw
from ..errors import CallError
from ..preprocessing import Constant, Crop, Normalize, Preprocessing, Range, Resize, Rotate, Spacing
from .phantoms import labels, radiograph, tiles, tomogram
from .work import Tone, Work

_SEED = 20
_XRAY = Tone(low=900.0, high=2900.0, intercept=-50.0, inverted=True)
_HOUNSFIELD = Tone(low=-160.0, high=240.0, intercept=-1024.0)
_PICTURE = Tone(low=0.0, high=255.0)
_NORMAL = Normalize((0.5,), (0.25,))
_DEGREES = 7.3
_AIR = -1000.0


def turn(degrees: float, axis: int = 0, dims: int = 2) -> NDArray[np.float64]:
    """Return the linear map, output to input, that turns counter-clockwise as displayed; in 3-D about `axis`."""
    first, second = (0, 1) if dims == 2 else [other for other in range(3) if other != axis]
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    linear = np.eye(dims)
    linear[[first, second], [first, second]] = cosine
    linear[first, second], linear[second, first] = sine, -sine
    return linear


def centred(linear: NDArray[np.float64], stored: Sequence[int], shape: Sequence[int]) -> NDArray[np.float64]:
    """Return [n, n + 1]: `linear`, and the centre of the output upon the centre of the stored pixels."""
    shift = (np.array(stored) - 1) / 2 - linear @ ((np.array(shape) - 1) / 2)
    return np.column_stack([linear, shift])


def _resized(size: int, by: int) -> Work:
    stored = _film(by)
    shape = _shrunk((size, size), by)
    linear = np.diag(np.array(stored.shape) / shape)
    return Work(
        name=f"radiograph-{size}",
        title=f"radiograph to {shape[0]} x {shape[1]}, antialiased; window, inversion and normalisation",
        kind="resize",
        stored=stored[None],
        to_stored=centred(linear, stored.shape, shape)[None],
        shape=shape,
        tone=_XRAY,
        filter="antialias",
        recipe=Preprocessing(values=Range(_XRAY.low, _XRAY.high), geometry=(Resize(shape),), normalize=_NORMAL),
    )


def _turned(by: int) -> Work:
    stored = _film(by)
    crop, shape = _shrunk((1792, 1792), by), _shrunk((512, 512), by)
    linear = turn(_DEGREES) * (crop[0] / shape[0])
    return Work(
        name="radiograph-turned",
        title=f"radiograph turned by {_DEGREES} degrees, its middle to {shape[0]} x {shape[1]}; the same values",
        kind="warp",
        stored=stored[None],
        to_stored=centred(linear, stored.shape, shape)[None],
        shape=shape,
        tone=_XRAY,
        filter="antialias",
        recipe=Preprocessing(
            values=Range(_XRAY.low, _XRAY.high),
            geometry=(Rotate(_DEGREES), Crop(crop), Resize(shape)),
            normalize=_NORMAL,
        ),
    )


def _augmented(by: int) -> Work:
    count, size, to = max(4, 16 // by), 1024 // by, 224 // by
    rng = np.random.default_rng([_SEED, 5])
    maps, draws = [], []
    for _ in range(count):
        # The ranges keep every draw inside its image, where all libraries mean the same.
        linear = turn(rng.uniform(-15, 15)) / rng.uniform(1.4, 2.0)
        linear[:, 1] *= rng.choice([-1, 1])
        shift = rng.uniform(-0.03, 0.03, 2)
        draws.append(Draw(linear=linear, shift=shift))
        placed = centred(linear * (size / to), (size, size), (to, to))
        placed[:, -1] -= placed[:, :-1] @ (shift * to)
        maps.append(placed)
    return Work(
        name="radiograph-batch",
        title=f"{count} radiographs of {size} x {size}, each turned, scaled, shifted and flipped, to {to} x {to}",
        kind="warp",
        stored=np.stack([radiograph(_SEED + n, size, size) for n in range(count)]),
        to_stored=np.stack(maps),
        shape=(to, to),
        tone=_XRAY,
        filter="antialias",
        recipe=Preprocessing(values=Range(_XRAY.low, _XRAY.high), geometry=(Resize((to, to)),), normalize=_NORMAL),
        draws=tuple(draws),
    )


def _volume(turns: Sequence[tuple[float, Literal[0, 1, 2]]], name: str, title: str, by: int) -> Work:
    stored = _scan(by)
    spacing, mm = np.array([2.5, 0.7, 0.7]), 1.5
    shape = tuple(int(n) for n in np.round(np.array(stored.shape) * spacing / mm))
    linear = np.diag(mm / spacing)
    for degrees, axis in turns:
        linear = linear @ turn(degrees, axis, 3)
    rotations = tuple(Rotate(degrees, axis) for degrees, axis in turns)
    return Work(
        name=name,
        title=title,
        kind="volume",
        stored=stored[None],
        to_stored=centred(linear, stored.shape, shape)[None],
        shape=shape,
        tone=_HOUNSFIELD,
        filter="linear",
        values_first=False,
        outside=_AIR if turns else None,
        recipe=Preprocessing(
            values=Range(_HOUNSFIELD.low, _HOUNSFIELD.high),
            order="geometry-first",
            border=Constant(_AIR) if turns else "edge",
            geometry=(Spacing((mm, mm, mm)), *rotations),
            filter="linear",
            normalize=_NORMAL,
        ),
        spacing=tuple(spacing.tolist()),
    )


def _tiles(by: int) -> Work:
    stored = tiles(_SEED, 10_000 // by**2, 28)
    angles = np.random.default_rng([_SEED, 6]).uniform(-20, 20, len(stored))
    return Work(
        name="tiles",
        title=f"{len(stored):,} pictures of 28 x 28, each turned by its own angle, to 32 x 32, linear",
        kind="tiles",
        stored=stored,
        to_stored=np.stack([centred(turn(angle) * (28 / 32), (28, 28), (32, 32)) for angle in angles]),
        shape=(32, 32),
        tone=_PICTURE,
        filter="linear",
    )


def _mask(by: int) -> Work:
    rows, columns = _shrunk((2500, 2048), by)
    crop, shape = _shrunk((1792, 1792), by), _shrunk((512, 512), by)
    return Work(
        name="mask",
        title=f"mask of a radiograph turned by {_DEGREES} degrees, cropped, to {shape[0]} x {shape[1]}, nearest",
        kind="mask",
        stored=labels(_SEED, rows, columns)[None],
        to_stored=centred(turn(_DEGREES) * (crop[0] / shape[0]), (rows, columns), shape)[None],
        shape=shape,
        tone=None,
        filter="nearest",
        recipe=Preprocessing(geometry=(Rotate(_DEGREES), Crop(crop), Resize(shape))),
    )


@cache
def _film(by: int) -> NDArray[np.uint16]:
    return radiograph(_SEED, *_shrunk((2500, 2048), by))


@cache
def _scan(by: int) -> NDArray[np.int16]:
    return tomogram(_SEED, 200 // by, 512 // by, 512 // by)


def _shrunk(shape: tuple[int, int], by: int) -> tuple[int, int]:
    return shape[0] // by, shape[1] // by


_TO_15 = "CT of 0.7 x 0.7 x 2.5 mm to 1.5 mm"

ITEMS: dict[str, Callable[[int], Work]] = {
    "radiograph-512": partial(_resized, 512),
    "radiograph-224": partial(_resized, 224),
    "radiograph-1024": partial(_resized, 1024),
    "radiograph-turned": _turned,
    "radiograph-batch": _augmented,
    "ct": partial(_volume, (), "ct", f"{_TO_15}, trilinear; window and normalisation after it"),
    "ct-turned": partial(
        _volume, ((10.0, 0), (-7.0, 1), (5.0, 2)), "ct-turned", f"{_TO_15}, turned about all axes; the same values"
    ),
    "tiles": _tiles,
    "mask": _mask,
}


def build(name: str, shrink: int = 1) -> Work:
    """Make an item's data, each side divided by `shrink`: 8 serves tests. `CallError` for a name that is none."""
    if name not in ITEMS:
        raise CallError(f"no work item named {name!r}; there are {', '.join(ITEMS)}")
    return ITEMS[name](shrink)
