"""Temperature and operating points, fitted on validation rows and on no others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..dataset import Dataset
from ..errors import CallError
from ..model import NO_LABELS, Task
from ..model_folder import Calibration, LoadedModel, Threshold
from ..operating import ANOMALOUS
from ..session import Session
from .answered import Answered, answer, normal_of, targets_in_order
from .coverage import checked_coverage, confidences, fit_abstention
from .operating_points import AIMS, LEAST_OF_A_KIND, LEAST_ROWS, YOUDEN, Aim, choose, with_intervals
from .questions import Question, questions

Floats = NDArray[np.float64]

_log = logging.getLogger(__name__)

_TINY = 1e-30  # as in operating.tempered, whose inverse this is
_TEMPERATURES = (0.1, 10.0)
_GOLDEN = (np.sqrt(5) - 1) / 2


def fit_operating(
    loaded: LoadedModel,
    validation: Dataset,
    device: str = "auto",
    *,
    normal: str | None = None,
    aim: Aim = YOUDEN,
    coverage: float | None = None,
    say: Callable[[str], None] = _log.warning,
) -> LoadedModel:
    """Return the model with a temperature and with its operating points, from rows of the split "val".

    Every aim of `AIMS` is fitted, and `aim` too; its points are in force, and Youden's where it has none. A `coverage`
    adds an abstention, not in force. `normal` names the label of an anomaly model's normal rows; the default is what
    its training record says. What cannot be fitted is left out, and `say` is told why. Raises `CallError` for rows of
    another split.
    """
    if coverage is not None:
        checked_coverage(coverage)
    only_validation(validation)
    task = loaded.model.task
    bare = replace(loaded, calibration=None, thresholds=(), operating_points=(), abstention=None)
    if task not in (Task.CLASSIFICATION, Task.ANOMALY):
        if aim != YOUDEN or coverage is not None:
            say(f"no operating points: a model for {task.value} decides nothing that a threshold could move")
        return bare
    if len(validation) < LEAST_ROWS:
        say(f"no operating points: {len(validation)} validation rows, and {LEAST_ROWS} are wanted")
        return bare
    answered = answer(Session(bare, device), validation)
    if len(answered) < LEAST_ROWS:
        say(f"no operating points: the model refused {len(answered.refused)} of {len(validation)} validation rows")
        return bare
    if task is Task.ANOMALY:
        if coverage is not None:
            say("no abstention: an anomaly's score does not say how sure it is")
        points = _anomaly(answered, validation, normal or normal_of(loaded), aim, say)
        return replace(bare, operating_points=points, thresholds=in_force(points, aim))
    return _classification(bare, answered, validation, aim, coverage, say)


def only_validation(rows: Dataset) -> None:
    """Raise `CallError` for rows that are not all validation rows: no others may choose an operating point."""
    others = sorted(set(rows.splits.tolist()) - {"val"})
    if others:
        raise CallError(f"operating points are fitted on validation rows only, and some rows are {', '.join(others)}")


def in_force(points: Sequence[Threshold], aim: Aim) -> tuple[Threshold, ...]:
    """Return for each label the point of an aim; where it has none, the first that it has."""
    chosen: dict[str, Threshold] = {}
    for point in points:
        if point.label not in chosen or point.how == aim.how:
            chosen[point.label] = point
    return tuple(chosen.values())


def _classification(
    loaded: LoadedModel,
    answered: Answered,
    validation: Dataset,
    aim: Aim,
    coverage: float | None,
    say: Callable[[str], None],
) -> LoadedModel:
    exclusive = loaded.labels.exclusive
    truth = targets_in_order(validation, loaded.labels)[answered.rows]
    known = truth >= 0 if exclusive else np.isfinite(truth).any(axis=1)
    present: Floats = np.eye(len(answered.names))[truth[known]] if exclusive else truth[known].astype(np.float64)
    calibration = None
    temperature = fit_temperature(logits(answered.numbers[known], exclusive), present, exclusive)
    if temperature is None:
        low, high = _TEMPERATURES
        say(
            f"no calibration: no temperature from {low:g} to {high:g} is best, as when all validation rows "
            "have one label or all are answered rightly"
        )
    else:
        calibration = Calibration(temperature=temperature, split="val", rows=int(known.sum()))
        answered = replace(answered, numbers=tempered(answered.numbers, temperature, exclusive))
    points: list[Threshold] = []
    for question in questions(loaded.model.task, loaded.labels, answered, validation):
        points += _points(question, aim, say)
    abstention = None if coverage is None else fit_abstention(confidences(answered.numbers, exclusive), coverage)
    return replace(
        loaded,
        calibration=calibration,
        operating_points=tuple(points),
        thresholds=in_force(points, aim),
        abstention=abstention,
    )


def _points(question: Question, aim: Aim, say: Callable[[str], None]) -> list[Threshold]:
    """The operating points of one label; none where hardly any row has it, or where its score finds nothing."""
    balanced = choose(question, YOUDEN)
    if isinstance(balanced, str):
        say(f"no operating point for {question.label}: {balanced}")
        return []
    return [balanced, *_promises(question, AIMS, aim, say)]


def _promises(question: Question, aims: Iterable[Aim], aim: Aim, say: Callable[[str], None]) -> list[Threshold]:
    """The points of those aims that promise a rate, `aim` among them; `say` is told once what cannot be promised."""
    wanted = dict.fromkeys(one for one in (*aims, aim) if one.kind != "youden")
    found = {one: choose(question, one) for one in wanted}
    missing = [f"{one.how} ({why})" for one, why in found.items() if isinstance(why, str)]
    if missing:
        say(f"no operating point for {question.label} at {', '.join(missing)}")
    return [point for point in found.values() if isinstance(point, Threshold)]


def _anomaly(
    answered: Answered, validation: Dataset, normal: str | None, aim: Aim, say: Callable[[str], None]
) -> tuple[Threshold, ...]:
    scores, kind, usual_only = answered.numbers[:, 0], "all", None
    if normal is not None:
        [question] = questions(Task.ANOMALY, NO_LABELS, answered, validation, normal)
        others = int(question.positive.sum())
        usual = len(question.positive) - others
        if min(others, usual) >= LEAST_OF_A_KIND:
            point = choose(question, YOUDEN)
            if isinstance(point, str):
                say(f"no operating point: the score does not tell what is not {normal} from {normal} rows")
                return ()
            return (point, *_promises(question, AIMS, aim, say))
        if usual < LEAST_ROWS:
            say(
                f"no operating point: {usual} validation rows are {normal} and {others} are not; wanted are "
                f"{LEAST_OF_A_KIND} of either kind, or {LEAST_ROWS} that are {normal}"
            )
            return ()
        if others:
            say(f"{others} validation rows are not {normal}, too few to choose a threshold by: {normal} rows alone do")
        usual_only = question.of(~question.positive)
        scores, kind = usual_only.scores, normal
    value = float(np.percentile(scores, 95))
    percentile = Threshold(
        label=ANOMALOUS,
        value=value,
        how=f"95th percentile of {kind} rows",
        split="val",
        rows=len(scores),
        specificity=None if usual_only is None else float((scores < value).mean()),
    )
    if usual_only is None:
        if aim != YOUDEN:
            say(f"no operating point at {aim.how}: which rows are normal is not known")
        return (percentile,)
    specific = [one for one in AIMS if one.kind == "specificity"]
    return (with_intervals(percentile, usual_only), *_promises(usual_only, specific, aim, say))


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
