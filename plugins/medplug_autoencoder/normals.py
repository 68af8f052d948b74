"""What a finished network makes of normal images: where their features lie, and how large each evidence is.

The covariance is shrunk as by Chen, Wiesel, Eldar, Hero: Shrinkage Algorithms for MMSE
Covariance Estimation (2010).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normals(nn.Module):
    """Measured once, after training, and stored with the weights; before, all is taken as it is.

    `features` is how many there are, `weights` are those of each evidence in the score; they add up to 1.
    """

    mean: Tensor
    whitening: Tensor
    center: Tensor
    spread: Tensor
    weights: Tensor

    def __init__(self, features: int, weights: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("whitening", torch.eye(features))
        self.register_buffer("center", torch.zeros(len(weights)))
        self.register_buffer("weights", torch.tensor(weights))
        self.register_buffer("spread", torch.ones(len(weights)))

    @torch.no_grad()
    def measure_features(self, features: Tensor) -> None:
        """Take the mean and the covariance of normal features [N, F]; the fewer rows, the more it is shrunk."""
        count, width = features.shape
        known = features.double()
        mean = known.mean(0)
        covariance = (known - mean).T @ (known - mean) / count
        level = covariance.trace() / width
        square, squared = covariance.square().sum(), covariance.trace() ** 2
        below = (count + 1 - 2 / width) * (square - squared / width)
        shrunk = ((1 - 2 / width) * square + squared) / below.clamp_min(torch.finfo(below.dtype).tiny)
        share = float(shrunk.clamp(1e-3, 1))
        floor = level.clamp_min(1e-12) * torch.eye(width, dtype=known.dtype, device=known.device)
        factor = torch.linalg.cholesky((1 - share) * covariance + share * floor)
        identity = torch.eye(width, dtype=known.dtype, device=known.device)
        self.mean.copy_(mean)
        self.whitening.copy_(torch.linalg.solve_triangular(factor, identity, upper=False))

    @torch.no_grad()
    def measure_evidence(self, evidence: Tensor) -> None:
        """Take the mean and the standard deviation of normal evidence [N, K]."""
        self.center.copy_(evidence.double().mean(0))
        self.spread.copy_(evidence.double().std(0, correction=0).clamp_min(1e-3))

    def distance(self, features: Tensor) -> Tensor:
        """The logarithm of the Mahalanobis distance [N] of features [N, F] from the mean, per square root of F."""
        away = (features.float() - self.mean) @ self.whitening.T
        return away.square().mean(1).clamp_min(1e-12).log() / 2

    def score(self, evidence: Tensor) -> Tensor:
        """One number [N] from evidence [N, K] in standard deviations above what is normal, weighed by `weights`."""
        return ((evidence - self.center) / self.spread) @ self.weights
