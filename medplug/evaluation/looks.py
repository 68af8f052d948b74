"""What evaluation keeps of each prepared image, so that probes and subgroups need not read it again."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..augmentation import Draw
from ..case import Case, CaseReference
from ..pipeline import Pipeline, Prepared, prepare_or_refuse
from ..preprocessing import Normalize
from ..session import Session
from .probes import Images, shrunk

_SIDES = {2: (48, 48), 3: (16, 16, 16)}


@dataclass(frozen=True, eq=False)
class Look:
    """A prepared image, small, as [C, ...]; its mean; and the deviation of its Laplacian, which blur makes small.

    Both are of greys before the network's normalisation: 0 is black and 1 white, unless stored values are kept.
    """

    small: Images
    brightness: float
    sharpness: float


def look(array: Images, normalize: Normalize | None = None) -> Look:
    """Reduce an image [C, ...], prepared with `normalize`; brightness and sharpness are those of its whole size."""
    array = np.nan_to_num(array)
    small = shrunk(array[None], _SIDES[array.ndim - 1])[0].copy()
    if normalize is not None:
        mean, std = (
            np.array(one, np.float32).reshape(-1, *[1] * (array.ndim - 1)) for one in (normalize.mean, normalize.std)
        )
        array = array * std + mean
    laplacian = np.zeros((len(array), *(max(side - 2, 0) for side in array.shape[1:])), np.float32)
    inner = [slice(1, -1)] * (array.ndim - 1)
    for axis in range(array.ndim - 1):
        before, after = list(inner), list(inner)
        before[axis], after[axis] = slice(0, -2), slice(2, None)
        laplacian += array[(slice(None), *before)] + array[(slice(None), *after)] - 2 * array[(slice(None), *inner)]
    return Look(small, float(array.mean()), float(laplacian.std()) if laplacian.size else 0.0)


@dataclass(frozen=True)
class _Watched(Pipeline):
    """A pipeline that also keeps a look at the first image of every case that goes through it."""

    seen: dict[CaseReference, Look] = field(default_factory=dict)

    def prepare(
        self, case: Case, draw: Draw | None = None, out: Mapping[str, NDArray[np.float32]] | None = None
    ) -> Prepared:
        made = super().prepare(case, draw, out)
        normalize = self.preprocessing.normalize
        self.seen[case.reference] = look(
            made.arrays[self.images[0]], normalize if isinstance(normalize, Normalize) else None
        )
        return made


def watched(session: Session) -> tuple[Session, Mapping[CaseReference, Look]]:
    """Return a session that answers as `session` does, and the looks at what it is asked, which come as it answers."""
    pipeline = _Watched(session.pipeline.preprocessing, session.pipeline.images, session.pipeline.threads)
    beside = copy.copy(session)
    beside.pipeline = pipeline
    return beside, pipeline.seen


def looks_at(session: Session, cases: Iterable[Case]) -> list[Look | None]:
    """Prepare cases as the session would, and look at them; None for what it would refuse."""
    pipeline, contract = session.pipeline, session.loaded.contract

    def one(case: Case) -> Look | None:
        made = contract.admit(case) or prepare_or_refuse(pipeline, case)
        return look(made.arrays[pipeline.images[0]]) if isinstance(made, Prepared) else None

    with ThreadPoolExecutor(session.workers, thread_name_prefix="medplug-probe") as pool:
        return list(pool.map(one, cases))


def stacked(looks: Sequence[Look], sides: tuple[int, ...]) -> Images:
    """Return the small images [N, C, ...] of looks, each side brought to at most `sides`."""
    return np.concatenate([shrunk(one.small[None], sides) for one in looks])


def common_sides(looks: Iterable[Look]) -> tuple[int, ...] | None:
    """Return the sides that every small image can be brought to; None where channels or dimensions differ."""
    shapes = {one.small.shape for one in looks}
    if len({(len(shape), shape[0]) for shape in shapes}) != 1:
        return None
    return tuple(int(side) for side in np.min([shape[1:] for shape in shapes], axis=0))
