"""What is left between a generator's images and real ones after training, and can be said in means and covariances.

A generator's images vary less than real ones, most of all along the weaker components. The optimal transport between
two Gaussians (Peyré and Cuturi, Computational Optimal Transport 2019, remark 2.31) moves an image as little as gives
the images of a label the mean and the covariance of real ones. It is linear: where some real images are sharp and
others are soft, it makes all of them equally sharp. So lengths are then matched too, within bands of components: how
far an image lies from the mean, by quantiles.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

COMPONENTS = 784
"""Principal components of the training images that are corrected, at most; what lies beyond is left as it is."""

BANDS = (0, 16, 64, 192, COMPONENTS)
"""From shape to texture: lengths are matched within each of these."""

_ROWS_A_COMPONENT = 1.5  # of the rarest label, at least: a covariance needs more rows than it has components
_DRAWS_A_COMPONENT = 8
_QUANTILES = 33
_MOST = 3.0  # no length changes by more than this factor
_NOISE = 2e-6  # variance of a pixel below which nothing is told: about that of rounding to 8 bits


class Moments(nn.Module):
    """A correction of images by label, learned once and kept in buffers; until then it leaves them as they are.

    `basis` [components, pixels] is that of all labels, and zero where there were too few images for a component; of
    each label there are two means, a transport, deviations, and in each band `lengths` with the factors they get.
    """

    made: Tensor
    real: Tensor
    basis: Tensor
    transport: Tensor
    scale: Tensor
    lengths: Tensor
    factors: Tensor
    ready: Tensor

    def __init__(self, pixels: int, labels: int = 1) -> None:
        super().__init__()
        bands, most = len(BANDS) - 1, min(COMPONENTS, pixels)
        self.register_buffer("made", torch.zeros(labels, pixels))
        self.register_buffer("real", torch.zeros(labels, pixels))
        self.register_buffer("basis", torch.zeros(most, pixels))
        self.register_buffer("transport", torch.eye(most).expand(labels, -1, -1).clone())
        self.register_buffer("scale", torch.ones(labels, most))
        places = torch.arange(_QUANTILES, dtype=torch.float32)
        self.register_buffer("lengths", places.expand(labels, bands, -1).clone())
        self.register_buffer("factors", torch.ones(labels, bands, _QUANTILES))
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return `images` [N, C, H, W], 0 to 1, with the moments of real ones of their `labels` [N], numbers."""
        if not self.ready:
            return images
        corrected = images.float().flatten(1).clone()
        for label in range(len(self.made)):
            rows = labels.to(images.device) == label
            corrected[rows] = self._corrected(corrected[rows], label)
        return corrected.clamp(0, 1).view_as(images)

    def _corrected(self, flat: Tensor, label: int) -> Tensor:
        found = (flat - self.made[label]) @ self.basis.T
        moved = found @ self.transport[label]
        for band, (start, end) in enumerate(pairwise(BANDS)):
            length = _length(moved[:, start:end], self.scale[label, start:end])
            moved[:, start:end] *= _interpolated(length, self.lengths[label, band], self.factors[label, band])[:, None]
        return flat + (self.real[label] - self.made[label]) + (moved - found) @ self.basis

    def learn(self, real: Tensor, labels: Tensor, draw: Callable[[int, int], Tensor]) -> None:
        """Take the moments of `real` [N, C, H, W] by `labels` [N] and of what `draw(label, count)` makes of them.

        With too few images of a label nothing is learned, and no image is corrected.
        """
        self.ready.fill_(False)  # what is learned from is not corrected yet
        rarest = int(torch.bincount(labels, minlength=len(self.made)).min())
        count = min(len(self.basis), int(rarest / _ROWS_A_COMPONENT))
        if count < 2:
            return
        real = real.flatten(1).double().cpu()  # on the CPU in double precision: the same on every device
        basis = _components(real - real.mean(0), count)
        self.basis.zero_()[:count] = basis
        for label in range(len(self.made)):
            made = draw(label, _DRAWS_A_COMPONENT * count).flatten(1).double().cpu()
            self._learn(label, real[labels == label], made, basis)
        self.ready.fill_(True)

    def _learn(self, label: int, real: Tensor, made: Tensor, basis: Tensor) -> None:
        """Learn the transport from one half of `made`, and from the other how long images are after it.

        Those it was fitted to would seem right.
        """
        means, count = (real.mean(0), made.mean(0)), len(basis)
        ours, theirs = ((rows - mean) @ basis.T for rows, mean in zip((real, made), means, strict=True))
        wanted = _covariance(ours)
        transport, scale = _transport(_covariance(theirs[::2]), wanted), wanted.diagonal().sqrt()
        self.real[label], self.made[label] = means
        self.transport[label] = torch.eye(len(self.basis))
        self.transport[label, :count, :count] = transport
        self.scale[label] = 1
        self.scale[label, :count] = scale
        share = torch.linspace(0.005, 0.995, _QUANTILES, dtype=torch.float64)
        for band, (start, end) in enumerate(pairwise(BANDS)):
            if start >= count:
                break
            wanted_lengths, found_lengths = (
                _length(rows[:, start:end], scale[start:end]).quantile(share)
                for rows in (ours, theirs[1::2] @ transport)
            )
            self.lengths[label, band] = found_lengths
            factors = (wanted_lengths / found_lengths).clamp(1 / _MOST, _MOST)
            self.factors[label, band] = torch.where(found_lengths > 0, factors, 1.0)  # nothing has no length to change


class Sample:
    """Images spread evenly over a stream: all of a short one, and of a longer one between half of `most` and `most`."""

    def __init__(self, most: int = 5120) -> None:
        self._most, self._every, self._met = most, 1, 0
        self._kept: list[tuple[Tensor, int]] = []

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, images: Tensor, labels: Tensor | None = None) -> None:
        """Meet images [N, C, H, W] and the numbers of their labels [N], 0 without, and keep one of every few."""
        numbers = [0] * len(images) if labels is None else labels.tolist()
        for image, number in zip(images.detach().cpu(), numbers, strict=True):
            if self._met % self._every == 0:
                self._kept.append((image, number))
            self._met += 1
            if len(self._kept) > self._most:
                self._kept, self._every = self._kept[::2], 2 * self._every

    def images(self) -> Tensor:
        """Return the images kept, at least one: [N, C, H, W]."""
        return torch.stack([image for image, _ in self._kept])

    def labels(self) -> Tensor:
        """Return the numbers of their labels, [N]."""
        return torch.tensor([number for _, number in self._kept])


def _components(centred: Tensor, count: int) -> Tensor:
    """The first `count` principal components of `centred` [N, pixels], as rows: in random projections, but the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        found = torch.svd_lowrank(centred, q=min(count + 32, *centred.shape), niter=4)[2]
    components: Tensor = found[:, :count].T
    return components


def _covariance(rows: Tensor) -> Tensor:
    """The covariance of rows about zero [N, K], with a little noise, so that it has an inverse."""
    return rows.T @ rows / (len(rows) - 1) + _NOISE * torch.eye(rows.shape[1], dtype=rows.dtype)


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
