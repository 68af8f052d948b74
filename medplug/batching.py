"""Sources as batches for anybody's network: read, decoded and prepared by a few threads, in order."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from . import devices, sources
from .case import Case, Unit
from .errors import CallError, PreprocessingError, SourceError
from .model import Batch
from .pipeline import Pipeline, as_refusal, prepare_or_refuse
from .preprocessing import Preprocessing
from .result import Refused, Rejected

if TYPE_CHECKING:
    import torch

_LOG = logging.getLogger(__name__)
_AHEAD = 2  # whole batches under way beside the one that is being filled


def batches(
    source: sources.AnySource,
    preprocessing: Preprocessing,
    batch_size: int = 32,
    *,
    unit: Unit = Unit.INSTANCE,
    device: str = "cpu",
    workers: int | None = None,
    on_rejected: Callable[[Rejected], None] | None = None,
) -> Iterator[Batch]:
    """Yield the cases of `source` as batches: `image` is [N, C, (D,) H, W] float32 on `device`, `cases` says which.

    Cases come in the order of the source. A batch is made of `batch_size` of them, or of fewer where the next has
    another shape or there are no more. `workers` threads decode and prepare (default: one a core), each straight into
    its place in the batch, which lies in pinned memory where the device is CUDA. A few batches are made ahead, whatever
    the source holds. What cannot be read or prepared is left out: `on_rejected` is told, else a warning is logged.

    Raises `CallError` for a size, a unit or a source that does not exist, and `PreprocessingError` where the
    preprocessing is still to be fitted.
    """
    if batch_size < 1:
        raise CallError(f"a batch of {batch_size} cases: want at least 1")
    if not preprocessing.fitted:
        raise PreprocessingError("this preprocessing is still to be fitted: train first, or take a model folder's")
    found = sources.read(source, unit)
    making = _Making(Pipeline(preprocessing), batch_size, devices.choose(device), on_rejected or _warn)
    return making.batches(found, workers or os.cpu_count() or 1)


def _warn(rejected: Rejected) -> None:
    source, reason = rejected.reference.source, rejected.outcome.reason
    _LOG.warning("%s is left out: %s", source, reason.removeprefix(f"{source}: "))


@dataclass
class _UnderWay:
    """A batch that threads are filling: case i goes to place i."""

    places: torch.Tensor
    cases: list[Case] = field(default_factory=list)
    done: list[Future[Refused | None]] = field(default_factory=list)

    def takes(self, shape: tuple[int, ...]) -> bool:
        return self.places.shape[1:] == shape and len(self.cases) < len(self.places)


@dataclass(frozen=True)
class _Making:
    pipeline: Pipeline
    size: int
    device: torch.device
    tell: Callable[[Rejected], None]

    def batches(self, found: Iterator[Case | Rejected], workers: int) -> Iterator[Batch]:
        queue: deque[_UnderWay] = deque()
        pool = ThreadPoolExecutor(workers, thread_name_prefix="medplug-batch")
        try:
            for case in found:
                if isinstance(case, Rejected):
                    self.tell(case)
                    continue
                try:
                    shape = self.pipeline.array_shape(case)
                except (SourceError, PreprocessingError) as error:
                    self.tell(Rejected(case.reference, as_refusal(error)))
                    continue
                if not queue or not queue[-1].takes(shape):
                    if len(queue) > _AHEAD:
                        yield from self._finish(queue.popleft())
                    queue.append(_UnderWay(self._places(shape)))
                batch = queue[-1]
                place = batch.places[len(batch.cases)].numpy()
                batch.cases.append(case)
                batch.done.append(pool.submit(self._fill, case, place))
            while queue:
                yield from self._finish(queue.popleft())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _places(self, shape: tuple[int, ...]) -> torch.Tensor:
        import torch

        return torch.empty((self.size, *shape), pin_memory=self.device.type == "cuda")

    def _fill(self, case: Case, place: NDArray[np.float32]) -> Refused | None:
        name = self.pipeline.images[0]
        made = prepare_or_refuse(self.pipeline, case, {name: place})
        return made if isinstance(made, Refused) else None

    def _finish(self, batch: _UnderWay) -> Iterator[Batch]:
        """The batch when all is there, without what was refused; nothing where that is all."""
        refused = [future.result() for future in batch.done]
        for case, refusal in zip(batch.cases, refused):
            if refusal is not None:
                self.tell(Rejected(case.reference, refusal))
        kept = [i for i, refusal in enumerate(refused) if refusal is None]
        if not kept:
            return
        whole = len(kept) == len(batch.cases)
        image = (batch.places[: len(kept)] if whole else batch.places[kept]).to(self.device, non_blocking=True)
        yield Batch(
            image=image,
            images={self.pipeline.images[0]: image},
            cases=tuple(batch.cases[i].reference for i in kept),
        )
