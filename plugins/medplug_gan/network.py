"""A generator and a discriminator for square grey or colour images with or without labels, and their losses.

The relativistic pairing loss with R1 and R2: Huang et al., The GAN is dead; long live the GAN! (2024). The
augmentation of what the discriminator sees: Zhao et al., Differentiable Augmentation (2020).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .memory import Memory
from .moments import Moments

PATCH = 2
"""The networks work on blocks of this many pixels a side: a quarter of the places, of which each knows four pixels."""

DETAIL = 8
"""Channels of the pixels themselves, at the networks' ends."""


def grids_for(size: int) -> list[int]:
    """The sides of the grids from coarse (4 to 7 places) to `size` / 2, each twice the one before."""
    grids = [size // PATCH]
    while grids[0] % 2 == 0 and grids[0] >= 8:
        grids.insert(0, grids[0] // 2)
    if size % PATCH or not 4 <= grids[0] <= 7 or len(grids) < 2:
        raise ValueError(f"an image side of {size} does not halve to a grid of 4 to 7; choose 28, 32, 64, 96 or 128")
    return grids


def widths_for(grids: list[int], width: int) -> list[int]:
    """The channels of each grid: `width` on the finest, twice as many a grid below, 4 times at most."""
    return [min(4, 2 ** (len(grids) - 1 - index)) * width for index in range(len(grids))]


class Residual(nn.Module):
    """Two 3x3 convolutions around the identity, without normalisation: the second starts near zero instead."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.normal_(self.second.weight, std=0.1 / math.sqrt(9 * width))

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, width, H, W] to the same shape."""
        y = F.leaky_relu(self.first(F.leaky_relu(x, 0.2)), 0.2)
        changed: Tensor = x + self.second(y)
        return changed


class Generator(nn.Module):
    """Latent vectors [N, latent] and labels [N, labels] to images [N, channels, size, size] in 0 to 1."""

    def __init__(
        self, *, size: int = 28, channels: int = 1, latent: int = 64, width: int = 32, labels: int = 0
    ) -> None:
        super().__init__()
        grids = grids_for(size)
        widths = widths_for(grids, width)
        self.latent = latent
        self.coarse = (widths[0], grids[0], grids[0])
        self.start = nn.Linear(latent + labels, math.prod(self.coarse))
        self.levels = nn.ModuleList()
        for index, inside in enumerate(widths):
            level = nn.Sequential()
            if index > 0:
                level.append(nn.Conv2d(widths[index - 1], inside, 1))
                level.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
            level.append(Residual(inside))
            self.levels.append(level)
        self.to_pixels = nn.Conv2d(widths[-1], DETAIL * PATCH * PATCH, 3, padding=1)
        # At first the pixels of a block are equal, or the blocks would show as a chessboard (Aitken et al. 2017).
        for tensor in (self.to_pixels.weight, self.to_pixels.bias):
            assert tensor is not None
            tensor.data = tensor.data[:: PATCH * PATCH].repeat_interleave(PATCH * PATCH, dim=0)
        # Across the blocks' borders, which would show as a chessboard otherwise.
        self.to_image = nn.Conv2d(DETAIL, channels, 3, padding=1)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Map `z` [N, latent], standard normal, and `labels` [N, labels], one hot, to images."""
        # The norm of a latent vector says nothing: only its direction counts (Karras et al. 2018, section 4.2).
        z = z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
        y = self.start(torch.cat([z, labels], dim=1)).unflatten(1, self.coarse)
        y = y.contiguous(memory_format=torch.channels_last)
        for level in self.levels:
            y = level(y)
        y = F.pixel_shuffle(self.to_pixels(F.leaky_relu(y, 0.2)), PATCH).contiguous(memory_format=torch.channels_last)
        image: Tensor = torch.sigmoid(self.to_image(F.leaky_relu(y, 0.2)))
        return image


class Discriminator(nn.Module):
    """Images [N, channels, size, size] in 0 to 1, and their labels, to one number each, [N]: the higher, the more real.

    What an image shows is compared with its label by a product of vectors (Miyato and Koyama 2018).
    """

    def __init__(self, *, size: int = 28, channels: int = 1, width: int = 32, labels: int = 0) -> None:
        super().__init__()
        grids = grids_for(size)
        widths = widths_for(grids, width)
        self.from_image = nn.Conv2d(channels, DETAIL, 3, padding=1)
        self.from_pixels = nn.Conv2d(DETAIL * PATCH * PATCH, widths[-1], 3, padding=1)
        self.levels = nn.ModuleList()
        for index in range(len(grids) - 1, -1, -1):
            level = nn.Sequential(Residual(widths[index]))
            if index > 0:
                level.append(nn.AvgPool2d(2))
                level.append(nn.Conv2d(widths[index], widths[index - 1], 1))
            self.levels.append(level)
        # A sum over the grid with weights of its own for each channel: as a grouped convolution it is slow on a CPU.
        self.weights = nn.Parameter(torch.randn(widths[0], grids[0], grids[0]) / grids[0])
        self.judge = nn.Linear(widths[0], 1 + labels)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Map images and `labels` [N, labels], one hot, to [N]."""
        y = F.pixel_unshuffle(F.leaky_relu(self.from_image(2 * x - 1), 0.2), PATCH)
        y = self.from_pixels(y.contiguous(memory_format=torch.channels_last))
        for level in self.levels:
            y = level(y)
        judged: Tensor = self.judge(F.leaky_relu((y * self.weights).sum((2, 3)), 0.2))
        return judged[:, 0] + (judged[:, 1:] * labels).sum(1)


class Adversaries(nn.Module):
    """The two networks that learn from each other; to sample needs the generator, and what training left in buffers.

    `shares` [labels] says how often each label is drawn; `memory` knows training images again, `rows` at most;
    `moments` brings images nearer to real ones than the generator came.
    """

    shares: Tensor

    def __init__(
        self, *, size: int = 28, channels: int = 1, latent: int = 64, width: int = 32, labels: int = 0, rows: int = 0
    ) -> None:
        super().__init__()
        self.labels = labels
        self.register_buffer("shares", torch.full((labels,), 1 / max(labels, 1)))
        self.memory = Memory(channels * size * size, rows)
        self.moments = Moments(channels * size * size, max(labels, 1))
        self.generator = Generator(size=size, channels=channels, latent=latent, width=width, labels=labels)
        self.discriminator = Discriminator(size=size, channels=channels, width=width, labels=labels)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """The generator's images of `z` that show `labels`."""
        images: Tensor = self.generator(z, labels)
        return images


def differentiable_augmentation(images: Tensor, generator: torch.Generator, *, strength: float = 1.0) -> Tensor:
    """Brightness, contrast, a shift of an eighth and a cut-out of a quarter, each drawn per image from `generator`.

    Apply it alike to what the discriminator sees of both kinds. `generator` is one of the CPU.
    """
    count, _, rows, columns = images.shape

    def uniform(low: float, high: float) -> Tensor:
        drawn = torch.rand(count, 1, 1, 1, generator=generator) * (high - low) + low
        return drawn.to(images.device)

    images = images + uniform(-0.2, 0.2) * strength
    mean = images.mean((1, 2, 3), keepdim=True)
    images = (images - mean) * (1 + uniform(-0.25, 0.25) * strength) + mean
    row = torch.arange(rows, device=images.device).view(1, 1, -1, 1)
    column = torch.arange(columns, device=images.device).view(1, 1, 1, -1)
    from_row = row + (uniform(-1, 1) * strength * rows / 8).round().long()
    from_column = column + (uniform(-1, 1) * strength * columns / 8).round().long()
    inside = (from_row >= 0) & (from_row < rows) & (from_column >= 0) & (from_column < columns)
    index = from_row.clamp(0, rows - 1) * columns + from_column.clamp(0, columns - 1)
    flat = images.flatten(2).gather(2, index.flatten(2).expand(-1, images.shape[1], -1))
    images = flat.view_as(images) * inside
    near_row = (row - uniform(0, rows).floor()).abs() < strength * rows / 8
    near_column = (column - uniform(0, columns).floor()).abs() < strength * columns / 8
    return images * ~(near_row & near_column)


def generator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The relativistic pairing loss of the generator, from the judgements [N] of real and of generated images."""
    return F.softplus(real.float() - fake.float()).mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The relativistic pairing loss of the discriminator, from the judgements [N] of real and of generated images."""
    return F.softplus(fake.float() - real.float()).mean()


def gradient_penalty(judged: Tensor, images: Tensor) -> Tensor:
    """The mean squared gradient of the judgements [N] by the images: R1 of real ones, R2 of generated ones.

    `images` must be leaves that require their gradient; `judged`, in float32, come from them, by coarser steps perhaps.
    """
    [gradient] = torch.autograd.grad(judged.sum(), images, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()
