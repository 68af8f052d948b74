"""How unlike the rows that a model was trained on an image is, in the network's features and in the image itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from .errors import ModelFolderError, PluginError
from .result import Novelty, Refused

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from .model import Batch, Model

FEATURES, THUMBNAIL, STATISTICS = "features", "thumbnail", "statistics"
PARTS = (FEATURES, THUMBNAIL, STATISTICS)

MOST = 1e6
"""The score of what is no number, and the largest that there is."""

_THUMBNAIL = {2: 16, 3: 8}  # cells a side, by the number of axes
_GRIDS = (32, 16, 8)  # cells a side on which edges are measured, beside the image's own
_VALUES = {2: 64, 3: 16}  # cells a side whose grey values are sorted
_LEVELS = 9  # quantiles of the grey values, from the 5th to the 95th percentile
_LEAST = 1e-9


class NoveltyFit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Above which score a case is novel: a percentile of the scores of the `rows` of `split`.

    They were compared with `trained_rows` of the training rows. `parts` are the spaces in which that is done: the
    network's "features" where it has any, the "thumbnail" and the "statistics" of the prepared image.
    """

    limit: float
    percentile: float
    split: str
    rows: int
    trained_rows: int
    parts: tuple[str, ...]

    def __post_init__(self) -> None:
        if not (math.isfinite(self.limit) and self.limit > 0):
            raise ValueError(f"a novelty limit of {self.limit}: it must be above 0 and finite")
        strange = [part for part in self.parts if part not in PARTS]
        if strange or not self.parts:
            raise ValueError(f"novelty in the parts {', '.join(self.parts) or 'none'}: there are {', '.join(PARTS)}")


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Where the training rows lie in one space: around each of K means with one covariance (Lee et al. 2018).

    `means` [K, D]; an axis counts in units of `scale` [D]. The covariance has the `variances` [R] along the columns of
    `basis` [D, R] and 1 / `rest` in every other direction; a `rest` of 0 leaves those out. `usual` and `spread` are
    the median of the log distances of validation rows, and how far above it their tail lies, in standard deviations of
    a normal distribution. All float64, on the CPU.
    """

    means: Tensor
    scale: Tensor
    basis: Tensor
    variances: Tensor
    rest: float
    usual: float = 0.0
    spread: float = 1.0

    def log_distance(self, vectors: Tensor) -> Tensor:
        """Return the logarithm [N] of the Mahalanobis distance of each vector [N, D] to the nearest mean."""
        import torch

        off = (vectors[:, None] - self.means) / self.scale
        along = off @ self.basis
        squares = (along.square() / self.variances).sum(-1)
        if self.rest:
            squares += self.rest * (off.square().sum(-1) - along.square().sum(-1)).clamp_min(0)
        nearest: Tensor = torch.log(squares.amin(1).clamp_min(_LEAST)) / 2
        return nearest

    def unusual(self, vectors: Tensor) -> Tensor:
        """Return how many spreads above the usual log distance each vector lies, [N]; below it, 0."""
        return ((self.log_distance(vectors) - self.usual) / self.spread).clamp_min(0)

    def tensors(self) -> dict[str, Tensor]:
        """Return what `gaussian_of` makes it of: large arrays in float32, the numbers in float64."""
        import torch

        numbers = torch.tensor([self.rest, self.usual, self.spread], dtype=torch.float64)
        arrays = {"means": self.means, "scale": self.scale, "basis": self.basis, "variances": self.variances}
        return {**{name: array.float() for name, array in arrays.items()}, "numbers": numbers}


def gaussian_of(tensors: Mapping[str, Tensor]) -> Gaussian:
    """Return the Gaussian that `Gaussian.tensors` describes; `ValueError` when they do not belong together."""
    arrays = {name: tensor.double() for name, tensor in tensors.items()}
    try:
        means, scale, basis = arrays["means"], arrays["scale"], arrays["basis"]
        variances, numbers = arrays["variances"], arrays["numbers"]
    except KeyError as missing:
        raise ValueError(f"no {missing.args[0]}") from None
    wide, rank = basis.shape if basis.dim() == 2 else (-1, -1)
    if means.dim() != 2 or means.shape[1] != wide or scale.shape != (wide,) or variances.shape != (rank,):
        raise ValueError("its arrays are of different spaces")
    if numbers.shape != (3,) or not (variances > 0).all() or not (scale > 0).all() or not numbers[2] > 0:
        raise ValueError("a distance by it would be no number")
    rest, usual, spread = numbers.tolist()
    return Gaussian(means, scale, basis, variances, rest, usual, spread)


@dataclass(frozen=True, eq=False)
class NoveltyMeasure:
    """A model's measure of novelty: a Gaussian for each of `fit.parts`, and the limit."""

    fit: NoveltyFit
    gaussians: Mapping[str, Gaussian]

    def scores(self, vectors: Mapping[str, Tensor]) -> list[float]:
        """Return the score of each case: the root of the sum of the squares of what is unusual in each part.

        None of the parts excuses another: what is nearer than usual in one counts there as 0. `PluginError` when a
        part is missing, or has another length than the training rows had.
        """
        import torch

        for name, one in self.gaussians.items():
            found = vectors[name].shape[1] if name in vectors else 0
            if found != one.means.shape[1]:
                raise PluginError(
                    f"the novelty was fitted in {one.means.shape[1]} {name}, and the model gives {found}: it is not "
                    "the one that was trained, so train it again"
                )
        parts = torch.stack([one.unusual(vectors[name].double().cpu()) for name, one in self.gaussians.items()])
        scores: list[float] = parts.square().sum(0).sqrt().nan_to_num(nan=MOST).clamp_max(MOST).tolist()
        return scores

    def judge(self, vectors: Mapping[str, Tensor]) -> list[Novelty]:
        """Return the score of each case, with the limit and whether it lies above."""
        limit = self.fit.limit
        return [Novelty(score=score, limit=limit, novel=score > limit) for score in self.scores(vectors)]

    def tensors(self) -> dict[str, Tensor]:
        """Return what `measure_of` makes it of: `<part>/<name>`."""
        return {
            f"{part}/{name}": tensor
            for part, gaussian in self.gaussians.items()
            for name, tensor in gaussian.tensors().items()
        }


def measure_of(fit: NoveltyFit, tensors: Mapping[str, Tensor], where: str) -> NoveltyMeasure:
    """Return the measure that a model folder holds; `ModelFolderError`, naming `where`, when it is not whole."""
    gaussians = {}
    for part in fit.parts:
        own = {name.removeprefix(f"{part}/"): one for name, one in tensors.items() if name.startswith(f"{part}/")}
        try:
            gaussians[part] = gaussian_of(own)
        except ValueError as error:
            raise ModelFolderError(f"{where} does not describe the {part} of a novelty: {error}") from None
    return NoveltyMeasure(fit, gaussians)


def refusal(novelty: Novelty) -> Refused:
    """Return what a novel case becomes where novel cases are refused."""
    return Refused(
        code="novel",
        reason=f"unlike what the model was trained on: its novelty is {novelty.score:.3g}, "
        f"and {novelty.limit:.3g} is the limit",
    )


def vectors_of(model: Model, network: nn.Module, batch: Batch, output: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what a batch is compared by: [N, D] of each part that the model has; `output` is what `forward` gave."""
    grey = batch.image.float().mean(1)
    found = {THUMBNAIL: thumbnail(grey), STATISTICS: statistics(grey)}
    features = output.get(FEATURES)
    if features is None or features.dim() != 2:
        features = model.features(network, batch)
    return found if features is None else {FEATURES: features.float(), **found}


def thumbnail(grey: Tensor) -> Tensor:
    """Return images [N, (D,) H, W] shrunk to a few cells a side, each their mean, as vectors [N, cells]."""
    return _shrunk(grey, _THUMBNAIL[grey.dim() - 1]).flatten(1)


def statistics(grey: Tensor) -> Tensor:
    """Return plain measures [N, D] of images [N, (D,) H, W]: grey values, edges by size and direction, the faces.

    They see what a network learned to overlook: exposure, sharpness, noise, frames, collimation.
    """
    import torch

    flat = _shrunk(grey, _VALUES[grey.dim() - 1]).flatten(1).sort(1).values
    places = (torch.linspace(0.05, 0.95, _LEVELS) * (flat.shape[1] - 1)).round().long()
    found = [flat[:, places.to(flat.device)]]
    for shrunk in (grey, *(_shrunk(grey, side) for side in _GRIDS)):
        for axis in range(1, grey.dim()):
            # The last beside itself, so that an axis of one has edges of 0 rather than none.
            edges = torch.cat([shrunk, shrunk.narrow(axis, shrunk.shape[axis] - 1, 1)], axis).diff(dim=axis).flatten(1)
            found += [torch.log(edges.abs().mean(1) + 1e-3)[:, None], torch.log(edges.square().mean(1) + 1e-5)[:, None]]
    for axis in range(1, grey.dim()):
        for end in (0, -1):
            face = grey.select(axis, end).flatten(1)
            found += [face.mean(1)[:, None], face.std(1, correction=0)[:, None]]
    return torch.cat(found, 1)


def _shrunk(grey: Tensor, side: int) -> Tensor:
    from torch.nn import functional as F

    pool: Any = {2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}[grey.dim() - 1]
    shrunk: torch.Tensor = pool(grey[:, None], side)[:, 0]
    return shrunk
