"""What a classifier learns from generated images alone, by one fixed protocol, the same for all sources of images.

Three small networks, whose probabilities are averaged: four convolutions of 3 x 3, on at most 32 pixels a side, each
taught in 600 steps of 64 images, every image augmented anew each time. The protocol was chosen by what it learns from
real images, how well and how evenly from seed to seed. Its figures compare sources with each other, and are no record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .compared_images import UNKNOWN, Images
from .random_augmentation import augmented

if TYPE_CHECKING:
    from torch import Tensor, nn

LABELLED = 100
"""Real rows of the question what generated images add where few labels are known."""

DRAWS = 3
"""How often these rows are drawn; the answers are averaged."""

_NETWORKS = 3
_STEPS, _EPOCHS, _BATCH, _RATE = 600, 20, 64, 4e-3
_FEW_STEPS = 300  # with and without generated images alike
_SIDE = 32  # larger images are averaged down to at most this


def probabilities(learned: Images, asked: Images, labels: int, seed: int) -> NDArray[np.float64]:
    """Return [N, labels] for `asked`, the mean of three networks that learned `learned`; of `seed` all follows.

    Rows without a label teach nothing. A network goes 20 rounds through the rows at most.
    """
    known = int((learned.labels != UNKNOWN).sum())
    steps = max(1, min(_STEPS, _EPOCHS * known // _BATCH))
    answers = [_answers(learned, asked, labels, _NETWORKS * seed + number, steps) for number in range(_NETWORKS)]
    mean: NDArray[np.float64] = np.mean(answers, axis=0)
    return mean


def gained(real: Images, made: Images, asked: Images, labels: int, seed: int) -> NDArray[np.float64]:
    """Return by how much generated images beside 100 real ones help: for each of `asked`, -1 to 1.

    That is the share of draws in which it is then answered right, less the share without. Real images count as
    often as all generated ones together.
    """
    gain = np.zeros(len(asked))
    for draw in range(DRAWS):
        few = real.take(_few(real.labels, seed + draw))
        often = np.tile(np.arange(len(few)), max(1, len(made) // max(len(few), 1)))
        both = _together(few.take(often), made)
        for learned, sign in ((both, 1), (few, -1)):
            answers = _answers(learned, asked, labels, seed + draw, _FEW_STEPS).argmax(axis=1)
            gain += sign * (answers == asked.labels) / DRAWS
    return gain


def _answers(learned: Images, asked: Images, labels: int, seed: int, steps: int) -> NDArray[np.float64]:
    """Return [N, labels] for `asked` from one network that learned `learned` in `steps`."""
    import torch
    from torch.nn import functional as F

    known = learned.labels != UNKNOWN
    images = _reduced(torch.from_numpy(learned.pixels[known]))
    truth = torch.from_numpy(learned.labels[known])
    draws = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _network(images.shape[1], labels)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
        optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=1e-2, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps + 1)
        for _ in range(steps):
            rows = torch.randint(len(images), (_BATCH,), generator=draws)
            changed = augmented(images[rows], draws).contiguous(memory_format=torch.channels_last)
            loss = F.cross_entropy(network(changed), truth[rows], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    network.eval()
    with torch.inference_mode():
        parts = _reduced(torch.from_numpy(asked.pixels)).split(512)  # type: ignore[no-untyped-call]
        answers = torch.cat([network(part).softmax(1) for part in parts])
    found: NDArray[np.float64] = answers.double().numpy()
    return found


def _few(labels: NDArray[np.int64], seed: int) -> NDArray[np.intp]:
    """100 rows whose label is known, at random, but two of each label at least."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(np.flatnonzero(labels != UNKNOWN))
    first = [order[labels[order] == label][:2] for label in np.unique(labels[order])]
    kept = np.concatenate([*first, order])
    _, places = np.unique(kept, return_index=True)
    rows: NDArray[np.intp] = kept[np.sort(places)][:LABELLED]
    return rows


def _together(one: Images, other: Images) -> Images:
    return Images(
        pixels=np.concatenate([one.pixels, other.pixels]),
        labels=np.concatenate([one.labels, other.labels]),
        names=one.names + other.names,
        patients=np.concatenate([one.patients, other.patients]),
    )


def _reduced(images: Tensor) -> Tensor:
    from torch.nn import functional as F

    times = -(-max(images.shape[2:]) // _SIDE)
    return F.avg_pool2d(images, times, ceil_mode=True) if times > 1 else images


def _network(channels: int, labels: int) -> nn.Module:
    from torch import nn

    def block(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
        convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]

    body = [*block(channels, 24, 2), *block(24, 48, 2), *block(48, 64, 1), *block(64, 96, 2)]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, labels))
