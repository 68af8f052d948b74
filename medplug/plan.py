"""What the kernel is told: the one place that composes a preprocessing for one image and calls `_kernels`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from . import _kernels
from .augmentation import Draw
from .case import FileSpan, Image, Pixels
from .errors import PluginError, PreprocessingError
from .geometry import Grid, compose, transform
from .padding import filled
from .preprocessing import (
    Constant,
    FitPercentiles,
    Normalize,
    Percentiles,
    Preprocessing,
    Quality,
    Range,
    Stored,
    Windows,
)
from .tone import Curve, modality, percentile_range, to_modality
from .tone import curves as curves_of

LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601, as in the Y of PS3.3 C.7.6.3.1.2's YBR_FULL."""

_SAME_PLANE = 0.5
"""How many mm apart two planes may lie that count as one: far below any distance of slices that are two."""

Filter = Literal["antialias", "linear", "nearest"]


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that one kernel call needs for one image; `grid` inverts it.

    `unpadded`, where the image has padding, gives the pixels without it.
    """

    grid: Grid
    matrix: NDArray[np.float64]
    before: tuple[_kernels.Tone, ...]
    after: tuple[_kernels.Tone, ...]
    fill: tuple[float, ...]
    border: Literal["edge", "constant"]
    filter: Filter
    quality: Quality = "exact"
    unpadded: Callable[[Pixels], Pixels] | None = None

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """The shape of the answer: [channels, (slices,) rows, columns]."""
        return (len(self.matrix), *self.grid.shape)

    @cached_property
    def _resampler(self) -> _kernels.Resampler:
        return _kernels.Resampler(
            self.grid.to_stored,
            matrix=self.matrix,
            before=self.before,
            after=self.after,
            filter=self.filter,
            border=self.border,
            quality=self.quality,
            fill=self.fill,
        )

    def run(self, pixels: Pixels, out: NDArray[np.float32] | None = None, threads: int = 1) -> NDArray[np.float32]:
        """Preprocess stored pixels [channels, ...] into `out`, float32 of `shape`, made when not given."""
        if out is None:
            out = np.empty(self.shape, np.float32)
        self._resampler(pixels if self.unpadded is None else self.unpadded(pixels), out, threads)
        return out

    def run_from(self, span: FileSpan, out: NDArray[np.float32], threads: int = 1) -> bool:
        """Preprocess what lies in a file, the bits as by `run`: rows are read as they are needed.

        False where this plan needs the whole image in memory, or the file has changed: `out` means nothing then.
        """
        if self.unpadded is not None:
            return False
        with span.opened() as file:
            where = None if file is None else (file, span.offset, span.unused, span.shape, span.dtype.name)
            return where is not None and self._resampler.from_file(*where, out, threads)


def stored_grid(image: Image, preprocessing: Preprocessing) -> Grid:
    """Return the grid on which `image` is stored, with the spacing that the preprocessing names."""
    spacing = image.imager_spacing if preprocessing.spacing_from == "imager" else image.spacing
    return Grid.of(image.shape, spacing, image.to_patient)


def grid_of(preprocessing: Preprocessing, image: Image, draw: Draw | None = None) -> Grid:
    """Return the output grid for `image`, without reading a pixel."""
    grid = preprocessing.grid(image.shape, stored_grid(image, preprocessing))
    return grid if draw is None else draw.place(grid)


def grid_on(grid: Grid, image: Image) -> Grid:
    """Return the same places in `image` as `grid` has in its own image, by patient coordinates.

    Images of one shape without a position are taken to lie on one grid; otherwise `PreprocessingError`, as for two
    flat images whose planes are further than `_SAME_PLANE` apart anywhere on the grid.
    """
    if grid.stored_to_patient is None or image.to_patient is None:
        if image.shape != grid.stored_shape:
            raise PreprocessingError("two images of a case differ in shape and have no common position", "geometry")
        return replace(grid, stored_spacing=image.spacing, stored_to_patient=image.to_patient)
    between = np.linalg.inv(image.to_patient) @ grid.stored_to_patient
    dims = grid.dims
    if dims == 2:
        rows, columns = (np.array([0.0, n - 1]) for n in grid.shape)
        corners = transform(grid.to_stored, np.stack(np.meshgrid(rows, columns), axis=-1))
        slices = between[0, 1:3] @ corners.reshape(-1, 2).T + between[0, 3]
        if not (np.abs(slices) * np.linalg.norm(image.to_patient[:3, 0]) <= _SAME_PLANE).all():
            raise PreprocessingError("two images of a case do not lie in one plane", "geometry")
    carried = between[3 - dims : 3, 3 - dims :]
    return Grid(grid.shape, compose(carried, grid.to_stored), image.shape, image.spacing, image.to_patient)


def plan(
    preprocessing: Preprocessing,
    image: Image,
    pixels: Pixels | None,
    draw: Draw | None = None,
    grid: Grid | None = None,
) -> Plan:
    """Compose the preprocessing for one image whose stored `pixels` are [channels, ...].

    The pixels are looked at only by percentiles, and may be None where `tone.looks_at_pixels` says that they are not.
    `grid` replaces the image's own where another image fixes it.
    """
    channels = channels_of(preprocessing, image)
    matrix = _channel_matrix(preprocessing, image)
    matrix = np.repeat(matrix, channels // len(matrix), axis=0)
    curves = curves_of(preprocessing.values, image, pixels)
    curves = curves * (channels // len(curves))
    if draw is not None and not isinstance(preprocessing.values, Stored):
        curves = [curve.drawn(draw) for curve in curves]

    normalize = _normalize(preprocessing, len(matrix))
    border = preprocessing.border
    outside = border.constant if isinstance(border, Constant) else 0.0
    if preprocessing.order == "values-first":
        before = [curve.after_modality(image) for curve in curves]
        after = [_kernels.Tone(scale=scale, offset=offset) for scale, offset in normalize]
        fill = [curve.at(outside) for curve in curves]
    else:
        before = [modality(image.values)] * len(matrix)
        after = [curve.tone(scale, offset) for curve, (scale, offset) in zip(curves, normalize)]
        fill = [outside] * len(matrix)
    return Plan(
        grid=grid if grid is not None else grid_of(preprocessing, image, draw),
        matrix=matrix,
        before=tuple(before),
        after=tuple(after),
        fill=tuple(fill),
        border="constant" if isinstance(border, Constant) else "edge",
        filter=preprocessing.filter,
        quality=preprocessing.quality,
        unpadded=_unpadded(image, curves[0]),
    )


def _unpadded(image: Image, curve: Curve) -> Callable[[Pixels], Pixels] | None:
    if (padding := image.values.padding) is None:
        return None

    def shade(stored: float) -> float:
        return curve.at(float(to_modality(image.values, np.array(stored))))

    return lambda pixels: filled(pixels, padding, shade)


def channels_of(preprocessing: Preprocessing, image: Image) -> int:
    """Return how many channels the answer has, without reading a pixel; `PreprocessingError` where there is none."""
    channels, values = len(_channel_matrix(preprocessing, image)), preprocessing.values
    windows = len(values.windows) if isinstance(values, Windows) else 1
    if windows > 1 and channels != 1:
        raise PreprocessingError("several windows make the channels: set channels to grey", "channels")
    return max(windows, channels)


def resample_mask(grid: Grid, mask: Pixels, threads: int = 1) -> NDArray[np.float32]:
    """Bring a mask [1, ...] from the stored grid to `grid`, by nearest; 0 outside."""
    return _move(mask, grid.to_stored, grid.shape, "nearest", "constant", threads)


def restore(grid: Grid, array: NDArray[Any], filter: Filter = "antialias", threads: int = 1) -> NDArray[np.float32]:
    """Carry [channels, *grid.shape] back to the source's pixels: [channels, *grid.stored_shape], 0 outside the frame.

    Raises `PluginError` for an array of another shape: it would land in the wrong place.

    Up to half a pixel beyond the frame's outermost pixel centres the edge value counts, since those pixels reach there.
    """
    if array.shape[1:] != grid.shape:
        raise PluginError(
            f"an array of {array.shape[1:]} is no map on the model's grid of {grid.shape}: "
            "bring it to the size of batch.image"
        )
    array = np.ascontiguousarray(array, np.float32)
    moved = _move(array, grid.from_stored, grid.stored_shape, filter, "edge", threads)
    moved[:, ~_inside(grid)] = 0
    return moved


def _inside(grid: Grid) -> NDArray[np.bool_]:
    """Which stored pixels have their centre inside the frame."""
    inside = np.ones(grid.stored_shape, bool)
    axes = [np.arange(n, dtype=float) for n in grid.stored_shape]
    for axis, row in enumerate(grid.from_stored):
        place = row[-1]
        for other, index in enumerate(axes):
            place = place + row[other] * index.reshape([-1 if n == other else 1 for n in range(grid.dims)])
        inside &= (place >= -0.5 - 1e-9) & (place <= grid.shape[axis] - 0.5 + 1e-9)
    return inside


def _move(
    array: NDArray[Any],
    to_stored: NDArray[np.float64],
    shape: tuple[int, ...],
    filter: Filter,
    border: Literal["edge", "constant"],
    threads: int,
) -> NDArray[np.float32]:
    channels = len(array)
    out = np.empty((channels, *shape), np.float32)
    same = [_kernels.Tone()] * channels
    _kernels.resample(
        array,
        out,
        to_stored,
        before=same,
        after=same,
        filter=filter,
        border=border,
        fill=[0.0] * channels,
        threads=threads,
    )
    return out


def fit(preprocessing: Preprocessing, images: Iterable[Image], threads: int = 1) -> Preprocessing:
    """Resolve what waits for the training rows: `images` are theirs, and are read once or twice."""
    images = list(images)
    if not images:
        raise PreprocessingError("nothing to fit the preprocessing on: there are no training rows")
    if isinstance(preprocessing.values, FitPercentiles):
        asked = Percentiles(preprocessing.values.low, preprocessing.values.high)
        ranges = np.array([percentile_range(asked, image, image.read()) for image in images])
        low, high = ranges.mean(axis=0).tolist()
        preprocessing = msgspec.structs.replace(preprocessing, values=Range(low, high))
    if preprocessing.normalize == "fit":
        bare = msgspec.structs.replace(preprocessing, normalize=None)
        moments = []
        for image in images:
            pixels = image.read()
            made = plan(bare, image, pixels).run(pixels, threads=threads).astype(np.float64)
            axes = tuple(range(1, made.ndim))
            moments.append((made.mean(axis=axes), np.square(made).mean(axis=axes)))
        mean, square = np.mean(moments, axis=0)
        deviation = np.sqrt(np.maximum(square - mean**2, 1e-12))
        normal = Normalize(tuple(mean.tolist()), tuple(deviation.tolist()))
        preprocessing = msgspec.structs.replace(preprocessing, normalize=normal)
    return preprocessing


def _channel_matrix(preprocessing: Preprocessing, image: Image) -> NDArray[np.float64]:
    wanted, stored = preprocessing.channels, image.channels
    if wanted == "stored" or (wanted == "grey" and stored == 1) or (wanted == "rgb" and stored == 3):
        return np.eye(stored)
    if wanted == "rgb" and stored == 1:
        return np.ones((3, 1))
    if wanted == "grey" and stored == 3:
        return np.array([LUMA])
    raise PreprocessingError(f"an image of {stored} channels cannot become {wanted}", "channels")


def _normalize(preprocessing: Preprocessing, channels: int) -> list[tuple[float, float]]:
    normalize = preprocessing.normalize
    if normalize is None:
        return [(1.0, 0.0)] * channels
    if not isinstance(normalize, Normalize) or not preprocessing.fitted:
        raise PreprocessingError("this preprocessing is still to be fitted: train first")
    if len(normalize.mean) not in (1, channels):
        raise PreprocessingError(f"normalize has {len(normalize.mean)} means for {channels} channels", "channels")
    times = channels // len(normalize.mean)
    return [(1 / std, -mean / std) for mean, std in zip(normalize.mean * times, normalize.std * times)]
