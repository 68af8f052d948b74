"""What a finished network makes of normal images: how large each evidence is, and how much it varies."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normals(nn.Module):
    """Measured once, after training, and stored with the weights; before, all is taken as it is.

    `weights` are those of each evidence in the score; they add up to 1.
    """

    center: Tensor
    spread: Tensor
    weights: Tensor

    def __init__(self, weights: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(len(weights)))
        self.register_buffer("spread", torch.ones(len(weights)))
        self.register_buffer("weights", torch.tensor(weights))

    @torch.no_grad()
    def measure(self, evidence: Tensor) -> None:
        """Take the mean and the standard deviation of normal evidence [N, K]."""
        self.center.copy_(evidence.double().mean(0))
        self.spread.copy_(evidence.double().std(0, correction=0).clamp_min(1e-3))

    def score(self, evidence: Tensor) -> Tensor:
        """One number [N] from evidence [N, K] in standard deviations above what is normal, weighed by `weights`."""
        return ((evidence - self.center) / self.spread) @ self.weights
