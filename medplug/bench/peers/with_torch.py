"""PyTorch: `interpolate` with antialiasing, and `grid_sample`, over the whole batch where its images have one size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..contestant import Contestant, Run, image_by_image
from ..work import Work
from .shrink_first import shrunk


def contestants(work: Work, threads: int) -> list[Contestant]:
    """Return PyTorch's ways of an item."""
    torch.set_num_threads(threads)
    if work.kind == "volume":
        ways = [Contestant("torch", "grid_sample", _inference(_sampled_volume(work)))]
        if work.outside is None:
            ways.append(Contestant("torch", "interpolate", _inference(_interpolated_volume(work))))
        return ways
    how, make = {
        "resize": ("interpolate, antialias", _resize),
        "warp": ("interpolate, grid_sample", _warp),
        "tiles": ("grid_sample, one batch", _tiles),
        "mask": ("grid_sample, nearest", _mask),
    }[work.kind]
    return [Contestant("torch", how, _inference(make(work)))]


def _inference(run: Run) -> Run:
    def without_gradients() -> NDArray[Any]:
        with torch.inference_mode():
            return run()

    return without_gradients


def theta(affine: NDArray[np.float64], stored: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Return maps [images, n, n + 1] in index order as `affine_grid` takes them: x first, from -1 to 1."""
    into, out_of = np.array(stored)[:, None], np.array(shape)
    linear = affine[:, :, :-1] * out_of / into
    middle = affine[:, :, :-1] @ ((out_of - 1) / 2) + affine[:, :, -1]
    shift = (2 * middle + 1) / into[:, 0] - 1
    turned = np.concatenate([linear[:, ::-1, ::-1], shift[:, ::-1, None]], axis=2)
    return torch.from_numpy(np.ascontiguousarray(turned, np.float32))


def _sample(
    values: Tensor, affine: NDArray[np.float64], shape: Sequence[int], mode: str = "bilinear", border: str = "border"
) -> Tensor:
    size = [len(values), 1, *shape]
    grid = F.affine_grid(theta(affine, values.shape[2:], shape), size, align_corners=False)
    return F.grid_sample(values, grid, mode=mode, padding_mode=border, align_corners=False)


def _resize(work: Work) -> Run:
    (low, high), (a, b) = work.toned.limits, work.toned.line

    def run() -> NDArray[Any]:
        values = torch.from_numpy(work.stored[0]).to(torch.float32).clamp_(low, high)
        shown = F.interpolate(values[None, None], work.shape, mode="bilinear", antialias=True)
        return shown.mul_(a).add_(b).numpy()

    return run


def _warp(work: Work) -> Run:
    (low, high), (a, b) = work.toned.limits, work.toned.line

    def one(n: int, out: NDArray[np.float32]) -> None:
        step = shrunk(work, n)
        values = torch.from_numpy(step.part(work.stored[n])).to(torch.float32).clamp_(low, high)
        values = F.interpolate(values[None, None], step.size, mode="bilinear", antialias=True)
        out[:] = _sample(values, step.rest[None], work.shape).mul_(a).add_(b)[0, 0].numpy()

    return image_by_image(one, work.answer_shape, 1)


def _sampled_volume(work: Work) -> Run:
    (low, high), (a, b) = work.toned.limits, work.toned.line
    air = None if work.outside is None else (work.outside - work.toned.intercept) / work.toned.slope

    def run() -> NDArray[Any]:
        values = torch.from_numpy(work.stored[0]).to(torch.float32)[None, None]
        if air is None:
            moved = _sample(values, work.to_stored, work.shape)
        else:  # beyond the image grid_sample knows zeros
            moved = _sample(values.sub_(air), work.to_stored, work.shape, border="zeros").add_(air)
        return moved.clamp_(low, high).mul_(a).add_(b).numpy()

    return run


def _interpolated_volume(work: Work) -> Run:
    (low, high), (a, b) = work.toned.limits, work.toned.line

    def run() -> NDArray[Any]:
        values = torch.from_numpy(work.stored[0]).to(torch.float32)[None, None]
        moved = F.interpolate(values, work.shape, mode="trilinear")
        return moved.clamp_(low, high).mul_(a).add_(b).numpy()

    return run


def _tiles(work: Work) -> Run:
    a, b = work.toned.line

    def run() -> NDArray[Any]:
        values = torch.from_numpy(work.stored).to(torch.float32)[:, None]
        return _sample(values, work.to_stored, work.shape).mul_(a).add_(b).numpy()

    return run


def _mask(work: Work) -> Run:
    def run() -> NDArray[Any]:
        values = torch.from_numpy(work.stored[0]).to(torch.float32)[None, None]
        return _sample(values, work.to_stored, work.shape, "nearest", "zeros").numpy()

    return run
