"""Generated images as DICOM that says it is synthetic: Secondary Capture Image Storage, PS3.3 A.8.1."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from ..model import Task
from ..model_folder import LoadedModel
from ..result import Generated, Result
from ..session import Answer
from .staging import Staging
from .synthetic import NOTICE, generated, slices
from .writer import Writer

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
        datasets = list(secondary_captures(answer.result, self.loaded))
        for number, dataset in enumerate(datasets, start=1):
            stream = io.BytesIO()
            dataset.save_as(stream, enforce_file_format=True)
            kind = f"slice-{number:04d}" if len(datasets) > 1 else ""
            self._files.put(self._files.file(self._count, kind), stream.getvalue())

    def close(self) -> None:
        """Publish the files."""
        self._files.publish()

    def discard(self) -> None:
        """Remove what was begun."""
        self._files.discard()


def _staging(folder: Path) -> Staging:
    return Staging(folder, "dicom", ".dcm")


def secondary_captures(result: Result, loaded: LoadedModel) -> Iterator[FileDataset]:
    """Yield one instance for each slice of a generated image. UIDs follow from the weights, the seed and the pixels."""
    made = generated(result)
    planes = slices(made.image)
    for number, pixels in enumerate(planes, start=1):
        yield _instance(made, pixels, number if len(planes) > 1 else made.index + 1, loaded)


def _instance(made: Generated, pixels: NDArray[np.uint8], number: int, loaded: LoadedModel) -> FileDataset:
    model = f"{loaded.model.name} {loaded.model.version}"
    origin = [model, loaded.reference.weights_sha256 if loaded.reference else "fresh", str(made.seed)]
    volume = made.image.ndim == 4
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = _uid("instance", *origin, str(made.index), str(number), _digest(pixels))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    # Patient and General Study, PS3.3 C.7.1.1 and C.7.2.1: it is said wherever a patient is looked for
    ds.PatientName, ds.PatientID = "SYNTHETIC^NOT A PATIENT", "SYNTHETIC"
    ds.PatientBirthDate = ds.PatientSex = ""
    ds.PatientComments = NOTICE
    ds.StudyInstanceUID = _uid("study", *origin)
    ds.SeriesInstanceUID = _uid("series", *origin, *([str(made.index)] if volume else []))
    ds.StudyDate, ds.StudyTime = _DATE, _TIME
    ds.SeriesDate, ds.SeriesTime = _DATE, _TIME
    ds.ContentDate, ds.ContentTime = _DATE, _TIME
    ds.AccessionNumber = ds.ReferringPhysicianName = ""
    ds.StudyID = "SYNTHETIC"
    ds.StudyDescription = ds.SeriesDescription = ds.ImageComments = NOTICE
    ds.DerivationDescription = f"{NOTICE}: made by {_text(model, 64)} from seed {made.seed}, image {made.index}"
    ds.SeriesNumber = made.index + 1 if volume else 1
    ds.InstanceNumber = number
    # SC Equipment and SC Image, PS3.3 C.8.6.1 and C.8.6.2: SYN is a synthetic image
    ds.ConversionType, ds.Modality = "SYN", "OT"
    ds.Manufacturer, ds.ManufacturerModelName = "medplug", _text(model, 64)
    ds.SecondaryCaptureDeviceManufacturer = "medplug"
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.PatientOrientation = ds.Laterality = ""
    ds.BurnedInAnnotation, ds.LossyImageCompression = "NO", "00"
    _pixels(ds, pixels)
    return ds


def _pixels(ds: FileDataset, pixels: NDArray[np.uint8]) -> None:
    """Image Pixel module, PS3.3 C.7.6.3."""
    colour = pixels.ndim == 3
    ds.SamplesPerPixel, ds.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
    if colour:
        ds.PlanarConfiguration = 0
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    content = pixels.tobytes()
    ds.PixelData = content + b"\0" * (len(content) % 2)
    ds["PixelData"].VR = "OB"


def _digest(pixels: NDArray[np.uint8]) -> str:
    """Another machine may round the network differently, and two images must never share a UID."""
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def _uid(*origin: str) -> UID:
    return generate_uid(entropy_srcs=["medplug generated", *origin])


def _text(text: str, length: int) -> str:
    """A Long String, PS3.5 6.2: no backslash, no control character."""
    return "".join(c if c.isprintable() and c != "\\" else " " for c in text)[:length]
