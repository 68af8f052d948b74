"""Models that answer what their pixels say, so that a test decides every answer and still goes the whole way."""

import dataclasses

import numpy as np
from torch import nn

import medplug
from medplug.case import Case, CaseReference, Image
from medplug.dataset import Dataset
from medplug.evaluation import evaluate
from medplug.model import Labels
from medplug.model_folder import Threshold, fresh
from medplug.session import Session

NAMES = ("a", "b", "c")


class _Told(medplug.Model):
    version = "1.0"

    def contract(self):
        return medplug.InputContract(modality=medplug.Constraint(("OT",)))

    def preprocessing(self):
        return medplug.Preprocessing(values=medplug.Stored())

    def build(self):
        return nn.Identity()

    def features(self, network, batch):
        return batch.image.flatten(1)


class ToldClass(_Told):
    """The first row of pixels are the probabilities of the labels."""

    name, task = "told-class", medplug.Task.CLASSIFICATION

    def decode(self, output, batch):
        return [
            medplug.Classification(
                probabilities=dict(zip(self.labels.names, row)),
                exclusive=self.labels.exclusive,
            )
            for row in output["output"][:, 0, 0].double().tolist()
        ]


class ToldScore(_Told):
    """The first pixel is the score; the image is its map."""

    name, task = "told-score", medplug.Task.ANOMALY

    def decode(self, output, batch):
        return [medplug.Anomaly(score=float(one[0, 0, 0]), map=one[0].numpy()) for one in output["output"]]


class ToldValue(_Told):
    """The first row of pixels are the values."""

    name, task = "told-value", medplug.Task.REGRESSION

    def decode(self, output, batch):
        return [
            medplug.Regression(values=dict(zip(self.labels.names, row)))
            for row in output["output"][:, 0, 0].double().tolist()
        ]


def image_of(pixels, modality=None):
    stored = np.asarray(pixels, np.float32)
    stored = stored[None] if stored.ndim == 2 else stored[None, None]
    return Image(stored.shape[1:], stored.dtype, lambda: stored, modality=modality)


def dataset_of(
    answers, targets, names, *, exclusive=True, split="test", patients=None, modality=None, sha256="abc", masks=None
):
    """A dataset whose row i makes a told model answer `answers[i]`. `split`, `modality`: one, or one for each row."""
    count = len(answers)
    splits = np.array([split] * count if isinstance(split, str) else split, dtype=np.str_)
    modalities = modality if isinstance(modality, list) else [modality] * count
    cases = tuple(
        Case(
            CaseReference(source=f"row {i}"),
            {"image": image_of(answers[i], modalities[i])},
            mask=None if masks is None or masks[i] is None else image_of(masks[i]),
        )
        for i in range(count)
    )
    targets = np.asarray(targets)
    return Dataset(
        cases=cases,
        labels=Labels(names=tuple(names), exclusive=exclusive),
        targets=targets.astype(np.int64) if targets.dtype.kind in "iu" and exclusive else targets.astype(np.float32),
        splits=splits,
        patients=None if patients is None else np.array(patients, dtype=np.str_),
        patient_column=None if patients is None else "patient",
        sha256=sha256,
    )


def point(label, value):
    """An operating point as validation would have left it."""
    return Threshold(label=label, value=value, how="youden", split="val", rows=50)


def three(count=120, seed=0):
    """Probabilities [count, 3] that are often right, and the truth."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 3, count)
    logits = generator.normal(size=(count, 3)) + 1.5 * np.eye(3)[truth]
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), truth


def classified(stated, truth, names=NAMES, *, thresholds=(), calibration=None, **options):
    """The evaluation of a classifier that answers `stated`."""
    loaded = fresh(ToldClass(labels=Labels(names=names)))
    loaded = dataclasses.replace(loaded, thresholds=thresholds, calibration=calibration)
    resamples = options.pop("resamples", 50)
    return evaluate(Session(loaded, "cpu"), dataset_of(stated, truth, names, **options), resamples=resamples)
