"""medplug: a medical image in, a model's answer out, in the source's own terms.

Names are loaded when they are first used, so that importing medplug imports neither torch nor pydicom.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .augmentation import Augmentation
    from .case import Case, CaseReference, Image, Unit
    from .errors import (
        CallError,
        MedplugError,
        ModelFolderError,
        PluginError,
        PreprocessingError,
        SourceError,
        TrainingError,
    )
    from .hookspecs import hookimpl
    from .model import (
        Batch,
        Constraint,
        Generative,
        InputContract,
        Labels,
        Loop,
        Model,
        ModelOptions,
        Recipe,
        Span,
        Survey,
        Task,
        Trainable,
    )
    from .preprocessing import (
        Constant,
        Crop,
        Display,
        FitPercentiles,
        Flip,
        Full,
        Normalize,
        Orient,
        Pad,
        Percentiles,
        Preprocessing,
        Range,
        Resize,
        Rotate,
        Spacing,
        Stored,
        Window,
        Windows,
    )
    from .result import (
        Anomaly,
        Classification,
        Explanation,
        Generated,
        Prediction,
        Refused,
        Regression,
        Result,
        Segmentation,
        Skipped,
    )

_HOME = {
    "augmentation": ("Augmentation",),
    "case": ("Case", "CaseReference", "Image", "Unit"),
    "errors": (
        "CallError",
        "MedplugError",
        "ModelFolderError",
        "PluginError",
        "PreprocessingError",
        "SourceError",
        "TrainingError",
    ),
    "hookspecs": ("hookimpl",),
    "model": (
        "Batch",
        "Constraint",
        "Generative",
        "InputContract",
        "Labels",
        "Loop",
        "Model",
        "ModelOptions",
        "Recipe",
        "Span",
        "Survey",
        "Task",
        "Trainable",
    ),
    "preprocessing": (
        "Constant",
        "Crop",
        "Display",
        "FitPercentiles",
        "Flip",
        "Full",
        "Normalize",
        "Orient",
        "Pad",
        "Percentiles",
        "Preprocessing",
        "Range",
        "Resize",
        "Rotate",
        "Spacing",
        "Stored",
        "Window",
        "Windows",
    ),
    "result": (
        "Anomaly",
        "Classification",
        "Explanation",
        "Generated",
        "Prediction",
        "Refused",
        "Regression",
        "Result",
        "Segmentation",
        "Skipped",
    ),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted([*_MODULE, "__version__"])


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("medplug")
    if name not in _MODULE:
        raise AttributeError(f"module 'medplug' has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULE[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
