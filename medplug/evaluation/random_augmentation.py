"""Random augmentation of whole batches, under which a small classifier is taught.

A `medplug.Augmentation` is drawn with an image's way from its file; these images come from a generator, in memory.
None is mirrored: a chest that is mirrored is another finding.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor

_ZOOM, _TURN, _SHIFT = 0.15, 8.0, 2.0  # natural logarithm of the factor, degrees, pixels: at most, either way
_BRIGHTNESS, _CONTRAST, _GAMMA = 0.12, 0.3, 0.4  # of a range of 1; logarithms of the factor and of the exponent
_SHARPNESS, _NOISE = 0.7, 0.05  # parts of what a 3 x 3 mean leaves over, taken or added; standard deviation


def augmented(images: Tensor, generator: Generator) -> Tensor:
    """Return `images` [N, C, H, W] of 0 to 1, each zoomed, turned, shifted and toned by its own draws of `generator`.

    Beyond the frame its border is repeated. Values may leave 0 to 1.
    """
    import torch
    from torch.nn import functional as F

    def drawn(most: float) -> Tensor:
        """One number for each image [N, 1, 1, 1], between -most and most."""
        return (torch.rand((len(images), 1, 1, 1), generator=generator) * 2 - 1) * most

    moved = _moved(images, [drawn(most) for most in (_ZOOM, math.radians(_TURN), _SHIFT, _SHIFT)])
    toned = moved.clamp(0, 1) ** drawn(_GAMMA).exp()
    middle = toned.mean((1, 2, 3), keepdim=True)
    toned = (toned - middle) * drawn(_CONTRAST).exp() + middle + drawn(_BRIGHTNESS)
    soft = F.avg_pool2d(F.pad(toned, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    noise = torch.randn(toned.shape, generator=generator) * drawn(_NOISE)
    return toned + drawn(_SHARPNESS) * (toned - soft) + noise


def _moved(images: Tensor, drawn: list[Tensor]) -> Tensor:
    """Return them zoomed, turned and shifted; `drawn` [N, 1, 1, 1] are: logarithm of the factor, radians, pixels."""
    import torch
    from torch.nn import functional as F

    zoom, angle, right, down = (number.flatten() for number in drawn)
    cos, sin = angle.cos() * zoom.exp(), angle.sin() * zoom.exp()
    height, width = images.shape[2:]
    rows = [cos, -sin * height / width, 2 * right / width, sin * width / height, cos, 2 * down / height]
    grid = F.affine_grid(torch.stack(rows, 1).reshape(-1, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)
