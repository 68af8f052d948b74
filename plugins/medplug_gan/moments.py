"""What is left between a generator's images and real ones after training, and can be said in means and covariances.

A generator's images vary less than real ones, most of all along the weaker components. The optimal transport between
two Gaussians (Peyré and Cuturi, Computational Optimal Transport 2019, remark 2.31) moves an image as little as gives
the images the mean and the covariance of real ones. It is linear: where some real images are sharp and others are
soft, it makes all of them equally sharp. So lengths are then matched too, within bands of components: how far an image
lies from the mean, by quantiles.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

COMPONENTS = 192
"""Principal components of the training images that are corrected, at most; what lies beyond is left as it is."""

BANDS = (0, 16, 64, COMPONENTS)
"""From shape to texture: lengths are matched within each of these."""

_ROWS_A_COMPONENT = 8  # or the covariance would be that of chance
_SHRINK = 0.5  # of a covariance to its diagonal: chosen on validation rows, where less of it blurs the labels
_QUANTILES = 33
_MOST = 3.0  # no length changes by more than this factor
_NOISE = 2e-6  # variance of a pixel below which nothing is told: about that of rounding to 8 bits


class Moments(nn.Module):
    """A correction of images [N, C, H, W], learned once and kept in buffers; until then it leaves them as they are.

    `basis` [COMPONENTS, pixels] has zeros where there were too few images for a component.
    """

    made: Tensor
    real: Tensor
    basis: Tensor
    transport: Tensor
    scale: Tensor
    lengths: Tensor
    factors: Tensor
    ready: Tensor

    def __init__(self, pixels: int) -> None:
        super().__init__()
        bands = len(BANDS) - 1
        self.register_buffer("made", torch.zeros(pixels))
        self.register_buffer("real", torch.zeros(pixels))
        self.register_buffer("basis", torch.zeros(COMPONENTS, pixels))
        self.register_buffer("transport", torch.eye(COMPONENTS))
        self.register_buffer("scale", torch.ones(COMPONENTS))
        self.register_buffer("lengths", torch.arange(_QUANTILES, dtype=torch.float32).expand(bands, -1).clone())
        self.register_buffer("factors", torch.ones(bands, _QUANTILES))
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))

    def forward(self, images: Tensor) -> Tensor:
        """Return `images` [N, C, H, W], 0 to 1, with the moments of the real ones."""
        if not self.ready:
            return images
        flat = images.float().flatten(1)
        found = (flat - self.made) @ self.basis.T
        moved = found @ self.transport
        for band, (start, end) in enumerate(pairwise(BANDS)):
            length = _length(moved[:, start:end], self.scale[start:end])
            moved[:, start:end] *= _interpolated(length, self.lengths[band], self.factors[band])[:, None]
        corrected = flat + (self.real - self.made) + (moved - found) @ self.basis
        return corrected.clamp(0, 1).view_as(images)

    def learn(self, real: Tensor, made: Tensor) -> None:
        """Take the moments of `real` and of `made`, both [N, C, H, W]; too few of them change nothing."""
        count = min(COMPONENTS, len(self.made), min(len(real), len(made)) // _ROWS_A_COMPONENT)
        self.ready.fill_(count > 1)
        if count < 2:
            return
        # On the CPU in double precision: the same on every device.
        real, made = (images.flatten(1).double().cpu() for images in (real, made))
        means = real.mean(0), made.mean(0)
        basis = _components(real - means[0], count)
        ours, theirs = ((rows - mean) @ basis.T for rows, mean in zip((real, made), means))
        wanted = _covariance(ours)
        transport = _transport(_covariance(theirs), wanted)
        scale = wanted.diagonal().sqrt()
        self.real.copy_(means[0])
        self.made.copy_(means[1])
        self.basis.zero_()[:count] = basis
        self.transport.copy_(torch.eye(COMPONENTS))[:count, :count] = transport
        self.scale.fill_(1)[:count] = scale
        share = torch.linspace(0.005, 0.995, _QUANTILES, dtype=torch.float64)
        for band, (start, end) in enumerate(pairwise(BANDS)):
            if start >= count:
                break
            lengths = [
                _length(rows[:, start:end], scale[start:end]).quantile(share) for rows in (ours, theirs @ transport)
            ]
            self.lengths[band] = lengths[1]
            self.factors[band] = (lengths[0] / lengths[1]).clamp(1 / _MOST, _MOST)


class Sample:
    """Images spread evenly over a stream: all of a short one, and of a longer one between half of `most` and `most`."""

    def __init__(self, most: int = 5120) -> None:
        self._most, self._every, self._met = most, 1, 0
        self._kept: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, images: Tensor) -> None:
        """Meet images [N, C, H, W], and keep every so manieth."""
        for image in images.detach().cpu():
            if self._met % self._every == 0:
                self._kept.append(image)
            self._met += 1
            if len(self._kept) > self._most:
                self._kept, self._every = self._kept[::2], 2 * self._every

    def images(self) -> Tensor:
        """Return what is kept, at least one: [N, C, H, W]."""
        return torch.stack(self._kept)


def _components(centred: Tensor, count: int) -> Tensor:
    """The first `count` principal components of `centred` [N, pixels], as rows: in random projections, but the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        found = torch.svd_lowrank(centred, q=min(count + 32, *centred.shape), niter=4)[2]
    components: Tensor = found[:, :count].T
    return components


def _covariance(rows: Tensor) -> Tensor:
    """The covariance of rows about zero [N, K], with a part of what lies beside its diagonal."""
    covariance = rows.T @ rows / (len(rows) - 1)
    diagonal = torch.diag(covariance.diagonal())
    return (1 - _SHRINK) * covariance + _SHRINK * diagonal + _NOISE * torch.eye(len(diagonal), dtype=rows.dtype)


def _transport(one: Tensor, other: Tensor) -> Tensor:
    """A^-1/2 (A^1/2 B A^1/2)^1/2 A^-1/2, which takes a Gaussian of covariance A to one of B: symmetric."""
    root, inverse = _power(one, 0.5), _power(one, -0.5)
    return inverse @ _power(root @ other @ root, 0.5) @ inverse


def _power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    powered: Tensor = (vectors * values.clamp_min(1e-12) ** exponent) @ vectors.T
    return powered


def _length(rows: Tensor, scale: Tensor) -> Tensor:
    """The Euclidean length of rows [N, K] in units of `scale` [K]."""
    length: Tensor = (rows / scale).square().sum(1).sqrt()
    return length


def _interpolated(x: Tensor, places: Tensor, values: Tensor) -> Tensor:
    """`values` at x, of which those at the rising `places` are known; beyond the ends, those of the ends."""
    right = torch.searchsorted(places, x.contiguous()).clamp(1, len(places) - 1)
    share = (x - places[right - 1]) / (places[right] - places[right - 1]).clamp_min(1e-9)
    found: Tensor = torch.lerp(values[right - 1], values[right], share.clamp(0, 1))
    return found
