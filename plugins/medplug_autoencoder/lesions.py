"""Lesions that never were, laid into normal images, from which a network learns what a lesion looks like.

Every kind changes [N, C, (D,) H, W] in 0 to 1 where a soft mask [N, 1, (D,) H, W] says so: light lost or gained,
sharpness lost, grain, pieces of other images. Pasting: Li et al., CutPaste (2021); Schlüter et al., Natural Synthetic
Anomalies (2022). Noisy borders: Zavrtanik et al., DRAEM (2021).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from .similarity import INTERPOLATION, blur

if TYPE_CHECKING:
    from torch import Tensor

_SMALLEST, _LARGEST = 0.15, 0.9  # half axes of a lesion, in halves of the image's side
_WHOLE = 0.15  # of the lesions are everywhere: a lung may be lost as a whole
_SECOND = 0.5  # have a second focus
VISIBLE = 0.04
"""The change of grey, of 1, from which on a pixel counts as changed."""


@dataclass(frozen=True)
class Draw:
    """Random numbers for `count` images of `size` pixels, from a generator on the CPU, on the images' device."""

    count: int
    size: tuple[int, ...]
    generator: torch.Generator
    device: torch.device

    def uniform(self, low: float, high: float) -> Tensor:
        """One number an image, [N, 1, 1, 1(, 1)]."""
        drawn = torch.rand(self.count, 1, *(1 for _ in self.size), generator=self.generator)
        return (low + (high - low) * drawn).to(self.device)

    def clouds(self, cells: int) -> Tensor:
        """Smooth noise about 0 with `cells` values a side, [N, 1, (D,) H, W]."""
        coarse = torch.randn(self.count, 1, *(cells for _ in self.size), generator=self.generator)
        mode = INTERPOLATION[len(self.size)]
        return F.interpolate(coarse.to(self.device), size=self.size, mode=mode, align_corners=True)

    def spots(self) -> Tensor:
        """Soft, turned ellipsoids with noisy borders, 0 to 1, [N, 1, (D,) H, W]."""
        sides = [torch.linspace(-1, 1, side, device=self.device) for side in self.size]
        away = [at - self.uniform(-0.85, 0.85) for at in torch.meshgrid(*sides, indexing="ij")]
        angle = self.uniform(0, math.pi)
        row, column = away[-2], away[-1]
        away[-2:] = [row * angle.cos() - column * angle.sin(), row * angle.sin() + column * angle.cos()]
        halves = [self.uniform(math.log(_SMALLEST), math.log(_LARGEST)).exp() for _ in self.size]
        squares = [(along / half).square() for along, half in zip(away, halves, strict=True)]
        border = 0.35 * self.clouds(5) + 0.2 * self.clouds(9)
        distance = torch.stack(squares).sum(0).sqrt() + border
        return torch.sigmoid((1 - distance) / self.uniform(0.05, 0.35))


def _haze(images: Tensor, mask: Tensor, draw: Draw) -> Tensor:
    """What is darker than soft tissue becomes lighter: air gave way to fluid, and the rest stays as it was."""
    mean, spread = _levels(images)
    tissue = mean + spread * draw.uniform(0.2, 1.6)
    return images + draw.uniform(0.2, 1) * mask * F.relu(tissue - images)


def _opacity(images: Tensor, mask: Tensor, draw: Draw) -> Tensor:
    """What lies there gives way to the grey of soft tissue with a texture of its own."""
    mean, spread = _levels(images)
    tissue = mean + spread * (draw.uniform(0, 1.6) + draw.uniform(0, 0.3) * draw.clouds(7))
    return images + draw.uniform(0.2, 1) * mask * (tissue - images)


def _lucency(images: Tensor, mask: Tensor, draw: Draw) -> Tensor:
    """Darker than it was: air where tissue should be."""
    mean, spread = _levels(images)
    return images + draw.uniform(0.2, 1) * mask * (mean - spread * draw.uniform(0.3, 2) - images)


def _softening(images: Tensor, mask: Tensor, draw: Draw) -> Tensor:
    """Vessels and borders lost."""
    sigma = (1.0, 1.6, 2.5)[int(torch.randint(3, (), generator=draw.generator))] * max(draw.size) / 28
    return images + mask * (blur(images, sigma) - images)


def _grain(images: Tensor, mask: Tensor, draw: Draw) -> Tensor:
    """A fine pattern laid over."""
    _, spread = _levels(images)
    return images + mask * draw.clouds(max(max(draw.size) // 2, 2)) * spread * draw.uniform(0.15, 0.6)


def _foreign(images: Tensor, mask: Tensor, draw: Draw) -> Tensor:
    """A piece of another image, or of another place."""
    others = images[torch.randperm(draw.count, generator=draw.generator).to(images.device)]
    shifts = [int(torch.randint(-(side // 3), side // 3 + 1, (), generator=draw.generator)) for side in draw.size]
    return images + mask * (others.roll(shifts, tuple(range(2, 2 + len(shifts)))) - images)


KINDS: dict[str, Callable[[Tensor, Tensor, Draw], Tensor]] = {
    "haze": _haze,
    "opacity": _opacity,
    "lucency": _lucency,
    "softening": _softening,
    "grain": _grain,
    "foreign": _foreign,
}
"""How images change where a lesion lies."""


def with_lesions(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Lay a lesion of one kind, in one place or two, into each image [N, C, (D,) H, W] in 0 to 1.

    Returns the images so changed, where they visibly differ (0 or 1, [N, 1, (D,) H, W]), and which of `KINDS` each has
    [N]. `generator` is on the CPU; the images may be anywhere.
    """
    draw = Draw(len(images), tuple(images.shape[2:]), generator, images.device)
    second = (draw.uniform(0, 1) < _SECOND) * draw.spots()
    mask = torch.maximum(draw.spots(), second)
    mask = torch.where(draw.uniform(0, 1) < _WHOLE, torch.ones_like(mask), mask)
    kinds = torch.randint(len(KINDS), (len(images),), generator=generator)
    changed = images.clone()
    for number, kind in enumerate(KINDS.values()):
        rows = (kinds == number).nonzero()[:, 0].to(images.device)
        if len(rows):
            own = Draw(len(rows), draw.size, generator, images.device)
            changed[rows] = kind(images[rows], mask[rows], own)
    changed = changed.clamp(0, 1)
    where = blur((changed - images).abs().mean(1, keepdim=True), 1.0) > VISIBLE
    return changed, where.to(images.dtype), kinds.to(images.device)


def _levels(images: Tensor) -> tuple[Tensor, Tensor]:
    """Each image's mean and standard deviation, shaped to be added to it."""
    shape = (-1, *(1 for _ in images.shape[1:]))
    flat = images.flatten(1)
    return flat.mean(1).view(shape), flat.std(1).view(shape)
