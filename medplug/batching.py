"""Sources as batches for anybody's network: read, decoded and prepared by a few threads, in order."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from . import devices, sources
from .case import Case, Unit
from .errors import CallError, PreprocessingError
from .model import Batch
from .pipeline import Pipeline, prepare_or_refuse, shape_or_refuse
from .preprocessing import Preprocessing
from .result import Refused, Rejected, Skipped

if TYPE_CHECKING:
    import torch

_LOG = logging.getLogger(__name__)
_AHEAD = 2  # whole batches under way


def batches(
    source: sources.AnySource,
    preprocessing: Preprocessing,
    batch_size: int = 32,
    *,
    unit: Unit = Unit.INSTANCE,
    device: str = "cpu",
    workers: int | None = None,
    on_rejected: Callable[[Rejected], None] | None = None,
) -> Generator[Batch, None, None]:
    """Yield the cases of `source` as batches: `image` is [N, C, (D,) H, W] float32 on `device`, `cases` says which.

    Cases come in the order of the source, their first images only. A batch is made of `batch_size` of them, or of fewer
    where the next has another shape or there are no more. `workers` threads decode and prepare (default: one a core),
    each straight into its place in the batch, which lies in pinned memory where the device is CUDA. Two batches are
    made ahead, whatever the source holds; close the generator to stop early.

    What cannot be read or prepared is left out of its batch, which is smaller then, and of all if nothing is left:
    `on_rejected` is told, else a warning is logged. That includes a path that does not exist. An exception of an
    iterable that is given is raised once all that it gave before has been yielded.

    Raises `CallError` for a size, a number of workers, a unit or a device that makes no sense, and `PreprocessingError`
    where the preprocessing is still to be fitted.
    """
    if batch_size < 1:
        raise CallError(f"a batch of {batch_size} cases: want at least 1")
    if workers is not None and workers < 1:
        raise CallError(f"{workers} workers: want at least 1")
    if not preprocessing.fitted:
        raise PreprocessingError("this preprocessing is still to be fitted: train first, or take a model folder's")
    found = sources.read(source, unit)
    making = _Making(Pipeline(preprocessing), batch_size, devices.choose(device), on_rejected or _warn)
    return devices.carried(making.batches(found, workers or _cores()), making.device)


def _cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _warn(rejected: Rejected) -> None:
    source, reason = rejected.reference.source, rejected.outcome.reason
    level = logging.DEBUG if isinstance(rejected.outcome, Skipped) else logging.WARNING
    _LOG.log(level, "%s is left out: %s", source, reason.removeprefix(f"{source}: "))


@dataclass
class _UnderWay:
    """A batch whose places threads are filling: case i goes to place i."""

    cases: list[Case]
    places: torch.Tensor
    done: list[Future[Refused | None]] = field(default_factory=list)


@dataclass(frozen=True)
class _Making:
    pipeline: Pipeline
    size: int
    device: torch.device
    tell: Callable[[Rejected], None]

    def batches(self, found: Iterable[Case | Rejected], workers: int) -> Generator[Batch, None, None]:
        queue: deque[_UnderWay] = deque()
        pool = ThreadPoolExecutor(workers, thread_name_prefix="medplug-batch")
        failed: Exception | None = None
        try:
            groups = self._groups(found)
            while True:
                try:
                    cases, shape = next(groups)
                except StopIteration:
                    break
                except Exception as error:
                    failed = error
                    break
                self._start(cases, shape, queue, pool)
                while queue and (len(queue) > _AHEAD or all(future.done() for future in queue[0].done)):
                    yield from self._finish(queue.popleft())
            while queue:
                yield from self._finish(queue.popleft())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        if failed is not None:
            raise failed

    def _groups(self, found: Iterable[Case | Rejected]) -> Generator[tuple[list[Case], tuple[int, ...]], None, None]:
        """Cases that follow each other and have one shape, with that shape; an exception of `found` comes last."""
        cases: list[Case] = []
        wanted: tuple[int, ...] = ()
        failed: Exception | None = None
        rest = iter(found)
        while failed is None:
            try:
                case = next(rest)
            except StopIteration:
                break
            except Exception as error:
                failed = error
                break
            if isinstance(case, Rejected):
                self.tell(case)
                continue
            shape = shape_or_refuse(self.pipeline, case)
            if isinstance(shape, Refused):
                self.tell(Rejected(case.reference, shape))
                continue
            if cases and (shape != wanted or len(cases) == self.size):
                yield cases, wanted
                cases = []
            cases.append(replace(case, mask=None))
            wanted = shape
        if cases:
            yield cases, wanted
        if failed is not None:
            raise failed

    def _start(
        self, cases: list[Case], shape: tuple[int, ...], queue: deque[_UnderWay], pool: ThreadPoolExecutor
    ) -> None:
        import torch

        try:
            places = torch.empty((len(cases), *shape), pin_memory=self.device.type == "cuda")
        except (MemoryError, RuntimeError):  # torch's own error for want of memory is a RuntimeError
            for case in cases:
                reason = f"{case.reference.source}: a batch of {len(cases)} x {shape} needs more memory than there is"
                self.tell(Rejected(case.reference, Refused(code="unreadable", reason=reason)))
            return
        batch = _UnderWay(cases, places)
        batch.done = [pool.submit(self._fill, case, place.numpy()) for case, place in zip(cases, places, strict=True)]
        queue.append(batch)

    def _fill(self, case: Case, place: NDArray[np.float32]) -> Refused | None:
        made = prepare_or_refuse(self.pipeline, case, {self.pipeline.images[0]: place})
        return made if isinstance(made, Refused) else None

    def _finish(self, batch: _UnderWay) -> Generator[Batch, None, None]:
        """The batch when all is there, without what was refused; nothing where that is all."""
        kept: list[Case] = []
        for place, (case, future) in enumerate(zip(batch.cases, batch.done, strict=True)):
            refused = future.result()
            if refused is not None:
                self.tell(Rejected(case.reference, refused))
                continue
            if len(kept) < place:  # close up
                batch.places[len(kept)] = batch.places[place]
            kept.append(case)
        if kept:
            image = batch.places[: len(kept)]
            references = tuple(case.reference for case in kept)
            yield Batch(image=image, images={self.pipeline.images[0]: image}, cases=references)
