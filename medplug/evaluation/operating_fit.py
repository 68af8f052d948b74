"""Temperature and operating points, fitted on validation rows and on no others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..dataset import Dataset
from ..errors import CallError
from ..model import Task
from ..model_folder import Calibration, LoadedModel, Threshold
from ..operating import ANOMALOUS
from ..session import Session
from .answered import Answered, anomalous_rows, answer, normal_of, targets_in_order

Floats = NDArray[np.float64]

_log = logging.getLogger(__name__)

LEAST_ROWS = 10
"""With fewer rows nothing is fitted."""

LEAST_OF_A_KIND = 5
"""With fewer rows that have a label, or that do not, no threshold is chosen between the two."""

_TINY = 1e-30  # as in operating.tempered, whose inverse this is
_TEMPERATURES = (0.1, 10.0)
_GOLDEN = (np.sqrt(5) - 1) / 2


def fit_operating(
    loaded: LoadedModel,
    validation: Dataset,
    device: str = "auto",
    *,
    normal: str | None = None,
    say: Callable[[str], None] = _log.warning,
) -> LoadedModel:
    """Return the model with a temperature and with one operating point per label, from rows of the split "val".

    `normal` names the label of an anomaly model's normal rows; the default is what its training record says. What
    cannot be fitted is left out, and `say` is told why. Raises `CallError` for rows of another split.
    """
    others = sorted(set(validation.splits.tolist()) - {"val"})
    if others:
        raise CallError(f"operating points are fitted on validation rows only, and some rows are {', '.join(others)}")
    task = loaded.model.task
    bare = replace(loaded, calibration=None, thresholds=())
    if task not in (Task.CLASSIFICATION, Task.ANOMALY):
        return bare
    if len(validation) < LEAST_ROWS:
        say(f"no operating points: {len(validation)} validation rows, and {LEAST_ROWS} are wanted")
        return bare
    answered = answer(Session(bare, device), validation)
    if len(answered) < LEAST_ROWS:
        say(f"no operating points: the model refused {len(answered.refused)} of {len(validation)} validation rows")
        return bare
    if task is Task.ANOMALY:
        threshold = _anomaly(answered, validation, normal or normal_of(loaded), say)
        return replace(bare, thresholds=() if threshold is None else (threshold,))
    truth = targets_in_order(validation, loaded.labels)[answered.rows]
    return _classification(bare, answered, truth, say)


def _classification(
    loaded: LoadedModel, answered: Answered, truth: NDArray[Any], say: Callable[[str], None]
) -> LoadedModel:
    exclusive = loaded.labels.exclusive
    if exclusive:
        known = truth >= 0
        present: Floats = np.eye(len(answered.names))[truth[known]]
    else:
        known = np.isfinite(truth).any(axis=1)
        present = truth[known].astype(np.float64)
    probabilities = answered.numbers[known]
    calibration = None
    temperature = fit_temperature(logits(probabilities, exclusive), present, exclusive)
    if temperature is None:
        low, high = _TEMPERATURES
        say(
            f"no calibration: no temperature from {low:g} to {high:g} is best, as when all validation rows "
            "have one label or all are answered rightly"
        )
    else:
        calibration = Calibration(temperature=temperature, split="val", rows=int(known.sum()))
        probabilities = tempered(probabilities, temperature, exclusive)
    thresholds = []
    for index, name in enumerate(answered.names):
        told = np.isfinite(present[:, index])
        positive = present[told, index] > 0
        here, others = int(positive.sum()), int((~positive).sum())
        point = youden(probabilities[told, index], positive, name)
        if here + others < LEAST_ROWS or min(here, others) < LEAST_OF_A_KIND:
            say(
                f"no operating point for {name}: {here} validation rows have it and {others} do not; wanted are "
                f"{LEAST_ROWS} rows, and {LEAST_OF_A_KIND} of either kind"
            )
        elif point is None:
            say(f"no operating point for {name}: its probability does not tell the rows that have it from the others")
        else:
            thresholds.append(point)
    return replace(loaded, calibration=calibration, thresholds=tuple(thresholds))


def _anomaly(
    answered: Answered, validation: Dataset, normal: str | None, say: Callable[[str], None]
) -> Threshold | None:
    scores, kind = answered.numbers[:, 0], "all"
    if normal is not None:
        anomalous = anomalous_rows(validation, normal)[answered.rows]
        others, usual = int(anomalous.sum()), int((~anomalous).sum())
        if min(others, usual) >= LEAST_OF_A_KIND:
            point = youden(scores, anomalous, ANOMALOUS)
            if point is None:
                say(f"no operating point: the score does not tell what is not {normal} from {normal} rows")
            return point
        if usual < LEAST_ROWS:
            say(
                f"no operating point: {usual} validation rows are {normal} and {others} are not; wanted are "
                f"{LEAST_OF_A_KIND} of either kind, or {LEAST_ROWS} that are {normal}"
            )
            return None
        if others:
            say(f"{others} validation rows are not {normal}, too few to choose a threshold by: {normal} rows alone do")
        scores, kind = scores[~anomalous], normal
    value = float(np.percentile(scores, 95))
    return Threshold(
        label=ANOMALOUS,
        value=value,
        how=f"95th percentile of {kind} rows",
        split="val",
        rows=len(scores),
        specificity=None if normal is None else float((scores < value).mean()),
    )


def youden(scores: Floats, positive: NDArray[np.bool_], label: str) -> Threshold | None:
    """Return the threshold with the largest sensitivity + specificity - 1 (Youden 1950).

    It stands midway between two scores, so that rounding moves no row across. Of equals the most sensitive is taken.
    None for one kind of rows, and where no threshold is better than chance.
    """
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return None
    values, place = np.unique(scores, return_inverse=True)
    here = np.bincount(place, weights=positive, minlength=len(values))
    there = np.bincount(place, weights=~positive, minlength=len(values))
    sensitivity = 1 - (np.cumsum(here) - here) / positives  # positive from this value on
    specificity = (np.cumsum(there) - there) / negatives
    both = np.round(sensitivity + specificity, 12)
    best = int(np.argmax(both))
    if both[best] <= 1:
        return None
    value = (values[best - 1] + values[best]) / 2  # not the first: to call every row positive is chance
    if not values[best - 1] < value:  # neighbours without a number between them
        value = values[best]
    return Threshold(
        label=label,
        value=float(value),
        how="youden",
        split="val",
        rows=len(scores),
        sensitivity=float(sensitivity[best]),
        specificity=float(specificity[best]),
    )


def fit_temperature(logits: Floats, present: Floats, exclusive: bool) -> float | None:
    """Return the temperature of least negative log-likelihood (Guo et al. 2017), by golden section on its logarithm.

    `logits` and `present` (0, 1, NaN where unknown) are [N, L]. None where there is no least: when every row is
    answered rightly the loss falls without end, with one kind of rows there is nothing to weigh, and a least at an end
    of the range is none.
    """
    if exclusive:
        right = (logits.argmax(axis=1) == present.argmax(axis=1)).all()
        single = (present.sum(axis=0) > 0).sum() < 2
    else:
        told = np.isfinite(present)
        right = ((logits > 0) == (present > 0))[told].all()
        single = len(np.unique(present[told])) < 2
    if right or single:
        return None
    low, high = np.log(_TEMPERATURES)
    a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    loss_a, loss_b = (_loss(logits / np.exp(x), present, exclusive) for x in (a, b))
    while high - low > 1e-6:
        if loss_a <= loss_b:
            high, b, loss_b = b, a, loss_a
            a = high - _GOLDEN * (high - low)
            loss_a = _loss(logits / np.exp(a), present, exclusive)
        else:
            low, a, loss_a = a, b, loss_b
            b = low + _GOLDEN * (high - low)
            loss_b = _loss(logits / np.exp(b), present, exclusive)
    found = float(np.exp((low + high) / 2))
    coldest, hottest = _TEMPERATURES
    return found if coldest * 1.001 < found < hottest / 1.001 else None


def _loss(logits: Floats, present: Floats, exclusive: bool) -> float:
    if exclusive:
        shifted = logits - logits.max(axis=1, keepdims=True)
        return float((np.log(np.exp(shifted).sum(axis=1)) - (shifted * present).sum(axis=1)).mean())
    told = np.isfinite(present)
    signed = np.where(present[told] > 0, logits[told], -logits[told])
    return float(np.logaddexp(0, -signed).mean())


def logits(probabilities: Floats, exclusive: bool) -> Floats:
    """Return the logits behind probabilities [N, L], up to a constant for each row of exclusive ones."""
    stated = np.log(np.maximum(probabilities, _TINY))
    return stated if exclusive else stated - np.log(np.maximum(1 - probabilities, _TINY))


def tempered(probabilities: Floats, temperature: float, exclusive: bool) -> Floats:
    """Return probabilities [N, L] with their logits divided by `temperature`, as `operating.tempered` does for one."""
    z = logits(probabilities, exclusive) / temperature
    if not exclusive:
        return np.exp(-np.logaddexp(0, -z))
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares
