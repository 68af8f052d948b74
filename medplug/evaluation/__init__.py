"""Evaluation: how a model does on rows that it was not trained on, with intervals; and what is fitted on such rows."""

from .comparison import compare
from .explanation_figures import Checked, check_explanations
from .main import FILE, dataset_of, evaluate, lies_at, store_metrics, to_metrics, write
from .operating_fit import fit_operating

__all__ = [
    "FILE",
    "Checked",
    "check_explanations",
    "compare",
    "dataset_of",
    "evaluate",
    "fit_operating",
    "lies_at",
    "store_metrics",
    "to_metrics",
    "write",
]
