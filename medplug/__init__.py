"""medplug: a medical image in, a model's answer out, in the source's own terms.

Names are loaded when they are first used, so that importing medplug imports neither torch nor pydicom.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .augmentation import Augmentation as Augmentation
    from .batching import batches as batches
    from .case import Case as Case
    from .case import CaseReference as CaseReference
    from .case import Image as Image
    from .case import Unit as Unit
    from .case import ValueMeaning as ValueMeaning
    from .errors import CallError as CallError
    from .errors import MedplugError as MedplugError
    from .errors import ModelFolderError as ModelFolderError
    from .errors import NodeError as NodeError
    from .errors import PluginError as PluginError
    from .errors import PreprocessingError as PreprocessingError
    from .errors import SourceError as SourceError
    from .errors import TrainingError as TrainingError
    from .errors import WriterError as WriterError
    from .evaluation import compare as compare
    from .evaluation import evaluate as evaluate
    from .hookspecs import hookimpl as hookimpl
    from .lesions import Lesions as Lesions
    from .lesions import plant as plant
    from .model import Batch as Batch
    from .model import Constraint as Constraint
    from .model import Generative as Generative
    from .model import InputContract as InputContract
    from .model import Labels as Labels
    from .model import Loop as Loop
    from .model import Model as Model
    from .model import ModelOptions as ModelOptions
    from .model import Recipe as Recipe
    from .model import Span as Span
    from .model import Survey as Survey
    from .model import Task as Task
    from .model import Trainable as Trainable
    from .planting import plant_set as plant_set
    from .planting_images import plant_images as plant_images
    from .preprocessing import Constant as Constant
    from .preprocessing import Crop as Crop
    from .preprocessing import Display as Display
    from .preprocessing import FitPercentiles as FitPercentiles
    from .preprocessing import Flip as Flip
    from .preprocessing import Full as Full
    from .preprocessing import Normalize as Normalize
    from .preprocessing import Orient as Orient
    from .preprocessing import Pad as Pad
    from .preprocessing import Percentiles as Percentiles
    from .preprocessing import Preprocessing as Preprocessing
    from .preprocessing import Range as Range
    from .preprocessing import Resize as Resize
    from .preprocessing import Rotate as Rotate
    from .preprocessing import Spacing as Spacing
    from .preprocessing import Stored as Stored
    from .preprocessing import Window as Window
    from .preprocessing import Windows as Windows
    from .result import Anomaly as Anomaly
    from .result import Classification as Classification
    from .result import Explanation as Explanation
    from .result import Generated as Generated
    from .result import Prediction as Prediction
    from .result import Refused as Refused
    from .result import Regression as Regression
    from .result import Result as Result
    from .result import Segmentation as Segmentation
    from .result import Skipped as Skipped
    from .running import run as run
    from .selection import Selection as Selection
    from .session import Session as Session
    from .session import load as load
    from .sources import from_array as from_array
    from .training import train as train

_HOME = {
    "augmentation": "Augmentation",
    "batching": "batches",
    "case": "Case CaseReference Image Unit ValueMeaning",
    "errors": "CallError MedplugError ModelFolderError NodeError PluginError PreprocessingError SourceError TrainingError WriterError",
    "evaluation": "compare evaluate",
    "hookspecs": "hookimpl",
    "lesions": "Lesions plant",
    "model": "Batch Constraint Generative InputContract Labels Loop Model ModelOptions Recipe Span Survey Task Trainable",
    "planting": "plant_set",
    "planting_images": "plant_images",
    "preprocessing": "Constant Crop Display FitPercentiles Flip Full Normalize Orient Pad Percentiles Preprocessing Range Resize Rotate Spacing Stored Window Windows",
    "result": "Anomaly Classification Explanation Generated Prediction Refused Regression Result Segmentation Skipped",
    "running": "run",
    "selection": "Selection",
    "session": "Session load",
    "sources": "from_array",
    "training": "train",
}
_MODULE = {name: module for module, names in _HOME.items() for name in names.split()}


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
    return sorted([*_MODULE, "__version__"])
