"""What a finished network makes of normal images: how large each evidence is, and how much it varies."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Normals(nn.Module):
    """Of `kinds` of evidence. Measured once, after training, and stored with the weights; before, all is as it is."""

    center: Tensor
    spread: Tensor

    def __init__(self, kinds: int) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(kinds))
        self.register_buffer("spread", torch.ones(kinds))

    @torch.no_grad()
    def measure(self, evidence: Tensor) -> None:
        """Take the mean and the standard deviation of normal evidence [N, K]."""
        self.center.copy_(evidence.double().mean(0))
        self.spread.copy_(evidence.double().std(0, correction=0).clamp_min(1e-3))

    def score(self, evidence: Tensor) -> Tensor:
        """One number [N] from evidence [N, K]: the mean of all, in standard deviations above what is normal."""
        return ((evidence - self.center) / self.spread).mean(1)
