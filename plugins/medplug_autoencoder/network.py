"""A convolutional autoencoder for 2-D and 3-D images, its loss, and the anomaly map that compares local structure.

Structural similarity: Wang et al., Image Quality Assessment (2004), with a Gaussian window. As an autoencoder's loss
and score: Bergmann et al., Improving Unsupervised Defect Segmentation (2019).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_CONVOLUTION: dict[int, type[nn.Conv2d] | type[nn.Conv3d]] = {2: nn.Conv2d, 3: nn.Conv3d}
_NORM: dict[int, type[nn.BatchNorm2d] | type[nn.BatchNorm3d]] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_INTERPOLATION = {2: "bilinear", 3: "trilinear"}


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
        self.interpolation = _INTERPOLATION[dims]
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


def structural_similarity(x: Tensor, y: Tensor, *, sigma: float = 1.5) -> Tensor:
    """The similarity, -1 to 1, of the surroundings of each pixel of two images in 0 to 1, same shape as they.

    The Gaussian window reaches 2 sigma and is cut off at the border, so no pixel from outside counts. Always float32:
    the variances are differences of nearly equal numbers.
    """
    with torch.autocast(x.device.type, enabled=False):
        x, y = x.float(), y.float()
        weight = _blur(torch.ones_like(x[:1]), sigma)

        def local_mean(image: Tensor) -> Tensor:
            return _blur(image, sigma) / weight

        mean_x, mean_y = local_mean(x), local_mean(y)
        variance_x = local_mean(x * x) - mean_x * mean_x
        variance_y = local_mean(y * y) - mean_y * mean_y
        covariance = local_mean(x * y) - mean_x * mean_y
        luminance = (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2)
        structure = (2 * covariance + 0.03**2) / (variance_x + variance_y + 0.03**2)
        return luminance * structure


def _blur(image: Tensor, sigma: float) -> Tensor:
    """A separable Gaussian over the axes after the second; what lies outside counts as zero."""
    radius = max(1, round(2 * sigma))
    offsets = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    for axis in range(2, image.dim()):
        rows = image.movedim(axis, -1)
        flat = F.conv1d(rows.reshape(-1, 1, rows.shape[-1]), kernel[None, None], padding=radius)
        image = flat.reshape(rows.shape).movedim(-1, axis)
    return image


def reconstruction_loss(reconstruction: Tensor, image: Tensor, *, structure: float = 0.5) -> Tensor:
    """The mean absolute error, and the mean loss of structural similarity with the weight `structure` of 0 to 1."""
    absolute = F.l1_loss(reconstruction.float(), image.float())
    dissimilar = 1 - structural_similarity(reconstruction, image).mean()
    return (1 - structure) * absolute + structure * dissimilar


def anomaly_map(reconstruction: Tensor, image: Tensor, *, sigma: float = 2.5) -> Tensor:
    """How badly each pixel's surroundings were rebuilt, [N, 1, (D,) H, W], 0 (alike) to 1 (inverse).

    The window is wider than the loss's: noise and fine vessels, which no code can hold, count less.
    """
    return (1 - structural_similarity(reconstruction, image, sigma=sigma)).mean(1, keepdim=True) / 2


def anomaly_score(reconstruction: Tensor, image: Tensor, *, sigma: float = 2.5) -> Tensor:
    """The mean of the anomaly map, [N], 0 to 1."""
    return anomaly_map(reconstruction, image, sigma=sigma).flatten(1).mean(1)
