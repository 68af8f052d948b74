"""A residual network for 2-D and 3-D images of any channel count, and its classification losses.

He et al., Deep Residual Learning (2016); the averaging shortcut and the three-convolution stem are those of ResNet-D
(He et al., Bag of Tricks, 2019).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_CONVOLUTION: dict[int, type[nn.Conv2d] | type[nn.Conv3d]] = {2: nn.Conv2d, 3: nn.Conv3d}
_NORM: dict[int, type[nn.BatchNorm2d] | type[nn.BatchNorm3d]] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_POOL: dict[int, type[nn.AvgPool2d] | type[nn.AvgPool3d]] = {2: nn.AvgPool2d, 3: nn.AvgPool3d}


def stem_stride(size: int) -> int:
    """How much the stem shrinks an image whose shortest side is `size` pixels: 1, 2 or 4."""
    return 1 if size < 64 else 2 if size < 96 else 4


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut; a stride of 2 averages the shortcut, so no pixel is dropped."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, dims: int = 2) -> None:
        super().__init__()
        convolution, norm = _CONVOLUTION[dims], _NORM[dims]
        self.first = convolution(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.first_norm = norm(outputs)
        self.second = convolution(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = norm(outputs)
        # At zero the block starts as its shortcut, which steadies the first steps (Goyal et al. 2017, section 5.1).
        nn.init.zeros_(self.second_norm.weight)
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut.append(_POOL[dims](stride, ceil_mode=True, count_include_pad=False))
        if inputs != outputs:
            self.shortcut.append(convolution(inputs, outputs, 1, bias=False))
            self.shortcut.append(norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, inputs, ...] to [N, outputs, ...], each side divided by the stride and rounded up."""
        y = F.relu(self.first_norm(self.first(x)))
        y = self.second_norm(self.second(y))
        # Out of place: the hooks of attribution methods need the sum as it was.
        summed: Tensor = y + self.shortcut(x)
        return F.relu(summed)


class ResidualNetwork(nn.Module):
    """A stem, stages of residual blocks that halve the grid and double the width, a mean, and a linear head.

    `depth` gives the blocks of each stage, `width` the channels of the first. `stages[-1]` is what Grad-CAM looks at.
    """

    def __init__(
        self,
        channels: int,
        outputs: int,
        *,
        dims: int = 2,
        width: int = 32,
        depth: Sequence[int] = (2, 2, 2, 2),
        stem: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if dims not in _CONVOLUTION:
            raise ValueError(f"dims is {dims}; a residual network has 2 or 3")
        if stem not in (1, 2, 4):
            raise ValueError(f"the stem's stride is {stem}; choose 1, 2 or 4")
        convolution, norm = _CONVOLUTION[dims], _NORM[dims]
        self.stem = nn.Sequential(
            convolution(channels, width // 2, 3, stride=2 if stem > 1 else 1, padding=1, bias=False),
            norm(width // 2),
            nn.ReLU(),
            convolution(width // 2, width, 3, stride=2 if stem > 2 else 1, padding=1, bias=False),
            norm(width),
            nn.ReLU(),
        )
        stages: list[nn.Module] = []
        inputs = width
        for index, blocks in enumerate(depth):
            stage_width = width * 2**index
            stage = nn.Sequential()
            for block in range(blocks):
                stride = 2 if block == 0 and index > 0 else 1
                stage.append(ResidualBlock(inputs, stage_width, stride=stride, dims=dims))
                inputs = stage_width
            stages.append(stage)
        self.stages = nn.Sequential(*stages)
        self.feature_count = inputs
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(inputs, outputs)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, x: Tensor) -> Tensor:
        """The vector [N, feature_count] before the head: the last stage's mean over the grid, not negative."""
        grid: Tensor = self.stages(self.stem(x))
        return grid.flatten(2).mean(2)

    def classify(self, features: Tensor) -> Tensor:
        """Map features [N, F] to logits [N, outputs]."""
        logits: Tensor = self.head(self.dropout(features))
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, channels, (D,) H, W] to logits [N, outputs]."""
        return self.classify(self.features(x))

    def attribution_layers(self) -> list[nn.Module]:
        """The last stage, where a place still is a place, and those before it, whose grids are finer."""
        return list(self.stages)[::-1]


def standardised(images: Tensor) -> Tensor:
    """Images [N, C, (D,) H, W], each brought to mean 0 and deviation 1, so that its exposure does not matter.

    Noise of images that are almost flat, of a deviation below 3 % of the 0 to 1 scale, is not raised so far.
    """
    flat = images.flatten(1)
    shape = [-1] + [1] * (images.dim() - 1)
    return (images - flat.mean(dim=1).view(shape)) / flat.std(dim=1).clamp_min(0.12).view(shape)  # -2 to 2 is 0 to 1


def exclusive_loss(logits: Tensor, target: Tensor, *, smoothing: float = 0.1) -> Tensor:
    """Cross-entropy of logits [N, K] against one label each, [N] of int64, or against shares [N, K] that sum to 1."""
    return F.cross_entropy(logits.float(), target, label_smoothing=smoothing)


def multi_label_loss(logits: Tensor, target: Tensor, *, smoothing: float = 0.1) -> Tensor:
    """Binary cross-entropy of logits [N, K] against labels [N, K] of 0, 1 or NaN; NaN (unknown) does not count."""
    known = ~target.isnan()
    wanted = torch.where(known, target, 0.0).float() * (1 - smoothing) + smoothing / 2
    losses = F.binary_cross_entropy_with_logits(logits.float(), wanted, reduction="none")
    return (losses * known).sum() / known.sum().clamp(min=1)


def mixed(images: Tensor, shares: Tensor, generator: torch.Generator, *, alpha: float = 0.3) -> tuple[Tensor, Tensor]:
    """Images [N, ...] and label shares [N, K], each blended with another of the batch (Zhang et al., mixup, 2018).

    The lesser part is half of a Beta(alpha, 1) variable, at most a half: close to the paper's Beta(alpha, alpha),
    and drawn from a seeded uniform. `generator` is one of the CPU.
    """
    count = len(images)
    lesser = 0.5 * torch.rand(count, generator=generator) ** (1 / alpha)
    partner = torch.randperm(count, generator=generator).to(images.device)

    def blend(values: Tensor) -> Tensor:
        part = lesser.to(values).view(-1, *[1] * (values.dim() - 1))
        return values * (1 - part) + values[partner] * part

    return blend(images), blend(shares)


def pasted(images: Tensor, shares: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images [N, C, ...] with a box of another of the batch pasted in, and label shares [N, K] by area (CutMix, 2019).

    One box for the whole batch; the share of it is uniform in 0 to 1. `generator` is one of the CPU.
    """
    sides = images.shape[2:]
    share, *places = torch.rand(1 + len(sides), generator=generator).tolist()
    partner = torch.randperm(len(images), generator=generator).to(images.device)
    lengths = [int(side * share ** (1 / len(sides))) for side in sides]
    starts = [int(place * (side - length + 1)) for place, side, length in zip(places, sides, lengths)]
    box = (
        slice(None),
        slice(None),
        *(slice(start, start + length) for start, length in zip(starts, lengths)),
    )
    area = math.prod(lengths) / math.prod(sides)
    images = images.clone()
    images[box] = images[partner][box]
    return images, shares * (1 - area) + shares[partner] * area
