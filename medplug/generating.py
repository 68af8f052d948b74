"""Synthetic images, one by one: each from its own noise, and none that is nearly a training image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec.structs import replace

from .decoded import checked
from .model import Batch, Generative
from .result import Generated, Prediction, Refused

if TYPE_CHECKING:
    from torch import nn

DRAWS = 20
"""How often one image is drawn at most before it is refused: a generator that repeats itself so often has no other."""
_GENERATE = 0x67656E  # keeps a sample's noise apart from the noise that training drew from the same seed


def generate(
    model: Generative, network: nn.Module, count: int, seed: int, label: str | None
) -> Iterator[Prediction | Refused]:
    """Yield `count` images of `seed`: image i depends on (seed, i) and `label`, whatever `count` is."""
    for index in range(count):
        yield _one(model, network, seed, index, label)


def _one(model: Generative, network: nn.Module, seed: int, index: int, label: str | None) -> Prediction | Refused:
    for attempt in range(DRAWS):
        made, copied = _draw(model, network, _noise(seed, index, attempt), label)
        if isinstance(made, Refused) or not isinstance(made, Generated):
            return made
        if not copied:
            return replace(made, seed=seed, index=index, withheld=attempt)
        label = made.label  # what is drawn again shows the same
    reason = f"each of {DRAWS} draws was nearly an image that the model was trained on: train it for longer, or on more"
    return Refused(code="near-copy", reason=reason)


def _noise(seed: int, index: int, attempt: int) -> int:
    numbers = [_GENERATE, seed, index, *([attempt] if attempt else [])]
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _draw(model: Generative, network: nn.Module, noise: int, label: str | None) -> tuple[Prediction | Refused, bool]:
    """Draw one image, and say whether it is a near copy."""
    import torch

    told: dict[str, Any] = {} if label is None else {"label": label}  # a plugin without labels need not take one
    with torch.inference_mode():
        output = model.sample(network, 1, torch.Generator().manual_seed(noise), **told)
        copies = model.near_copies(network, output)
    output = {name: tensor.float().cpu() for name, tensor in output.items()}
    [decoded] = model.decode(output, Batch(image=next(iter(output.values()))))
    return checked(decoded, model), copies is not None and bool(copies[0])
