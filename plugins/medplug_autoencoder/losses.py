"""What the detector learns from normal images alone: to rebuild them, and to find lesions laid into them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from .lesions import with_lesions
from .similarity import reconstruction_loss

if TYPE_CHECKING:
    from torch import Tensor

    from .network import Detector

_SEEN = 0.01
"""The mean change of grey, of 1, from which on a lesion counts in full; what nobody could see teaches nothing."""


def losses(detector: Detector, images: Tensor, generator: torch.Generator, *, structure: float) -> dict[str, Tensor]:
    """The losses of normal images [N, 1, (D,) H, W] in 0 to 1, and of the same with lesions, by name."""
    with torch.autocast(images.device.type, enabled=False):
        sick, where = with_lesions(images.float(), generator)
    made = detector.autoencoder(images)
    seen = detector.discriminator(torch.cat([images, sick]))

    seen_at_all = ((sick - images).abs().flatten(1).mean(1) / _SEEN).clamp(max=1)
    weight = torch.cat([torch.ones_like(seen_at_all), seen_at_all])
    sick_or_not = torch.cat([torch.zeros_like(seen_at_all), torch.ones_like(seen_at_all)])
    place = torch.cat([torch.zeros_like(where), where])
    found = F.binary_cross_entropy_with_logits(seen.lesion.float(), sick_or_not, reduction="none")
    return {
        "reconstruction": reconstruction_loss(made, images, structure=structure),
        "lesion": (found * weight).sum() / weight.sum(),
        "where": F.binary_cross_entropy_with_logits(seen.where.float(), place),
    }
