"""The Fréchet distance between two sets of features, as between two Gaussians (Heusel et al. 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CallError


@dataclass(frozen=True, eq=False)
class Gaussian:
    """A mean [F] and a covariance [F, F]."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


def fit(features: NDArray[Any]) -> Gaussian:
    """Return the Gaussian of features [N, F]; `CallError` for fewer than 2 rows."""
    if len(features) < 2:
        raise CallError(f"a Fréchet distance of {len(features)} images: want at least 2 on each side")
    values = features.astype(np.float64)
    mean = values.mean(axis=0)
    centred = values - mean
    return Gaussian(mean, centred.T @ centred / (len(values) - 1))


def distance(a: Gaussian, b: Gaussian) -> float:
    """Return |mean_a - mean_b|^2 + tr(A + B - 2 (A B)^1/2): 0 for the same Gaussian, in squared units of the features.

    A B has the eigenvalues of the symmetric A^1/2 B A^1/2, so that no root of a general matrix is needed.
    """
    values, vectors = np.linalg.eigh(a.covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    product = root @ b.covariance @ root
    common = np.sqrt(np.maximum(np.linalg.eigvalsh((product + product.T) / 2), 0)).sum()
    between = float(np.sum((a.mean - b.mean) ** 2))
    return max(0.0, between + float(np.trace(a.covariance) + np.trace(b.covariance) - 2 * common))


def sample_like(images: NDArray[Any], count: int, seed: int) -> NDArray[np.float32]:
    """Draw `count` images from the Gaussian with the mean and covariance of `images` [N, ...], clipped to 0 to 1.

    mean + z X / sqrt(N - 1), for centred rows X and standard normal z [N], has the covariance of the rows exactly:
    the matrix of pixels by pixels is never formed.
    """
    if len(images) < 2:
        raise CallError(f"a Gaussian fitted to {len(images)} images: want at least 2")
    flat = images.reshape(len(images), -1).astype(np.float32)
    mean = flat.mean(axis=0, dtype=np.float64).astype(np.float32)
    z = np.random.default_rng(seed).standard_normal((count, len(flat)), dtype=np.float32)
    drawn = mean + z @ (flat - mean) / np.float32(np.sqrt(len(flat) - 1))
    clipped: NDArray[np.float32] = np.clip(drawn, 0, 1).reshape(count, *images.shape[1:])
    return clipped
