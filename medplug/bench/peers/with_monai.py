"""MONAI: its transforms `ScaleIntensityRange`, `Resize`, `Affine` and `SpatialResample`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.networks.layers import AffineTransform
from monai.transforms import Affine, Compose, Resize, ScaleIntensityRange, SpatialResample
from numpy.typing import NDArray

from ..contestant import Contestant, Run, image_by_image
from ..work import Work
from .shrink_first import shrunk


def contestants(work: Work, threads: int) -> list[Contestant]:
    """Return MONAI's way of an item."""
    torch.set_num_threads(threads)
    how, make = {
        "resize": ("Resize, anti_aliasing", _resize),
        "warp": ("Resize, Affine", _warp),
        "volume": ("SpatialResample", _volume),
        "tiles": ("AffineTransform, one batch", _tiles),
        "mask": ("SpatialResample, nearest", _mask),
    }[work.kind]
    return [Contestant("MONAI", how, make(work))]


def _window(work: Work) -> Any:
    """From stored values to 0 to 1, clamped."""
    return ScaleIntensityRange(*work.toned.limits, 0.0, 1.0, clip=True)


def _normal(work: Work) -> Any:
    """From 0 to 1 to normalised values; its own clip would not survive an inversion."""
    (low, high), (a, b) = work.toned.limits, work.toned.line
    return ScaleIntensityRange(0.0, 1.0, a * low + b, a * high + b)


def _channel(stored: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(stored.astype(np.float32))[None]


def _square(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [n + 1, n + 1]."""
    return np.vstack([affine, np.eye(affine.shape[1])[-1:]])


def _resize(work: Work) -> Run:
    steps = Compose([_window(work), Resize(work.shape, mode="bilinear", anti_aliasing=True), _normal(work)])
    return lambda: np.asarray(steps(_channel(work.stored[0])))


def _warp(work: Work) -> Run:
    window, normal = _window(work), _normal(work)

    def one(n: int, out: NDArray[np.float32]) -> None:
        step = shrunk(work, n)
        values = window(_channel(step.part(work.stored[n])))
        values = Resize(step.size, mode="bilinear", anti_aliasing=True)(values)
        rest = step.rest.copy()  # MONAI measures from the centres
        rest[:, -1] += rest[:, :-1] @ ((np.array(work.shape) - 1) / 2) - (np.array(step.size) - 1) / 2
        turn = Affine(affine=_square(rest), spatial_size=work.shape, padding_mode="border", image_only=True)
        out[:] = np.asarray(normal(turn(values)))[0]

    return image_by_image(one, work.answer_shape, 1)


def _spatial(work: Work, values: torch.Tensor, mode: str, border: str) -> Any:
    """Move an image whose own affine is the identity."""
    size = values.ndim
    placed = MetaTensor(values, affine=torch.eye(size, dtype=torch.float64))
    move = SpatialResample(mode=mode, padding_mode=border, align_corners=True, dtype=torch.float32)
    return move(placed, dst_affine=torch.from_numpy(_square(work.to_stored[0])), spatial_size=work.shape)


def _volume(work: Work) -> Run:
    scale = Compose([_window(work), _normal(work)])
    air = None if work.outside is None else (work.outside - work.toned.intercept) / work.toned.slope

    def run() -> NDArray[Any]:
        values = _channel(work.stored[0])
        if air is None:
            return np.asarray(scale(_spatial(work, values, "bilinear", "border")))
        return np.asarray(scale(_spatial(work, values - air, "bilinear", "zeros") + air))

    return run


def _tiles(work: Work) -> Run:
    scale = Compose([_window(work), _normal(work)])
    move = AffineTransform(
        work.shape, normalized=False, mode="bilinear", padding_mode="border", align_corners=True, zero_centered=False
    )
    maps = torch.from_numpy(np.stack([_square(one) for one in work.to_stored]).astype(np.float32))

    def run() -> NDArray[Any]:
        with torch.inference_mode():
            values = torch.from_numpy(work.stored).to(torch.float32)[:, None]
            return np.asarray(scale(move(values, maps)))

    return run


def _mask(work: Work) -> Run:
    return lambda: np.asarray(_spatial(work, _channel(work.stored[0]), "nearest", "zeros"))
