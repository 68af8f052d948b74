"""SimpleITK: `Resample`, after a recursive Gaussian where the item is antialiased."""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK as Itk
from numpy.typing import NDArray

from ..contestant import Contestant, Run, image_by_image
from ..work import Work
from .shrink_first import shrunk, xy


def contestants(work: Work, threads: int) -> list[Contestant]:
    """Return SimpleITK's way of an item."""
    Itk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    how, make = {
        "resize": ("Gaussian, Resample", _warp),
        "warp": ("Gaussian, Resample", _warp),
        "volume": ("Resample", _volume),
        "tiles": ("Resample each", _tiles),
        "mask": ("Resample", _mask),
    }[work.kind]
    return [Contestant("SimpleITK", how, make(work))]


def _resample(
    image: Any, affine: NDArray[np.float64], shape: tuple[int, ...], *, nearest: bool = False, fill: float | None = None
) -> Any:
    """Resample to `shape`; beyond the image lies `fill`, or its edge."""
    turned = xy(affine)
    transform = Itk.AffineTransform(len(shape))
    transform.SetMatrix(turned[:, :-1].ravel().tolist())
    transform.SetTranslation(turned[:, -1].tolist())
    resample = Itk.ResampleImageFilter()
    resample.SetSize(shape[::-1])
    resample.SetTransform(transform)
    resample.SetInterpolator(Itk.sitkNearestNeighbor if nearest else Itk.sitkLinear)
    resample.SetOutputPixelType(Itk.sitkFloat32)
    if fill is None:
        resample.SetUseNearestNeighborExtrapolator(True)
    else:
        resample.SetDefaultPixelValue(fill)
    return resample.Execute(image)


def _scaled(image: Any, work: Work) -> NDArray[Any]:
    a, b = work.toned.line
    values: NDArray[Any] = Itk.GetArrayFromImage(image)
    values *= np.float32(a)
    values += np.float32(b)
    return values


def _warp(work: Work) -> Run:
    low, high = work.toned.limits

    def one(n: int, out: NDArray[np.float32]) -> None:
        step = shrunk(work, n)
        image = Itk.GetImageFromArray(step.part(work.stored[n]))
        image = Itk.SmoothingRecursiveGaussian(Itk.Clamp(image, Itk.sitkFloat32, low, high), step.blur[::-1])
        out[:] = _scaled(_resample(image, step.unshrunk, work.shape), work)

    return image_by_image(one, work.answer_shape, 1)


def _volume(work: Work) -> Run:
    low, high = work.toned.limits
    air = None if work.outside is None else (work.outside - work.toned.intercept) / work.toned.slope

    def run() -> NDArray[Any]:
        image = _resample(Itk.GetImageFromArray(work.stored[0]), work.to_stored[0], work.shape, fill=air)
        return _scaled(Itk.Clamp(image, Itk.sitkFloat32, low, high), work)

    return run


def _tiles(work: Work) -> Run:
    def one(n: int, out: NDArray[np.float32]) -> None:
        out[:] = _scaled(_resample(Itk.GetImageFromArray(work.stored[n]), work.to_stored[n], work.shape), work)

    return image_by_image(one, work.answer_shape, 1)


def _mask(work: Work) -> Run:
    def run() -> NDArray[Any]:
        image = Itk.GetImageFromArray(work.stored[0])
        moved: NDArray[Any] = Itk.GetArrayFromImage(
            _resample(image, work.to_stored[0], work.shape, nearest=True, fill=0.0)
        )
        return moved

    return run
