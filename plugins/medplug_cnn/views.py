"""Slightly moved views of an image, over which a trained network's answer is averaged."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_TURN, _SCALE, _SHIFT = 8.0, 1.1, 0.05  # degrees, factor, part of the frame: within what training shows


def moved(image: Tensor, count: int) -> list[Tensor]:
    """Return `count` views of `image` [N, C, (D,) H, W]: itself first, then always the same small movements.

    Turns (of volumes, within each slice), scales and shifts follow an additive recurrence, which fills their ranges
    evenly however many are taken. Outside the frame its border is repeated.
    """
    dims = image.dim() - 2
    shape = list(image.shape)
    views = [image]
    for index in range(1, count):
        theta = torch.tensor(_map(index, dims), dtype=torch.float32, device=image.device)
        grid = F.affine_grid(theta.expand(shape[0], dims, dims + 1), shape, align_corners=False)
        views.append(F.grid_sample(image, grid.to(image.dtype), padding_mode="border", align_corners=False))
    return views


def _map(index: int, dims: int) -> list[list[float]]:
    """The rows of an affine map in `affine_grid`'s coordinates: x first, the frame from -1 to 1."""
    turn, scale, *shifts = (2 * number - 1 for number in _spread(index, 2 + dims))
    angle, factor = math.radians(_TURN * turn), _SCALE**scale
    cos, sin = math.cos(angle) / factor, math.sin(angle) / factor
    rows = [[cos, -sin], [sin, cos]]
    if dims == 3:
        rows = [[*rows[0], 0.0], [*rows[1], 0.0], [0.0, 0.0, 1 / factor]]
    return [[*row, 2 * _SHIFT * shift] for row, shift in zip(rows, shifts)]


def _spread(index: int, count: int) -> list[float]:
    """`count` numbers in 0 to 1, the `index`th of a sequence that fills the cube evenly (Roberts, R_d, 2018)."""
    root = 2.0
    for _ in range(60):  # the root of x^(count + 1) = x + 1
        root = (1 + root) ** (1 / (count + 1))
    return [(0.5 + index * root ** -(power + 1)) % 1 for power in range(count)]
