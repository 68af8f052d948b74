"""Trivial baselines: what a linear model learns from what should not suffice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CallError

PROBES = ("border", "grey statistics", "pixels")
"""A linear model on the outermost two pixels alone, on five statistics of the grey values, and on all pixels."""

_BORDER = 2
_PENALTY = 1e-2  # times the mean square of the weights of standardised features
_STEPS = 60

Images = NDArray[np.float32]


def probe_scores(kind: str, train_x: Images, train_y: NDArray[np.int64], test_x: Images) -> NDArray[np.float64]:
    """Return the probabilities [M, K] that a linear model of one kind of `PROBES` gives to images [M, C, ...].

    It learns images [N, C, ...] with labels [N] of 0 to K - 1. `CallError` for a kind that is none.
    """
    if kind not in PROBES:
        raise CallError(f"no probe {kind!r}; there are {', '.join(PROBES)}")
    learned, asked = _features(kind, train_x), _features(kind, test_x)
    middle, spread = learned.mean(axis=0), learned.std(axis=0)
    spread[spread == 0] = 1
    return _softmax_regression((learned - middle) / spread, train_y, (asked - middle) / spread)


def _features(kind: str, images: Images) -> NDArray[Any]:
    flat = images.reshape(len(images), -1)
    if kind == "pixels":
        return flat
    if kind == "grey statistics":
        quantiles = np.quantile(flat, [0.1, 0.5, 0.9], axis=1)
        return np.stack([flat.mean(axis=1), flat.std(axis=1), *quantiles], axis=1).astype(np.float32)
    edge = np.ones(images.shape[2:], np.bool_)
    sides: tuple[int, ...] = images.shape[2:]
    edge[tuple(slice(_BORDER, max(_BORDER, side - _BORDER)) for side in sides)] = False
    return images[:, :, edge].reshape(len(images), -1)


def _softmax_regression(x: NDArray[Any], y: NDArray[np.int64], asked: NDArray[Any]) -> NDArray[np.float64]:
    import torch
    from torch.nn import functional as F

    features, target = torch.from_numpy(x), torch.from_numpy(y)
    weight = torch.zeros(x.shape[1], int(y.max()) + 1, requires_grad=True)
    bias = torch.zeros(int(y.max()) + 1, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(features @ weight + bias, target) + _PENALTY * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        found: NDArray[np.float64] = (torch.from_numpy(asked) @ weight + bias).double().softmax(1).numpy()
    return found
