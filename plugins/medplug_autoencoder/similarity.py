"""How alike two images are, around each pixel: the loss of the autoencoder and its evidence.

Structural similarity: Wang et al., Image Quality Assessment (2004), with a Gaussian window. As an autoencoder's loss
and score: Bergmann et al., Improving Unsupervised Defect Segmentation (2019).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

INTERPOLATION = {2: "bilinear", 3: "trilinear"}
"""torch's name of linear interpolation in so many dimensions."""


def blur(images: Tensor, sigma: float) -> Tensor:
    """A Gaussian of `sigma` pixels over the axes after the second; it is cut off at 2 sigma and at the border."""
    return _spread(images, sigma) / _spread(torch.ones_like(images[:1, :1]), sigma)


def _spread(images: Tensor, sigma: float) -> Tensor:
    """The same, where what lies outside counts as zero."""
    radius = max(1, round(2 * sigma))
    offsets = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    for axis in range(2, images.dim()):
        rows = images.movedim(axis, -1)
        flat = F.conv1d(rows.reshape(-1, 1, rows.shape[-1]), kernel[None, None], padding=radius)
        images = flat.reshape(rows.shape).movedim(-1, axis)
    return images


def structural_similarity(x: Tensor, y: Tensor, *, sigma: float = 1.5) -> Tensor:
    """The similarity, -1 to 1, of the surroundings of each pixel of two images in 0 to 1, same shape as they.

    No pixel from outside counts. Always float32: the variances are differences of nearly equal numbers.
    """
    with torch.autocast(x.device.type, enabled=False):
        x, y = x.float(), y.float()
        mean_x, mean_y, square_x, square_y, product = blur(torch.cat([x, y, x * x, y * y, x * y], 1), sigma).chunk(5, 1)
        variance_x = square_x - mean_x * mean_x
        variance_y = square_y - mean_y * mean_y
        covariance = product - mean_x * mean_y
        luminance = (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2)
        structure = (2 * covariance + 0.03**2) / (variance_x + variance_y + 0.03**2)
        return luminance * structure


def reconstruction_loss(reconstruction: Tensor, image: Tensor, *, structure: float = 0.5) -> Tensor:
    """The mean absolute error, and the mean loss of structural similarity with the weight `structure` of 0 to 1."""
    absolute = F.l1_loss(reconstruction.float(), image.float())
    dissimilar = 1 - structural_similarity(reconstruction, image).mean()
    return (1 - structure) * absolute + structure * dissimilar


def dissimilarity(reconstruction: Tensor, image: Tensor, *, sigma: float = 2.5) -> Tensor:
    """How badly each pixel's surroundings were rebuilt, [N, 1, (D,) H, W], 0 (alike) to 1 (inverse).

    The window is wider than the loss's: noise and fine vessels, which no code can hold, count less.
    """
    return (1 - structural_similarity(reconstruction, image, sigma=sigma)).mean(1, keepdim=True) / 2
