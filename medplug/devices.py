"""Where a network runs, and what to do when a batch does not fit there."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from .errors import CallError
from .model import Batch

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def choose(name: str) -> torch.device:
    """Return the device that `name` means: "auto" takes CUDA where it is; `CallError` for one that is not there."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise CallError(f"no device named {name!r}: use auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise CallError(f"device {name!r} is asked for and torch finds no CUDA here: use auto or cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise CallError(f"device {name!r} is asked for and there are {torch.cuda.device_count()}")
    if device.type not in ("cpu", "cuda"):
        raise CallError(f"device {name!r} is not supported: use auto, cpu, cuda or cuda:N")
    return device


def forward_in_parts(forward: Callable[[Batch], Mapping[str, Tensor]], batch: Batch) -> Mapping[str, Tensor]:
    """Run `forward`; when CUDA runs out of memory, run it on halves and say so."""
    import torch

    try:
        return forward(batch)
    except torch.cuda.OutOfMemoryError:
        if len(batch) < 2:
            raise
    half = len(batch) // 2
    warnings.warn(f"CUDA ran out of memory: the batch of {len(batch)} is halved", ResourceWarning, stacklevel=2)
    torch.cuda.empty_cache()
    parts = [forward_in_parts(forward, part) for part in split(batch, half)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def split(batch: Batch, size: int) -> list[Batch]:
    """Cut a batch into parts of at most `size` cases."""

    def cut(tensor: Tensor | None, start: int) -> Tensor | None:
        return None if tensor is None else tensor[start : start + size]

    return [
        replace(
            batch,
            image=batch.image[start : start + size],
            cases=batch.cases[start : start + size],
            images={name: image[start : start + size] for name, image in batch.images.items()},
            target=cut(batch.target, start),
            mask=cut(batch.mask, start),
        )
        for start in range(0, len(batch), size)
    ]
