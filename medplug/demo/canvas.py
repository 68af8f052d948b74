"""What a synthetic radiograph is drawn with: noise, blur, solids in projection, the detector's frame."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]


@cache
def _spread(size: int, knots: int) -> Map:
    """Weights [size, knots] that interpolate knots smoothly; knots of unit variance give unit variance."""
    at = np.linspace(0.5, knots - 1.5, size)[:, None] - np.arange(knots)
    weight = np.exp(-(at**2) / 0.6)
    return np.asarray(weight / np.sqrt((weight**2).sum(1, keepdims=True)), np.float32)


def noise(rng: np.random.Generator, shape: tuple[int, int], cells: float) -> Map:
    """Band-limited noise of zero mean and unit variance, with about `cells` waves across the wider side."""
    knots = [max(4, round(cells * size / max(shape)) + 3) for size in shape]
    coarse = rng.standard_normal(knots, dtype=np.float32)
    return np.asarray(_spread(shape[0], knots[0]) @ coarse @ _spread(shape[1], knots[1]).T, np.float32)


@cache
def _shares(size: int, knots: int) -> tuple[Map, Map]:
    """Weights [size, knots] that gather pixels into knots and spread knots over pixels; each way they sum to 1."""
    weight = _spread(size, knots)
    return weight / weight.sum(0), weight / weight.sum(1, keepdims=True)


def slow(image: Map, sigma: float) -> Map:
    """A wide blur of about `sigma` pixels, through a coarse grid: cheap, and even enough for what is smooth."""
    rows, columns = (_shares(size, max(4, round(0.78 * size / sigma) + 3)) for size in image.shape)
    return np.asarray(rows[1] @ (rows[0].T @ image @ columns[0]) @ columns[1].T, np.float32)


@cache
def _taps(size: int, sigma: float) -> tuple[Map, Map]:
    """Half of a Gaussian, and what of it lies inside an axis at each place."""
    reach = max(1, min(size - 1, round(2.7 * sigma)))
    taps = np.exp(-0.5 * (np.arange(reach + 1) / sigma) ** 2).astype(np.float32)
    inside = np.convolve(np.ones(size, np.float32), np.concatenate([taps[:0:-1], taps]), mode="same")
    return taps, (1 / inside).astype(np.float32)


def blur(image: Map, sigma: float) -> Map:
    """Gaussian blur with a standard deviation in pixels; what lies outside the image does not count."""
    sigma = round(sigma, 2)
    for axis in (0, 1):
        taps, weight = _taps(image.shape[axis], sigma)
        total = image * taps[0]
        scaled = np.empty_like(image)
        for step in range(1, len(taps)):
            np.multiply(image, taps[step], out=scaled)
            if axis == 0:
                total[step:] += scaled[:-step]
                total[:-step] += scaled[step:]
            else:
                total[:, step:] += scaled[:, :-step]
                total[:, :-step] += scaled[:, step:]
        total *= weight[:, None] if axis == 0 else weight
        image = total
    return image


def soft_step(distance: Map, width: float) -> Map:
    """0 to 1 as a signed distance goes from -width to +width."""
    s = np.clip(distance * np.float32(0.5 / width) + np.float32(0.5), 0, 1)
    smooth: Map = s * s * (3 - 2 * s)
    return smooth


def chord(distance: Map, radius: float | np.float32 | Map) -> Map:
    """The path through a solid cylinder or ball at a distance from its axis."""
    return 2 * np.sqrt(np.maximum(radius * radius - distance * distance, 0))


def shell(distance: Map, radius: float | np.float32 | Map, marrow: float) -> Map:
    """The path through a bone: a cortex around marrow that weighs half as much, hence bright edges."""
    return chord(distance, radius) - np.float32(0.62) * chord(distance, np.float32(marrow) * radius)


@dataclass(frozen=True)
class Frame:
    """Where the patient stands before the detector: pixel (row, column) to cm, y = 0 at the lung apices."""

    shape: tuple[int, int]
    pixel: float
    top: float
    shift: float
    tilt: float

    @cached_property
    def grid(self) -> tuple[Map, Map]:
        """x and y in cm of every pixel."""
        rows, columns = self.shape
        x = (np.arange(columns, dtype=np.float32) - (columns - 1) / 2)[None, :] * self.pixel - self.shift
        y = np.arange(rows, dtype=np.float32)[:, None] * self.pixel - self.top
        return x + self.tilt * (y - 10), y - self.tilt * x

    def box(self, left: float, right: float, top: float, bottom: float) -> tuple[slice, slice]:
        """The pixels that can lie within these bounds, in cm."""
        rows, columns = self.shape
        slack = 20 * abs(self.tilt) + 1.0
        x0 = (left + self.shift - slack) / self.pixel + (columns - 1) / 2
        x1 = (right + self.shift + slack) / self.pixel + (columns - 1) / 2
        y0 = (top + self.top - slack) / self.pixel
        y1 = (bottom + self.top + slack) / self.pixel
        return (
            slice(min(rows, max(0, int(y0))), max(0, min(rows, int(y1) + 1))),
            slice(min(columns, max(0, int(x0))), max(0, min(columns, int(x1) + 1))),
        )

    def stamp(self, points: NDArray[np.float64], mass: NDArray[np.float64]) -> Map:
        """Share cm^3 of tissue at points [N, 2] (x, y in cm) among their nearest pixels: cm along the ray."""
        rows, columns = self.shape
        x = points[:, 0] - self.tilt * (points[:, 1] - 10)
        y = points[:, 1] + self.tilt * points[:, 0]
        c = (x + self.shift) / self.pixel + (columns - 1) / 2
        r = (y + self.top) / self.pixel
        inside = (r >= 0) & (c >= 0) & (r < rows - 1) & (c < columns - 1)
        r, c, mass = r[inside], c[inside], mass[inside] / self.pixel**2
        r0, c0 = r.astype(np.int64), c.astype(np.int64)
        fr, fc = r - r0, c - c0
        at = r0 * columns + c0
        index = np.concatenate([at, at + 1, at + columns, at + columns + 1])
        weight = np.concatenate([(1 - fr) * (1 - fc), (1 - fr) * fc, fr * (1 - fc), fr * fc]) * np.tile(mass, 4)
        total = np.bincount(index, weights=weight, minlength=rows * columns)
        return total.reshape(rows, columns).astype(np.float32)

    def tubes(self, points: NDArray[np.float64], radius: NDArray[np.float64], step: float | NDArray[np.float64]) -> Map:
        """The path through tubes given as points [N, 2] every `step` cm with their radii [N], all in cm."""
        mass = np.pi * radius**2 * step
        edges = np.array([0.11, 0.22])
        level = np.searchsorted(edges, radius)
        sigma = 0.6 * np.array([0.08, 0.16, 0.33]) / self.pixel
        total = np.zeros(self.shape, np.float32)
        for i in (2, 1, 0):
            total += self.stamp(points[level == i], mass[level == i])
            finer = sigma[i - 1] if i else 0.0
            total = blur(total, max(0.4, float(np.sqrt(sigma[i] ** 2 - finer**2))))
        return total
