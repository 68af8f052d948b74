"""The kernels' slow twins: float64, one output pixel at a time, every rule spelled out."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medplug._kernels import Tone

NOISE = 1e-9  # what composed matrices may be off by, in pixels; smaller weights are no taps, near ties are ties


def tone_reference(tone: Tone, values: NDArray[Any]) -> NDArray[np.float64]:
    values = np.asarray(values, np.float64)
    with np.errstate(all="ignore"):
        if tone.table is not None:
            known = np.where(np.isnan(values), 0.0, values)
            index = np.clip(np.floor(known + 0.5) - tone.first, 0, len(tone.table) - 1).astype(np.int64)
            values = np.where(np.isnan(values), np.nan, tone.table.astype(np.float64)[index])
        values = values * tone.slope + tone.intercept
        values = 1 / (1 + np.exp(-4 * values)) if tone.sigmoid else np.clip(values, tone.low, tone.high)
        if tone.gamma != 1:
            values = np.maximum(values, 0) ** tone.gamma
        return values * tone.scale + tone.offset


def taps_reference(
    position: float, size: int, support: float, filter: str, border: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the pixels that one position reads along one axis, also those outside the image, and their weights."""
    if border == "edge":
        position = min(max(position, 0.0), size - 1.0)
    if filter == "nearest":
        return np.array([np.floor(position + 0.5 + NOISE)], np.int64), np.ones(1)
    pixels = np.arange(np.floor(position - support), np.ceil(position + support) + 1).astype(np.int64)
    weights = 1 - abs(pixels - position) / support
    kept = weights > NOISE
    if border == "edge":
        kept &= (pixels >= 0) & (pixels < size)
    return pixels[kept], weights[kept]


def resample_reference(
    stored: NDArray[Any],
    out: NDArray[Any],
    to_stored: NDArray[np.float64],
    *,
    before: Sequence[Tone],
    after: Sequence[Tone],
    filter: str,
    border: str,
    fill: Sequence[float],
    matrix: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return what `resample` should write; of `out` only the shape counts."""
    means = means_reference(
        stored, out, to_stored, before=before, filter=filter, border=border, fill=fill, matrix=matrix
    )
    return np.stack([tone_reference(tone, plane) for tone, plane in zip(after, means, strict=True)])


def rounding(
    stored: NDArray[Any],
    to_stored: Any,
    *,
    before: Sequence[Tone],
    filter: str,
    fill: Sequence[float],
    matrix: NDArray[np.float64] | None = None,
    **_: Any,
) -> float:
    """Return how far the weighted means of stored integers may lie from the twin's: weights and windows are rounded.

    Floats and nearest are not rounded at all. A weight may be off by 2^-15, the end of a window by 2^-14 of its width;
    of the range over all that can be stored, what a curve gives by 2^-16 and mixed bytes by 2^-12; and a row's sum by
    2^-15 of that range, or of what a table gives at all.
    """
    if stored.dtype == np.float32 or filter == "nearest":
        return 0.0
    values = toned(stored, before, matrix)
    info = np.iinfo(stored.dtype)
    possible = [tone_reference(tone, np.arange(info.min, info.max + 1)) for tone in before]
    curved = max((np.ptp(one) for one, tone in zip(possible, before) if tone.sigmoid or tone.gamma != 1), default=0.0)
    mixes = matrix is not None and stored.dtype == np.uint8 and not np.isin(matrix, [0, 1]).all()
    mixed = max(np.ptp(one) for one in possible) if mixes else 0.0
    spread = max(values.max(), *fill) - min(values.min(), *fill)
    scale = max(1.0, *np.linalg.norm(np.asarray(to_stored)[:, :-1], axis=1)) if filter == "antialias" else 1.0
    taps = min(2 * scale + 1, max(stored.shape[1:]))
    given = [tone_reference(t, np.arange(len(t.table)) + t.first) for t in before if t.table is not None]
    rows = max(np.ptp(one) for one in (*possible, *given)) * 2.0**-15
    return float(spread * (2.0**-14 + taps * 2.0**-15) + rows + curved * 2.0**-16 + mixed * 2.0**-12)


def toned(
    stored: NDArray[Any], before: Sequence[Tone], matrix: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    values = stored.astype(np.float64)
    if matrix is not None:
        values = np.einsum("ck,k...->c...", matrix, values)
    return np.stack([tone_reference(tone, plane) for tone, plane in zip(before, values, strict=True)])


def means_reference(
    stored: NDArray[Any],
    out: NDArray[Any],
    to_stored: NDArray[np.float64],
    *,
    before: Sequence[Tone],
    filter: str,
    border: str,
    fill: Sequence[float],
    matrix: NDArray[np.float64] | None = None,
    **_: Any,
) -> NDArray[np.float64]:
    """Return the weighted means, before `after` is applied."""
    values = toned(stored, before, matrix)
    linear, shift = to_stored[:, :-1], to_stored[:, -1]
    supports = [1.0 if filter == "linear" else max(1.0, float(np.linalg.norm(row))) for row in linear]
    result = np.empty(out.shape)
    for index in np.ndindex(*out.shape[1:]):
        position = linear @ np.array(index, np.float64) + shift
        taps = [
            taps_reference(p, size, support, filter, border)
            for p, size, support in zip(position, stored.shape[1:], supports, strict=True)
        ]
        weights = reduce(np.multiply.outer, [w for _, w in taps])
        inside = reduce(
            np.logical_and.outer,
            [(pixels >= 0) & (pixels < n) for (pixels, _), n in zip(taps, stored.shape[1:], strict=True)],
        )
        here = np.ix_(*(np.clip(pixels, 0, n - 1) for (pixels, _), n in zip(taps, stored.shape[1:], strict=True)))
        for channel in range(len(result)):
            read = np.where(inside, values[channel][here], fill[channel])
            result[channel][index] = (weights * read).sum() / weights.sum()
    return result


def resize(sizes: Sequence[int], new: Sequence[int]) -> NDArray[np.float64]:
    """The map of a resize that keeps the image's outer edges, index (slice,) row, column."""
    scales = np.array(sizes) / np.array(new)
    return np.column_stack([np.diag(scales), (scales - 1) / 2])


def rotation(degrees: float, scale: float, sizes: Sequence[int], new: Sequence[int]) -> NDArray[np.float64]:
    """The map of a rotation in the plane of the last two axes about the image's centre."""
    angle = np.deg2rad(degrees)
    linear = np.eye(len(sizes))
    linear[-2:, -2:] = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    shift = (np.array(sizes) - 1) / 2 - linear @ ((np.array(new) - 1) / 2)
    return np.column_stack([linear, shift])
