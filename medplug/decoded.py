"""What a plugin's `decode` gave: checked before it counts as an answer, and carried back to the source's pixels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np
from msgspec.structs import replace

from .errors import PluginError
from .geometry import Grid
from .model import Model, Task
from .plan import restore
from .result import Anomaly, Classification, Generated, Prediction, Refused, Regression, Segmentation

NOT_FINITE = Refused(code="not-finite", reason="the model's answer is not a finite number")
_KINDS: dict[Task, type[Prediction]] = {
    Task.CLASSIFICATION: Classification,
    Task.ANOMALY: Anomaly,
    Task.SEGMENTATION: Segmentation,
    Task.REGRESSION: Regression,
    Task.GENERATION: Generated,
}


def checked(prediction: Prediction, model: Model) -> Prediction | Refused:
    """Return the prediction with plain Python floats, or a refusal where a number is none.

    `PluginError` for a prediction that does not fit the model's task or its labels.
    """
    expected = _KINDS[model.task]
    if not isinstance(prediction, expected):
        raise PluginError(
            f"{model.name} gave a {type(prediction).__name__}; its task {model.task.value} wants a {expected.__name__}"
        )
    changes: dict[str, Any] = {}
    if isinstance(prediction, Classification):
        unknown = set(prediction.probabilities) - set(model.labels.names or prediction.probabilities)
        if unknown or not prediction.probabilities:
            raise PluginError(
                f"{model.name} gave probabilities of {sorted(prediction.probabilities)}, not of its labels"
            )
        changes["probabilities"] = _floats(prediction.probabilities)
    elif isinstance(prediction, Regression):
        changes["values"] = _floats(prediction.values)
    elif isinstance(prediction, Anomaly):
        changes["score"] = float(prediction.score)
    elif isinstance(prediction, Segmentation) and prediction.probabilities is not None:
        classes = 1 + len(prediction.labels)
        if len(prediction.probabilities) != classes or classes > 256:
            raise PluginError(
                f"{model.name} gave {len(prediction.probabilities)} maps for the background and "
                f"{len(prediction.labels)} labels"
            )
    made = replace(prediction, **changes)
    return made if _finite(getattr(made, name) for name in made.__struct_fields__) else NOT_FINITE


def _floats(values: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items()}


def _finite(values: Iterable[Any]) -> bool:
    return all(
        _finite(value.values())
        if isinstance(value, dict)
        else not isinstance(value, float | np.ndarray) or bool(np.isfinite(value).all())
        for value in values
    )


def to_source(prediction: Prediction, grid: Grid, keep_probabilities: bool = False) -> Prediction:
    """Carry what a prediction says by place from the model's grid back to the source's pixels.

    A segmentation's probabilities are large: they become its mask and, only if they are wanted, stay beside it.
    """
    if isinstance(prediction, Anomaly):
        parts = {
            name: restore(grid, array[None])[0]
            for name, array in (("map", prediction.map), ("reconstruction", prediction.reconstruction))
            if array is not None
        }
        return cast(Prediction, replace(prediction, **parts)) if parts else prediction
    if isinstance(prediction, Segmentation) and prediction.probabilities is not None:
        # Linear first, then the largest, since labels must not be averaged. Outside the frame all are 0: background.
        carried = restore(grid, prediction.probabilities)
        mask = carried.argmax(axis=0).astype(np.uint8)
        return replace(prediction, mask=mask, probabilities=carried if keep_probabilities else None)
    return prediction
