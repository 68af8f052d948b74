"""A convolutional autoencoder for 2-D and 3-D images, and a discriminator of lesions beside it.

An autoencoder, and a network that learns from synthetic lesions: Zavrtanik et al., DRAEM (2021). Theirs looks at the
reconstruction too. This one does not: what an autoencoder leaves over changes with exposure, sharpness and framing.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .normals import Normals
from .similarity import INTERPOLATION, dissimilarity
from .surroundings import Surroundings

_CONVOLUTION: dict[int, type[nn.Conv2d] | type[nn.Conv3d]] = {2: nn.Conv2d, 3: nn.Conv3d}
_NORM: dict[int, type[nn.BatchNorm2d] | type[nn.BatchNorm3d]] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


def levels_for(size: int) -> int:
    """The halvings that leave a grid of about 4 pixels from an image whose longest side is `size` pixels, 1 or more."""
    levels = 1
    while size > 4 * 2**levels:
        levels += 1
    return levels


def _layer(inputs: int, outputs: int, dims: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        _CONVOLUTION[dims](inputs, outputs, 3, stride=stride, padding=1, bias=False),
        _NORM[dims](outputs),
        nn.SiLU(),
    )


class Autoencoder(nn.Module):
    """Images of [N, channels, (D,) H, W] in 0 to 1, through a narrow grid and back to the same shape and range.

    Each level halves the grid and doubles the width up to 8 times `width`; the code has `latent` channels on the
    last grid. Any size goes in: the decoder returns to the sizes that the encoder met.
    """

    def __init__(self, channels: int, *, levels: int = 3, dims: int = 2, width: int = 16, latent: int = 1) -> None:
        super().__init__()
        if dims not in _CONVOLUTION:
            raise ValueError(f"dims is {dims}; an autoencoder has 2 or 3")
        if levels < 1:
            raise ValueError(f"levels is {levels}; an autoencoder has at least 1")
        widths = [width * 2 ** min(level, 3) for level in range(levels)]
        self.interpolation = INTERPOLATION[dims]
        self.encoder = nn.ModuleList(
            nn.Sequential(_layer(inputs, outputs, dims, stride=2), _layer(outputs, outputs, dims))
            for inputs, outputs in zip([channels, *widths], widths, strict=False)
        )
        self.to_code = _CONVOLUTION[dims](widths[-1], latent, 1)
        self.from_code = _layer(latent, widths[-1], dims)
        # Each level convolves before it enlarges: the finest grid, which costs most, sees one thin convolution.
        self.decoder = nn.ModuleList(
            nn.Sequential(_layer(inputs, inputs, dims), _layer(inputs, outputs, dims))
            for inputs, outputs in zip(widths[::-1], [*widths[-2::-1], width // 2], strict=True)
        )
        self.to_image = _CONVOLUTION[dims](width // 2, channels, 3, padding=1)

    def encode(self, x: Tensor) -> tuple[Tensor, list[Sequence[int]]]:
        """The code [N, latent, ...], and the sizes of the grids above it, from fine to coarse."""
        sizes: list[Sequence[int]] = []
        for level in self.encoder:
            sizes.append(x.shape[2:])
            x = level(x)
        return self.to_code(x), sizes

    def decode(self, code: Tensor, sizes: Sequence[Sequence[int]]) -> Tensor:
        """The image, 0 to 1, that `code` stands for, on the finest of `sizes`."""
        y = self.from_code(code)
        for level, size in zip(self.decoder, reversed(sizes), strict=True):
            y = F.interpolate(level(y), size=list(size), mode=self.interpolation, align_corners=False)
        image: Tensor = torch.sigmoid(self.to_image(y))
        return image

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of `x`, same shape, 0 to 1."""
        code, sizes = self.encode(x)
        return self.decode(code, sizes)


class Seen(NamedTuple):
    """What the discriminator makes of N images."""

    lesion: Tensor
    """[N] logits: is there a lesion?"""
    where: Tensor
    """[N, 1, (D,) H, W] logits: does it cover the pixel?"""
    features: Tensor
    """[N, F], by which images may be compared."""


def _exposed_alike(image: Tensor) -> Tensor:
    """Each image with the mean 0.5 and the standard deviation 0.2, in 0 to 1: exposure and window are no lesion."""
    with torch.autocast(image.device.type, enabled=False):
        image = image.float()
        axes = tuple(range(1, image.dim()))
        mean, spread = image.mean(axes, keepdim=True), image.std(axes, keepdim=True)
        return ((image - mean) / (spread + 0.02) * 0.2 + 0.5).clamp(0, 1)


class Discriminator(nn.Module):
    """Looks for lesions in images [N, channels, (D,) H, W] in 0 to 1, whatever their brightness and contrast.

    It works on half the image's grid and coarser ones: a lesion is no single pixel.
    """

    def __init__(self, channels: int, *, levels: int = 2, dims: int = 2, width: int = 24) -> None:
        super().__init__()
        widths = [width * 2 ** min(level, 2) for level in range(levels + 1)]
        self.interpolation = INTERPOLATION[dims]
        self.stem = nn.Sequential(_layer(channels, width, dims, stride=2), _layer(width, width, dims))
        self.down = nn.ModuleList(
            nn.Sequential(_layer(inputs, outputs, dims, stride=2), _layer(outputs, outputs, dims))
            for inputs, outputs in itertools.pairwise(widths)
        )
        self.up = nn.ModuleList(
            _layer(inputs + outputs, outputs, dims) for inputs, outputs in itertools.pairwise(widths[::-1])
        )
        self.to_lesion = nn.Linear(widths[-1], 1)
        self.to_where = _CONVOLUTION[dims](width, 1, 1)

    def forward(self, image: Tensor) -> Seen:
        """Look at `image`."""
        grids = [self.stem(_exposed_alike(image))]
        for level in self.down:
            grids.append(level(grids[-1]))
        coarsest = grids.pop()
        features = coarsest.flatten(2).mean(2)
        y = coarsest
        for level in self.up:
            finer = grids.pop()
            y = level(torch.cat([self._enlarged(y, finer.shape[2:]), finer], 1))
        where = self._enlarged(self.to_where(y), image.shape[2:])
        return Seen(self.to_lesion(features)[:, 0], where, features)

    def _enlarged(self, x: Tensor, size: Sequence[int]) -> Tensor:
        return F.interpolate(x, size=list(size), mode=self.interpolation, align_corners=False)


class Evidence(NamedTuple):
    """What speaks for N images being unusual."""

    reconstruction: Tensor
    unlike: Tensor
    """[N, 1, (D,) H, W], 0 to 1: how badly the surroundings of each pixel were rebuilt."""
    seen: Seen
    each: Tensor
    """[N, 3], raw: mean of `unlike`, logit of a lesion, how much brighter than its surroundings let expect."""


class Detector(nn.Module):
    """An autoencoder, a discriminator of lesions, what surroundings let expect, and what is normal of all three."""

    def __init__(self, *, size: int, dims: int, width: int, latent: int, sigma: float) -> None:
        super().__init__()
        levels = levels_for(size)
        self.sigma = sigma
        self.autoencoder = Autoencoder(1, levels=levels, dims=dims, width=width, latent=latent)
        self.discriminator = Discriminator(1, levels=max(levels - 1, 1), dims=dims, width=width + width // 2)
        self.surroundings = Surroundings(dims)
        self.normals = Normals(3)

    def forward(self, image: Tensor) -> Evidence:
        """Weigh images [N, 1, (D,) H, W] in 0 to 1."""
        made = self.autoencoder(image)
        seen = self.discriminator(image)
        unlike = dissimilarity(made, image, sigma=self.sigma)
        each = [unlike.flatten(1).mean(1), seen.lesion.float(), self.surroundings(image)]
        return Evidence(made, unlike, seen, torch.stack(each, 1))
