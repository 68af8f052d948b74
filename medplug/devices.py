"""Where a network runs, and what to do when a batch does not fit there."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from .errors import CallError
from .model import Batch

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_IN_USE = 2  # batches on CUDA at a time: the network's own, and the one that is copied meanwhile


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


def carried(batches: Generator[Batch, None, None], device: torch.device) -> Generator[Batch, None, None]:
    """Yield the batches on `device`; whoever closes this closes `batches`.

    To CUDA they are copied in a stream of its own, while the network is busy with the batch before, and the caller's
    stream waits for each; the host waits once it is two batches ahead. From memory that is not pinned the copying
    overlaps with nothing.
    """
    with closing(batches):
        yield from batches if device.type != "cuda" else _copied(batches, device)


def _copied(batches: Generator[Batch, None, None], device: torch.device) -> Generator[Batch, None, None]:
    import torch

    copying = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    in_use: deque[torch.cuda.Event] = deque()
    for batch in batches:
        if len(in_use) == _IN_USE:
            in_use.popleft().synchronize()
        with torch.cuda.stream(copying):
            copied = _to(batch, device)
        busy = torch.cuda.current_stream(device)
        busy.wait_stream(copying)
        for tensor in (*copied.images.values(), copied.image, copied.target, copied.mask):
            if tensor is not None:
                tensor.record_stream(busy)  # its memory is not given to the next copy while the network reads it
        yield copied
        in_use.append(torch.cuda.current_stream(device).record_event())


def _to(batch: Batch, device: torch.device) -> Batch:
    def moved(tensor: Tensor) -> Tensor:
        return tensor.to(device, non_blocking=True)

    images = {name: moved(image) for name, image in batch.images.items()}
    same = [name for name, image in batch.images.items() if image is batch.image]
    return replace(
        batch,
        image=images[same[0]] if same else moved(batch.image),
        images=images,
        target=None if batch.target is None else moved(batch.target),
        mask=None if batch.mask is None else moved(batch.mask),
    )


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
