"""The one way from a case to the network's input, taken by training, evaluation and service alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .augmentation import Draw
from .case import Case, Image, Pixels
from .errors import PreprocessingError, SourceError
from .geometry import Grid
from .model import Batch
from .plan import grid_of, grid_on, plan, resample_mask
from .preprocessing import Preprocessing

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Prepared:
    """One case on the model's grid: `arrays` [C, (D,) H, W] by input name, `mask` [(D,) H, W] if it has one."""

    case: Case
    grid: Grid
    arrays: dict[str, NDArray[np.float32]]
    mask: NDArray[np.int64] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the first image's array."""
        return next(iter(self.arrays.values())).shape


@dataclass(frozen=True)
class Pipeline:
    """A preprocessing applied to the inputs that a contract names; `threads` are the kernel's, for one image."""

    preprocessing: Preprocessing
    images: tuple[str, ...] = ("image",)
    threads: int = 1

    def shape(self, case: Case) -> tuple[int, ...]:
        """Return the output grid's shape, without reading a pixel; `PreprocessingError` where there is none."""
        return grid_of(self.preprocessing, case.images[self.images[0]]).shape

    def prepare(self, case: Case, draw: Draw | None = None) -> Prepared:
        """Read the pixels of a case and preprocess them.

        `SourceError` when they cannot be decoded or are not what was declared, `PreprocessingError` when they are not
        what the preprocessing needs.
        """
        first = case.images[self.images[0]]
        grid = grid_of(self.preprocessing, first, draw)
        arrays = {}
        for name in self.images:
            image = case.images[name]
            pixels = _decoded(image, case.reference.source)
            carried = grid if image is first else grid_on(grid, image)
            arrays[name] = plan(self.preprocessing, image, pixels, draw, carried).run(pixels, threads=self.threads)
        mask = None
        if case.mask is not None:
            if case.mask.shape != first.shape:
                raise PreprocessingError(
                    f"the mask is {case.mask.shape} and its image {first.shape}: they must lie on one grid", "geometry"
                )
            stored = _decoded(case.mask, f"{case.reference.source}, its mask")
            mask = resample_mask(grid, stored[:1], self.threads)[0].astype(np.int64)
        return Prepared(case, grid, arrays, mask)


def _decoded(image: Image, name: str) -> Pixels:
    """Read an image's pixels, and refuse others than it declares: the grid was made for those."""
    pixels = image.read()
    declared = (image.channels, *image.shape)
    if pixels.shape != declared or pixels.dtype != image.dtype:
        raise SourceError(
            "unreadable",
            f"{name}: decodes to {pixels.dtype} of {pixels.shape}, which is not what it declares: "
            f"{image.dtype} of {declared}",
        )
    return pixels


def collate(
    prepared: Sequence[Prepared], device: torch.device | str = "cpu", target: NDArray[Any] | None = None
) -> Batch:
    """Stack prepared cases of one shape into a batch on `device`; `target` has one row a case."""
    import torch

    pin = torch.device(device).type == "cuda"

    def tensor(array: NDArray[Any]) -> torch.Tensor:
        host = torch.from_numpy(array)
        return host.pin_memory().to(device, non_blocking=True) if pin else host

    images = {name: tensor(np.stack([one.arrays[name] for one in prepared])) for name in prepared[0].arrays}
    masks = [one.mask for one in prepared if one.mask is not None]
    return Batch(
        image=next(iter(images.values())),
        images=images,
        cases=tuple(one.case.reference for one in prepared),
        target=None if target is None else tensor(target),
        mask=tensor(np.stack(masks)) if len(masks) == len(prepared) else None,
    )
