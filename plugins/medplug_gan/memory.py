"""What a generator keeps of its training images: enough to know one again, and what a thumbnail of 8 x 8 tells."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

NUMBERS = 64
"""How many numbers of 8 bits are kept of an image: its products with as many random patterns of ones and minus ones."""

NEAR = 0.5
"""A near copy lies closer to a training image than this share of the median distance at which real images do."""

_LEAST = 16  # real distances, or there is no median worth the name
_BLOCK = 1024


class Memory(nn.Module):
    """Random projections of training images, 8 bits each, and the distance below which an image counts as a copy.

    Distances between projections are those between images, within some 9 % (Johnson and Lindenstrauss 1984). All is in
    buffers, of which `count` rows are in use. `limit` is in root mean square of the grey values, 0 to 1.
    """

    patterns: Tensor
    centre: Tensor
    step: Tensor
    kept: Tensor
    count: Tensor
    limit: Tensor

    def __init__(self, pixels: int, rows: int) -> None:
        super().__init__()
        signs = torch.randint(0, 2, (pixels, NUMBERS), dtype=torch.int8) * 2 - 1
        self.register_buffer("patterns", signs)
        self.register_buffer("centre", torch.zeros(NUMBERS))
        self.register_buffer("step", torch.ones(()))
        self.register_buffer("kept", torch.zeros(rows, NUMBERS, dtype=torch.int8))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("limit", torch.zeros(()))

    @property
    def ready(self) -> bool:
        """Whether there is anything to compare with."""
        return bool(self.count > 0) and bool(self.limit > 0)

    def learn(self, train: Iterable[Tensor], others: Iterable[Tensor]) -> None:
        """Keep `train`, batches of images [N, C, H, W], and take the limit from how near `others` come to them.

        Where there are fewer than 16 others, from how near training images come to each other.
        """
        found = [self._project(images) for images in train]
        if not found or not len(self.kept):
            return
        projected = torch.cat(found)[: len(self.kept)]
        self.count.fill_(len(projected))
        self.centre.copy_(projected.mean(0))
        self.step.copy_(((projected - self.centre).abs().max() / 127).clamp_min(1e-8))
        self.kept[: len(projected)] = self._rounded(projected).to(torch.int8)
        real = [self.distances(images) for images in others]
        if sum(map(len, real)) < _LEAST:
            real = [self._nearest(self._rounded(projected[:_BLOCK]), own=True)]
        self.limit.copy_(NEAR * torch.cat(real).median())

    def near_copies(self, images: Tensor) -> Tensor:
        """Say of `images` [N, C, H, W] which are nearly one of those kept, [N] bool; none before anything is."""
        if not self.ready:
            return torch.zeros(len(images), dtype=torch.bool, device=images.device)
        return self.distances(images) < self.limit

    def distances(self, images: Tensor) -> Tensor:
        """Return how far `images` [N, C, H, W] lie from the nearest that is kept, [N]: root mean square."""
        return self._nearest(self._rounded(self._project(images)))

    def _project(self, images: Tensor) -> Tensor:
        flat = images.float().flatten(1)
        return flat @ self.patterns.float() / math.sqrt(NUMBERS * flat.shape[1])

    def _rounded(self, projected: Tensor) -> Tensor:
        return ((projected - self.centre) / self.step).round().clamp(-127, 127)

    def _nearest(self, rounded: Tensor, *, own: bool = False) -> Tensor:
        """The distance to the nearest row kept; with `own`, `rounded` are the first of these, each left out itself."""
        apart = torch.cdist(rounded, self.kept[: int(self.count)].float())
        if own:
            apart.fill_diagonal_(math.inf)
        nearest: Tensor = apart.amin(1) * self.step
        return nearest
