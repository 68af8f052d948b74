"""The one way from a case to the network's input, taken by training, evaluation and service alike."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from .augmentation import Draw
from .case import Case, Image, Pixels
from .errors import PreprocessingError, SourceError
from .geometry import Grid
from .model import Batch
from .plan import channels_of, grid_of, grid_on, plan, resample_mask
from .preprocessing import Preprocessing
from .result import RefusalCode, Refused
from .sources.refusal import clean
from .tone import looks_at_pixels

if TYPE_CHECKING:
    import torch

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")


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

    def array_shape(self, case: Case) -> tuple[int, ...]:
        """Return the shape [C, (D,) H, W] of the first image's array, without reading a pixel; errors as `shape`."""
        first = case.images[self.images[0]]
        return (channels_of(self.preprocessing, first), *grid_of(self.preprocessing, first).shape)

    def prepare(
        self, case: Case, draw: Draw | None = None, out: Mapping[str, NDArray[np.float32]] | None = None
    ) -> Prepared:
        """Read the pixels of a case and preprocess them, into the arrays of `out` where it names an image.

        `SourceError` when they cannot be decoded or are not what was declared, `PreprocessingError` when they are not
        what the preprocessing needs.
        """
        first = case.images[self.images[0]]
        grid = grid_of(self.preprocessing, first, draw)
        arrays = {}
        for name in self.images:
            image = case.images[name]
            carried = grid if image is first else grid_on(grid, image)
            into = None if out is None else out.get(name)
            arrays[name] = self._array(image, case.reference.source, draw, carried, into)
        mask = None
        if case.mask is not None:
            if case.mask.shape != first.shape:
                raise PreprocessingError(
                    f"the mask is {case.mask.shape} and its image {first.shape}: they must lie on one grid", "geometry"
                )
            stored = _decoded(case.mask, f"{case.reference.source}, its mask")
            mask = resample_mask(grid, stored[:1], self.threads)[0].astype(np.int64)
        return Prepared(case, grid, arrays, mask)

    def _array(
        self, image: Image, name: str, draw: Draw | None, grid: Grid, out: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """Make one image's array: straight from its file where that holds the pixels as they are."""
        span = None if looks_at_pixels(self.preprocessing.values, image) else image.span
        pixels = _decoded(image, name) if span is None else None
        made = plan(self.preprocessing, image, pixels, draw, grid)
        if out is None:
            out = np.empty(made.shape, np.float32)
        if span is not None:
            try:
                if made.run_from(span, out, self.threads):
                    return out
            except OSError:  # the reader says it in words
                _LOG.debug("%s cannot be opened", name, exc_info=True)
        return made.run(_decoded(image, name) if pixels is None else pixels, out, self.threads)


def prepare_or_refuse(
    pipeline: Pipeline, case: Case, out: Mapping[str, NDArray[np.float32]] | None = None
) -> Prepared | Refused:
    """As `Pipeline.prepare`; whatever goes wrong is the case's own misfortune and becomes its refusal."""
    return _or_refuse(case, lambda: pipeline.prepare(case, out=out))


def shape_or_refuse(pipeline: Pipeline, case: Case) -> tuple[int, ...] | Refused:
    """As `Pipeline.array_shape`, likewise."""
    return _or_refuse(case, lambda: pipeline.array_shape(case))


def _or_refuse(case: Case, work: Callable[[], _T]) -> _T | Refused:
    source = case.reference.source
    try:
        return work()
    except (SourceError, PreprocessingError) as error:
        return as_refusal(error)
    except MemoryError:
        return Refused(code="unreadable", reason=f"{source}: needs more memory than there is")
    except Exception as error:  # absurd numbers in a header, or a third party's reader
        _LOG.info("%s cannot be prepared", source, exc_info=True)
        reason = f"{source}: cannot be preprocessed ({type(error).__name__}: {clean(error)})"
        return Refused(code="unreadable", reason=reason)


def as_refusal(error: SourceError | PreprocessingError) -> Refused:
    """Return the result that an error about one case becomes."""
    return Refused(code=cast(RefusalCode, error.code), reason=str(error))


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
