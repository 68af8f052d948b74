"""What a model folder adds to a raw prediction: its calibration, its operating points, and where it abstains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace as with_parts

from msgspec.structs import replace

from .errors import CallError
from .model_folder import Abstention, Calibration, LoadedModel, Threshold
from .result import Anomaly, Classification, Prediction

ANOMALOUS = "anomalous"
"""The name under which an anomaly model's threshold stands."""


def operate(
    prediction: Prediction,
    calibration: Calibration | None,
    thresholds: Sequence[Threshold],
    abstention: Abstention | None = None,
) -> Prediction:
    """Return the prediction with calibrated probabilities, and with what reaches its threshold.

    Where an abstention is in force, a classification that is less sure keeps its probabilities alone.
    """
    values = {threshold.label: threshold.value for threshold in thresholds}
    if isinstance(prediction, Classification):
        probabilities = prediction.probabilities
        if calibration is not None:
            probabilities = tempered(probabilities, calibration.temperature, prediction.exclusive)
        label = max(probabilities, key=lambda name: probabilities[name]) if prediction.exclusive else None
        positive = tuple(name for name, p in probabilities.items() if name in values and p >= values[name])
        decided = replace(prediction, probabilities=probabilities, label=label, positive=positive if values else None)
        return decided if abstention is None or not abstention.in_force else _abstaining(decided, abstention)
    if isinstance(prediction, Anomaly) and ANOMALOUS in values:
        return replace(prediction, anomalous=prediction.score >= values[ANOMALOUS])
    return prediction


def _abstaining(decided: Classification, abstention: Abstention) -> Classification:
    if confidence(list(decided.probabilities.values()), decided.exclusive) >= abstention.confidence:
        return replace(decided, abstained=False)
    return replace(decided, label=None, positive=None, abstained=True)


def confidence(probabilities: Sequence[float], exclusive: bool) -> float:
    """Return how sure an answer is: the highest probability, of independent labels that of the least sure answer."""
    return max(probabilities) if exclusive else min(max(p, 1 - p) for p in probabilities)


def abstaining(loaded: LoadedModel) -> LoadedModel:
    """Return the model with its abstention in force; `CallError` where none was fitted."""
    if loaded.abstention is None:
        raise CallError(
            f"{loaded.model.name} has no limit to abstain below: fit one, with `medplug train --coverage 0.9` or "
            "`medplug operate MODEL --coverage 0.9`"
        )
    return with_parts(loaded, abstention=replace(loaded.abstention, in_force=True))


def tempered(probabilities: dict[str, float], temperature: float, exclusive: bool) -> dict[str, float]:
    """Divide the logits behind probabilities by a temperature (Guo et al. 2017)."""
    tiny = 1e-30
    if not exclusive:
        logits = {name: math.log(max(p, tiny)) - math.log(max(1 - p, tiny)) for name, p in probabilities.items()}
        return {name: _logistic(logit / temperature) for name, logit in logits.items()}
    highest = max(
        tiny, *probabilities.values()
    )  # it becomes 1, so that the powers of a low temperature do not all vanish
    powers = {name: (max(p, tiny) / highest) ** (1 / temperature) for name, p in probabilities.items()}
    total = sum(powers.values())
    return {name: power / total for name, power in powers.items()}


def _logistic(logit: float) -> float:
    """1 / (1 + e^-x), without the overflow of e^-x far below 0."""
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    power = math.exp(logit)
    return power / (1 + power)
