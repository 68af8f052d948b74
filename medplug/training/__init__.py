"""Training: from labelled data to a model folder."""

from .main import Trained, TrainingProgress, train

__all__ = ["Trained", "TrainingProgress", "train"]
