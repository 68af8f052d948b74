"""Whether each patch of an image is as bright as its surroundings let expect.

Normal images are taken for one Gaussian, once their local contrast is normalised. It says of a patch, from all that
lies around it, how bright it should be and how sure that is: in closed form, with no step of training. Exposure and
window change the surroundings as well, and so the expectation. To judge a part by the rest: Zavrtanik et al.,
Reconstruction by Inpainting for Visual Anomaly Detection (2021). Local contrast normalisation: Jarrett et al., What Is
the Best Multi-Stage Architecture for Object Recognition? (2009).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .similarity import blur

_SIDE = {2: 14, 3: 8}  # of the grid on which images are compared, by dimensions
_PATCH = {2: 5, 3: 3}  # of it, along each axis
_NEAR = 0.11  # of the side: standard deviation of the window of local contrast normalisation
_FLAT = 0.01  # of 1: a deviation of grey below which there is no contrast
_RIDGE = 0.3  # of the mean variance: hundreds of images do not tell a covariance exactly


class Surroundings(nn.Module):
    """Learned once and kept in buffers; until then nothing is brighter than expected."""

    mean: Tensor
    readings: Tensor

    def __init__(self, dims: int) -> None:
        super().__init__()
        self._dims, self._side, self._patch = dims, _SIDE[dims], _PATCH[dims]
        points, patches = _SIDE[dims] ** dims, (_SIDE[dims] - _PATCH[dims] + 1) ** dims
        self.register_buffer("mean", torch.zeros(points))
        self.register_buffer("readings", torch.zeros(patches, points))

    def forward(self, images: Tensor) -> Tensor:
        """By how much patches of `images` [N, 1, (D,) H, W] are brighter than expected, in standard deviations: [N].

        The mean over all patches, where a darker one counts as 0: what is dense hides, and most lesions are dense.
        """
        with torch.autocast(images.device.type, enabled=False):
            return F.relu((self._contrast_normalised(images) - self.mean) @ self.readings.T).mean(1)

    @torch.no_grad()
    def learn(self, batches: Iterable[Tensor]) -> None:
        """Learn from batches of normal images; from fewer than two nothing is learned."""
        count, total, products = 0, torch.zeros(()), torch.zeros(())
        for images in batches:
            rows = (
                self._contrast_normalised(images).double().cpu()
            )  # on the CPU in double precision: the same on every device
            count += len(rows)
            total, products = total + rows.sum(0), products + rows.T @ rows
        if count < 2:
            return
        mean = total / count
        covariance = products / count - torch.outer(mean, mean)
        ridge = (_RIDGE * covariance.diagonal().mean()).clamp_min(1e-6)
        precision = torch.linalg.inv(covariance + ridge * torch.eye(len(mean), dtype=mean.dtype))
        self.mean.copy_(mean)
        self.readings.copy_(torch.stack([_reading(precision, patch) for patch in self._patches()]))

    def _contrast_normalised(self, images: Tensor) -> Tensor:
        """The images on the grid, less their local mean and over their local deviation: [N, points]."""
        pool = F.adaptive_avg_pool2d if self._dims == 2 else F.adaptive_avg_pool3d
        small = pool(images.float(), self._side)
        near = _NEAR * self._side
        mean = blur(small, near)
        spread = (blur(small * small, near) - mean * mean).clamp_min(0).sqrt()
        return ((small - mean) / (spread + _FLAT)).flatten(1)

    def _patches(self) -> Iterator[Tensor]:
        """The numbers of the points of each patch."""
        points = torch.arange(len(self.mean)).view((self._side,) * self._dims)
        for corner in product(range(self._side - self._patch + 1), repeat=self._dims):
            yield points[tuple(slice(start, start + self._patch) for start in corner)].flatten()


def _reading(precision: Tensor, patch: Tensor) -> Tensor:
    """What to weigh an image's points with, to have a patch's mean less its expectation in standard deviations.

    Given the rest, a patch has the covariance of the inverse of its own block of the precision, and lies off its
    expectation by that times its rows of the precision (Bishop, Pattern Recognition and Machine Learning, 2.3.1).
    """
    uncertain = torch.linalg.inv(precision[patch][:, patch])
    reading: Tensor = uncertain.mean(0) @ precision[patch] / uncertain.mean().sqrt()
    return reading
