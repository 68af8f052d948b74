"""What a model folder adds to a raw prediction: its calibration and its operating points."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec.structs import replace

from .model_folder import Calibration, Threshold
from .result import Anomaly, Classification, Prediction

ANOMALOUS = "anomalous"
"""The name under which an anomaly model's threshold stands."""


def operate(prediction: Prediction, calibration: Calibration | None, thresholds: Sequence[Threshold]) -> Prediction:
    """Return the prediction with calibrated probabilities, and with what reaches its threshold."""
    values = {threshold.label: threshold.value for threshold in thresholds}
    if isinstance(prediction, Classification):
        probabilities = prediction.probabilities
        if calibration is not None:
            probabilities = tempered(probabilities, calibration.temperature, prediction.exclusive)
        label = max(probabilities, key=lambda name: probabilities[name]) if prediction.exclusive else None
        positive = tuple(name for name, p in probabilities.items() if name in values and p >= values[name])
        return replace(prediction, probabilities=probabilities, label=label, positive=positive if values else None)
    if isinstance(prediction, Anomaly) and ANOMALOUS in values:
        return replace(prediction, anomalous=prediction.score >= values[ANOMALOUS])
    return prediction


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
