"""Generated images as DICOM that says it is synthetic: Secondary Capture Image Storage, PS3.3 A.8.1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..model import Task
from ..model_folder import LoadedModel
from ..result import Generated, Result
from ..session import Answer
from .dicom_identity import encoded, named_by_content, uid
from .dicom_text import long_string
from .secondary_capture import new_capture
from .staging import Staging
from .synthetic import NOTICE, generated, slices
from .writer import Writer

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

_DATE, _TIME = "20250101", "120000"  # fixed: no patient was ever examined, and equal runs give equal bytes


class GeneratedDicom(Writer):
    """Writes `dicom/<number>.dcm`, one a slice of a volume. All images of one model and seed are one study."""

    name: ClassVar[str] = "dicom"

    @classmethod
    def suits(cls, task: Task) -> bool:
        """Generated images alone."""
        return task is Task.GENERATION

    @classmethod
    def clear(cls, folder: Path) -> None:
        """Remove the instances."""
        _staging(folder).clear()

    def __init__(self, folder: Path, loaded: LoadedModel) -> None:
        super().__init__(folder, loaded)
        self._files = _staging(self.folder)
        self._count = 0

    def write(self, answer: Answer) -> None:
        """Write one image."""
        self._count += 1
        if answer.result.refused:
            return
        datasets = list(secondary_captures(answer.result, self.loaded))
        for number, dataset in enumerate(datasets, start=1):
            kind = f"slice-{number:04d}" if len(datasets) > 1 else ""
            self._files.put(self._files.file(self._count, kind), encoded(dataset))

    def close(self) -> None:
        """Publish the files."""
        self._files.publish()

    def discard(self) -> None:
        """Remove what was begun."""
        self._files.discard()


def _staging(folder: Path) -> Staging:
    return Staging(folder, "dicom", ".dcm")


def secondary_captures(result: Result, loaded: LoadedModel) -> Iterator[FileDataset]:
    """Yield one instance for each slice of a generated image. UIDs follow from the content."""
    made = generated(result)
    planes = slices(made.image)
    for number, pixels in enumerate(planes, start=1):
        yield _instance(made, pixels, number if len(planes) > 1 else made.index + 1, loaded)


def _instance(made: Generated, pixels: NDArray[np.uint8], number: int, loaded: LoadedModel) -> FileDataset:
    model = f"{loaded.model.name} {loaded.model.version}"
    origin = [model, loaded.reference.weights_sha256 if loaded.reference else "fresh", str(made.seed)]
    volume = made.image.ndim == 4
    ds = new_capture(pixels, "SYN")  # a synthetic image
    # Patient and General Study, PS3.3 C.7.1.1 and C.7.2.1: it is said wherever a patient is looked for
    ds.PatientName, ds.PatientID = "SYNTHETIC^NOT A PATIENT", "SYNTHETIC"
    ds.PatientBirthDate = ds.PatientSex = ""
    ds.PatientComments = NOTICE
    ds.StudyInstanceUID = uid("generated study", *origin)
    ds.SeriesInstanceUID = uid("generated series", *origin, *([str(made.index)] if volume else []))
    ds.StudyDate, ds.StudyTime = _DATE, _TIME
    ds.SeriesDate, ds.SeriesTime = _DATE, _TIME
    ds.ContentDate, ds.ContentTime = _DATE, _TIME
    ds.AccessionNumber = ds.ReferringPhysicianName = ""
    ds.StudyID = "SYNTHETIC"
    ds.StudyDescription = ds.SeriesDescription = ds.ImageComments = NOTICE
    shows = f", to show {long_string(made.label)}" if made.label else ""
    ds.DerivationDescription = (
        f"{NOTICE}: made by {long_string(model)} from seed {made.seed}, image {made.index}{shows}"
    )
    ds.SeriesNumber = made.index + 1 if volume else 1
    ds.InstanceNumber = number
    ds.ManufacturerModelName = long_string(model)
    ds.Laterality = ""
    named_by_content(ds, "generated instance")
    return ds
