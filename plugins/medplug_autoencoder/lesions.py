"""Lesions that never were, laid into normal images, from which a network learns what a lesion looks like.

They are plain on purpose: soft, lighter or darker, of any size. A network that has to tell every odd change as well
(grain, a blurred patch, a piece of another image) looks at fine texture, and takes another sharpness for a lesion.
Learning from what is laid into normal images: Zavrtanik et al., DRAEM (2021); Schlüter et al., Natural Synthetic
Anomalies (2022).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .similarity import blur

if TYPE_CHECKING:
    from torch import Tensor

_MOST = 4  # foci in an image
_CENTER = 0.65  # of a focus, at most so far from the image's middle, in halves of the image's side
_WIDTH = (0.15, 0.5)  # standard deviation of a focus along each axis, in halves of the image's side
_STRENGTH = (0.15, 0.5)  # by how much of 1 black becomes lighter, or white darker
_DARKER = 0.3  # of the images: most lesions are denser than what was there
_SATURATION = 0.8  # of a lighter focus is lost where the image is white already: what is dense hides it
VISIBLE = 0.04
"""The change of grey, of 1, from which on a pixel counts as changed."""


def with_lesions(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Lay one to four foci into each image [N, C, (D,) H, W] in 0 to 1, all lighter or all darker than it was.

    Returns the images so changed, and where they visibly differ (0 or 1, [N, 1, (D,) H, W]). `generator` is on the CPU;
    the images may be anywhere.
    """
    count, sides = len(images), images.shape[2:]

    def uniform(low: float, high: float) -> Tensor:
        drawn = torch.rand(count, 1, *(1 for _ in sides), generator=generator)
        return (low + (high - low) * drawn).to(images.device)

    along = torch.meshgrid(*(torch.linspace(-1, 1, side, device=images.device) for side in sides), indexing="ij")
    foci = uniform(0, _MOST)
    mask = torch.zeros_like(images[:, :1])
    for number in range(_MOST):
        squares = [((at - uniform(-_CENTER, _CENTER)) / uniform(*_WIDTH)).square() for at in along]
        mask = torch.maximum(mask, torch.exp(-torch.stack(squares).sum(0) / 2) * (foci >= number))
    room = torch.where(uniform(0, 1) < _DARKER, -images, 1 - _SATURATION * images)
    changed = (images + uniform(*_STRENGTH) * mask * room).clamp(0, 1)
    where = blur((changed - images).abs().mean(1, keepdim=True), 1.0) > VISIBLE
    return changed, where.to(images.dtype)
