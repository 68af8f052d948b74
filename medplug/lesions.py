"""Synthetic lesions: soft opacities of known place, size and contrast, planted into images and volumes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import CallError

_WAVES = 6  # that make a border wander
_BINS = 256  # of the histogram that parts body from air


@dataclass(frozen=True)
class Lesions:
    """What planted lesions look like; each range is drawn from uniformly.

    `radius` is a share of the image's shortest side, and `contrast` what is added in the middle, on the image's 0 to 1
    scale: below 0 is darker. `elongation` is the longest axis over the shortest, at equal volume. The border wanders by
    `roughness` of the radius, and fades over `softness` of it.
    """

    radius: tuple[float, float] = (0.08, 0.14)
    contrast: tuple[float, float] = (0.2, 0.4)
    elongation: tuple[float, float] = (1.0, 1.6)
    roughness: float = 0.2
    softness: float = 0.5

    def __post_init__(self) -> None:
        for name in ("radius", "contrast", "elongation"):
            low, high = getattr(self, name)
            if not (np.isfinite([low, high]).all() and low <= high):
                raise CallError(f"lesions of {name} {low} to {high}: want finite numbers, low first")
        if not 0 < self.radius[0] <= self.radius[1] <= 0.5:
            raise CallError(f"lesions of radius {self.radius[0]} to {self.radius[1]}: want above 0, at most 0.5")
        if self.elongation[0] < 1 or not 0 <= self.roughness < 1 or not 0 < self.softness <= 2:
            raise CallError("lesions: want elongation from 1, roughness from 0 to below 1, softness above 0 up to 2")


def plant(
    image: NDArray[np.floating],
    generator: np.random.Generator,
    lesions: Lesions = Lesions(),
    inside: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Plant one lesion into an image [(Z,) H, W] on a 0 to 1 scale; return the new image and the lesion's mask.

    Its middle lies in `inside` (default: `body(image)`), a radius away from where that ends, and where the contrast has
    room. The answer depends on the state of `generator` alone. Nothing leaves the range of the image and of 0 to 1.
    """
    base = np.asarray(image, np.float32)
    if base.ndim not in (2, 3):
        raise CallError(f"a lesion is planted into 2 or 3 dimensions, not into an array of {base.shape}")
    radius = generator.uniform(*lesions.radius) * min(base.shape)
    contrast = generator.uniform(*lesions.contrast)
    low, high = min(0.0, float(base.min())), max(1.0, float(base.max()))
    room = (base + contrast <= high) & (base + contrast >= low)
    middle = _place(body(base) if inside is None else inside, room, radius, generator)
    distance = _distance(base.shape, middle, radius, lesions, generator)
    rise = np.clip((1 + lesions.softness / 2 - distance) / lesions.softness, 0, 1)
    profile = rise * rise * (3 - 2 * rise)
    planted = np.clip(base + contrast * profile, low, high).astype(np.float32)
    return planted, distance <= 1


def body(image: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return where an image [(Z,) H, W] shows something: what lies between bright places of its row and of its column.

    Bright is what Otsu's threshold (1979) parts from the rest, so that dark lungs within a body belong to it.
    """
    bright = image > _otsu(image)
    found = np.ones(image.shape, bool)
    for axis in (-2, -1):
        begun = np.maximum.accumulate(bright, axis=axis)
        found &= begun & np.flip(np.maximum.accumulate(np.flip(bright, axis), axis=axis), axis)
    return found


def _otsu(image: NDArray[np.floating]) -> float:
    """The threshold that makes the variance between the two sides largest."""
    counts, edges = np.histogram(image, _BINS)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    total = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = below * above * (total / below - (total[-1] - total) / above) ** 2
    return float(edges[1 + int(np.argmax(np.nan_to_num(apart)))])


def _place(
    inside: NDArray[np.bool_], room: NDArray[np.bool_], radius: float, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Draw a middle: within `inside` by a radius and with room, or as much of that as there is."""
    frame = _shrunk(np.ones(inside.shape, bool), radius)
    deep = _shrunk(inside, radius)
    drawn = generator.random(1 + inside.ndim)  # as many draws whatever is found
    for choice in (deep & room, deep, inside & frame, frame):
        places = np.argwhere(choice)
        if len(places):
            middle: NDArray[np.float64] = places[int(drawn[0] * len(places))] + drawn[1:] - 0.5
            return middle
    return (np.array(inside.shape) - 1) / 2


def _shrunk(mask: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    """Where the mask also holds one radius further, both ways along every axis."""
    steps = max(1, round(radius))
    kept = mask.copy()
    for axis in range(mask.ndim):
        if 2 * steps >= mask.shape[axis]:
            return np.zeros_like(mask)
        away = np.moveaxis(mask, axis, 0)
        here = np.moveaxis(kept, axis, 0)
        here[steps:] &= away[:-steps]
        here[:-steps] &= away[steps:]
        here[:steps] = False
        here[-steps:] = False
    return kept


def _distance(
    shape: tuple[int, ...],
    middle: NDArray[np.float64],
    radius: float,
    lesions: Lesions,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """How far each pixel lies from the middle, where 1 is the lesion's border: a turned ellipsoid that wanders."""
    dims = len(shape)
    axes = np.exp(generator.uniform(-0.5, 0.5, dims))
    axes = axes ** (np.log(generator.uniform(*lesions.elongation)) / max(np.log(axes.max() / axes.min()), 1e-6))
    axes *= radius / np.prod(axes) ** (1 / dims)
    turn = np.linalg.qr(generator.normal(size=(dims, dims)))[0]
    grids = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    local = (grids - middle) @ turn / axes
    waves = generator.normal(scale=2.0, size=(dims, _WAVES))
    wander = np.cos(local @ waves + generator.uniform(0, 2 * np.pi, _WAVES)).mean(axis=-1)
    distance: NDArray[np.float64] = np.linalg.norm(local, axis=-1) / (1 + lesions.roughness * wander)
    return distance
