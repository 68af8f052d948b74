"""Probes: how far models get that know nothing of medicine. What they reach, a network need not have been built for.

Each is a multinomial logistic regression with an L2 penalty on a few standardised numbers of the prepared image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import CallError

if TYPE_CHECKING:
    import torch

Images = NDArray[np.float32]

PROBES = ("border", "grey statistics", "pixels")
"""By what a probe looks at: the outermost pixels alone; mean, deviation and percentiles; a small picture."""

_PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
_BORDER = {2: (28, 2), 3: (16, 1)}  # the sides that an image is brought to, and how many places at each end are seen
_PIXELS = {2: 32, 3: 16}
_PENALTY = {"border": 0.03, "grey statistics": 0.003, "pixels": 0.1}  # chosen on validation rows
_ROUNDS = 200


def probe_scores(
    kind: str, train_x: Images, train_y: NDArray[np.int64], test_x: Images, labels: int | None = None
) -> NDArray[np.float64]:
    """Learn from images [N, C, ...] with labels [N] from 0 on; return the probabilities [M, K] of others [M, C, ...].

    Images are shrunk where they are larger than a probe looks. K is `labels`, or as many as `train_y` has. The same
    input gives the same answer. `CallError` for a kind that is none of `PROBES`.
    """
    seen, others = probe_features(kind, train_x), probe_features(kind, test_x)
    middle, spread = seen.mean(axis=0), seen.std(axis=0)
    spread[spread < 1e-6] = 1.0
    count = labels or int(train_y.max()) + 1
    return _logistic((seen - middle) / spread, train_y, (others - middle) / spread, count, _PENALTY[kind])


def probe_features(kind: str, images: Images) -> NDArray[np.float64]:
    """Return what a probe sees of images [N, C, ...], as [N, F]."""
    if kind not in PROBES:
        raise CallError(f"no probe named {kind!r}; there are {', '.join(PROBES)}")
    dims = images.ndim - 2
    if kind == "grey statistics":
        flat = images.reshape(len(images), images.shape[1], -1).astype(np.float64)
        parts = [flat.mean(axis=2), flat.std(axis=2), *np.percentile(flat, _PERCENTILES, axis=2)]
        return np.concatenate(parts, axis=1)
    if kind == "pixels":
        return shrunk(images, (_PIXELS[dims],) * dims).reshape(len(images), -1).astype(np.float64)
    most, width = _BORDER[dims]
    small = shrunk(images, (most,) * dims)
    edge = np.ones(small.shape[2:], dtype=np.bool_)
    edge[tuple(slice(width, max(width, side - width)) for side in small.shape[2:])] = False
    return small[:, :, edge].reshape(len(images), -1).astype(np.float64)


def shrunk(images: Images, sides: tuple[int, ...]) -> Images:
    """Bring images [N, C, ...] to at most these sides, each place the mean of what lies in it."""
    import torch

    sides = tuple(min(wanted, there) for wanted, there in zip(sides, images.shape[2:]))
    if sides == images.shape[2:]:
        return images
    tensor = torch.from_numpy(np.ascontiguousarray(images))
    if len(sides) == 2:
        pooled = torch.nn.functional.adaptive_avg_pool2d(tensor, (sides[0], sides[1]))
    else:
        pooled = torch.nn.functional.adaptive_avg_pool3d(tensor, (sides[0], sides[1], sides[2]))
    small: Images = pooled.numpy()
    return small


def _logistic(
    seen: NDArray[np.float64], truth: NDArray[np.int64], others: NDArray[np.float64], labels: int, penalty: float
) -> NDArray[np.float64]:
    """Multinomial logistic regression from zero weights, by L-BFGS: convex, so that it ends in one place."""
    import torch

    features, target = torch.from_numpy(seen), torch.from_numpy(truth)
    weights = torch.zeros(seen.shape[1], labels, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(labels, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS(
        [weights, bias], max_iter=_ROUNDS, history_size=20, tolerance_grad=1e-5, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        search.zero_grad()
        found = torch.nn.functional.cross_entropy(features @ weights + bias, target)
        found = found + penalty / 2 * weights.square().sum()
        found.backward()  # type: ignore[no-untyped-call]
        return found

    with torch.enable_grad():
        search.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        answer: NDArray[np.float64] = (torch.from_numpy(others) @ weights + bias).softmax(dim=1).numpy()
    return answer
