"""A model's measure of novelty, fitted when its training ends: on its training rows, and judged by validation rows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from msgspec.structs import replace as with_fields
from numpy.typing import NDArray
from torch import nn

from .. import devices
from ..case import Case
from ..dataset import Dataset
from ..errors import CallError
from ..model import Batch, Model, Task
from ..model_folder import LoadedModel
from ..novelty import FEATURES, PARTS, STATISTICS, THUMBNAIL, Gaussian, NoveltyFit, NoveltyMeasure, gaussian_of
from ..novelty import vectors_of as vectors_of_batch
from ..pipeline import Prepared, collate, prepare_or_refuse
from ..session import Session

Floats = NDArray[np.float64]

_log = logging.getLogger(__name__)

PERCENTILE = 96.0
"""Of the scores of validation rows, where the limit lies: one in twenty-five of the model's own kind is flagged."""

LEAST_ROWS = 20
"""With fewer rows, of either split, nothing is fitted."""

MOST_ROWS = 4096
"""As many of each split are looked at, evenly spaced."""

_NUMBERS = 2**16  # of the features' basis at most: 256 KiB
_DIRECTIONS = {THUMBNAIL: 16, STATISTICS: 64}

_TAIL = 95.0, 1.6448536269514722  # a percentile, and how many standard deviations above the median it is of a normal
_LEAST_SPREAD = 1e-3


def fit_novelty(
    loaded: LoadedModel,
    train: Dataset,
    validation: Dataset,
    device: str = "auto",
    *,
    say: Callable[[str], None] = _log.warning,
) -> LoadedModel:
    """Return the model with a measure of how unlike its training rows an image is, and the limit of what is novel.

    `train` are the rows that it learned from; by rows of the split "val" each part is standardised and the limit
    chosen, since a network's features of rows that it learned lie closer together than those of any others. An anomaly
    model and a generator get none: for the one, novelty is the answer itself, and the other is shown no images. `say`
    is told why nothing is fitted. Raises `CallError` for rows of another split.
    """
    for rows, name in ((train, "train"), (validation, "val")):
        if set(rows.splits.tolist()) - {name}:
            raise CallError(f"novelty is fitted on train rows and judged by val rows, and some {name} rows are others")
    bare = replace(loaded, novelty=None)
    if loaded.model.task in (Task.ANOMALY, Task.GENERATION):
        return bare
    few = min(len(train), len(validation))
    if few < LEAST_ROWS:
        say(f"no novelty: {len(train)} training and {len(validation)} validation rows, and {LEAST_ROWS} are wanted")
        return bare
    session = Session(bare, device)
    (own, kept), (others, judged) = (_vectors(session, _some(rows)) for rows in (train, validation))
    if min(len(kept), len(judged)) < LEAST_ROWS:
        say(f"no novelty: only {len(kept)} training and {len(judged)} validation rows could be prepared")
        return bare
    alike = np.zeros(len(kept), np.int64)
    targets = _some(train).targets[kept]
    exclusive = loaded.labels.exclusive and targets.dtype == np.int64 and bool((targets >= 0).any())
    classes = targets.astype(np.int64) if exclusive else alike
    gaussians = {}
    for part, vectors in own.items():
        by = classes if part == FEATURES else alike
        rank = _DIRECTIONS.get(part) or max(1, _NUMBERS // vectors.shape[1])
        made = fit_gaussian(vectors, by, rank, scaled=part == STATISTICS, rest=part != THUMBNAIL)
        gaussians[part] = _standardised(made, others[part], vectors)
    fit = NoveltyFit(
        limit=1.0, percentile=PERCENTILE, split="val", rows=len(judged), trained_rows=len(kept), parts=tuple(own)
    )
    measure = NoveltyMeasure(fit, gaussians)
    scores = measure.scores({part: torch.from_numpy(vectors) for part, vectors in others.items()})
    limit = float(np.percentile(scores, PERCENTILE))
    if not limit > 0:
        say("no novelty: the validation rows do not differ, so no limit can be chosen by them")
        return bare
    return replace(bare, novelty=replace(measure, fit=with_fields(fit, limit=limit)))


def fit_gaussian(vectors: Floats, classes: NDArray[np.int64], rank: int, *, scaled: bool, rest: bool) -> Gaussian:
    """Return the Gaussian of vectors [N, D]: a mean for each of `classes` [N] (below 0: of none), one covariance.

    The covariance is shrunk towards a multiple of the identity by Ledoit and Wolf's rule (2004), with the axes in
    units of their own deviations where it is `scaled`. Its `rank` largest directions are kept; what lies outside them
    counts by its mean variance, or not at all without `rest`.
    """
    known = classes >= 0
    means = np.stack([vectors[classes == one].mean(axis=0) for one in np.unique(classes[known])])
    places = np.searchsorted(np.unique(classes[known]), classes[known])
    off = vectors[known] - means[places]
    # Not less than a little of what all axes vary by: an axis that never varied would be all that counts.
    scale = off.std(axis=0) + max(1e-3 * float(off.std()), 1e-9) if scaled else np.ones(vectors.shape[1])
    variances, basis, outside = _shrunk(off / scale, rank)
    floor = max(float(variances[0]) * 1e-9, 1e-12)
    arrays = {"means": means, "scale": scale, "basis": basis, "variances": variances.clip(floor)}
    numbers = [1 / max(outside, floor) if rest and outside else 0.0, 0.0, 1.0]
    tensors = {name: torch.from_numpy(array.copy()).float() for name, array in arrays.items()}
    return gaussian_of({**tensors, "numbers": torch.tensor(numbers, dtype=torch.float64)})  # as a folder gives it back


def _shrunk(off: Floats, rank: int) -> tuple[Floats, Floats, float]:
    """The covariance of centred vectors [N, D], after Ledoit and Wolf: A well-conditioned estimator (2004), lemma 3.

    Returns the variances along its `rank` largest directions at most, those directions [D, R], and the mean variance
    along the others, 0 where there are none.
    """
    count, wide = off.shape
    if wide <= count:
        found, basis = np.linalg.eigh(off.T @ off / count)
    else:  # the same from the products of the rows, which are fewer
        found, mixtures = np.linalg.eigh(off @ off.T / count)
        basis = off.T @ mixtures / np.sqrt(count * found.clip(found[-1] * 1e-12 + 1e-300))
        known = found > found[-1] * 1e-9
        known[-1] = True  # of rows that are all the same, too
        found, basis = found[known], basis[:, known]
    found, basis = found[::-1].clip(0), basis[:, ::-1]
    level = float(found.sum()) / wide
    distance = float(np.square(found).sum()) - wide * level**2
    error = (float(np.square(np.square(off).sum(axis=1)).mean()) - float(np.square(found).sum())) / count
    share = min(max(error, 0.0) / distance, 1.0) if distance > 0 else 0.0
    variances: Floats = (1 - share) * found + share * level
    kept = min(rank, len(variances))
    left = (wide * level - float(variances[:kept].sum())) / (wide - kept) if kept < wide else 0.0
    return variances[:kept], basis[:, :kept], max(left, 0.0)


def _standardised(gaussian: Gaussian, validation: Floats, train: Floats) -> Gaussian:
    """The Gaussian in units of the tail of validation rows [N, D]: parts with long tails must not speak louder.

    Of few rows in many dimensions the directions are those in which the training rows themselves lie far out. Then it
    is the tail of these: what was trained on is not novel.
    """
    own, others = (gaussian.log_distance(torch.from_numpy(rows)).numpy() for rows in (train, validation))
    percentile, deviations = _TAIL
    usual = float(np.median(others))
    tail = max(float(np.percentile(distances, percentile)) for distances in (own, others))
    return replace(gaussian, usual=usual, spread=max((tail - usual) / deviations, _LEAST_SPREAD))


def _some(rows: Dataset) -> Dataset:
    if len(rows) <= MOST_ROWS:
        return rows
    return rows.take(np.linspace(0, len(rows) - 1, MOST_ROWS).round().astype(np.intp))


def _vectors(session: Session, rows: Dataset) -> tuple[dict[str, Floats], NDArray[np.intp]]:
    """What the rows are compared by, [N, D] of each part, and which rows they are: those that can be prepared."""
    found: dict[str, list[torch.Tensor]] = {}
    kept: list[int] = []
    model, network = session.loaded.model, session.network
    for places, prepared in _prepared(session, rows.cases):
        batch = collate(prepared, session.device)
        with torch.inference_mode():
            output = devices.forward_in_parts(lambda part: _looked(model, network, part), batch)
            vectors = vectors_of_batch(model, network, batch, output)
        finite = torch.stack([one.isfinite().all(1).cpu() for one in vectors.values()]).all(0)
        kept += [place for place, whole in zip(places, finite.tolist()) if whole]
        for part, one in vectors.items():
            found.setdefault(part, []).append(one.cpu()[finite].double())
    stacked = {part: torch.cat(found[part]).numpy() for part in PARTS if part in found}
    return stacked, np.array(kept, dtype=np.intp)


def _looked(model: Model, network: nn.Module, batch: Batch) -> Mapping[str, torch.Tensor]:
    """The features, without the rest of an answer, which may cost several times as much; else the whole answer."""
    features = model.features(network, batch)
    return model.forward(network, batch) if features is None else {FEATURES: features}


def _prepared(session: Session, cases: Sequence[Case]) -> Iterator[tuple[list[int], list[Prepared]]]:
    """Batches of the cases that can be prepared, those of one shape together, and their places."""
    size = session.batch_size
    with ThreadPoolExecutor(session.workers, thread_name_prefix="medplug-novelty") as pool:
        for start in range(0, len(cases), size):
            outcomes = pool.map(lambda case: prepare_or_refuse(session.pipeline, case), cases[start : start + size])
            by_shape: dict[tuple[int, ...], tuple[list[int], list[Prepared]]] = {}
            for place, outcome in enumerate(outcomes, start):
                if isinstance(outcome, Prepared):
                    places, prepared = by_shape.setdefault(outcome.shape, ([], []))
                    places.append(place)
                    prepared.append(outcome)
            yield from by_shape.values()
