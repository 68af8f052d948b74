"""Labelled data for training and evaluation: cases, targets, splits and patients."""

from .main import DataOptions, Dataset, load

__all__ = ["DataOptions", "Dataset", "load"]
