"""The demo's data set: synthetic patients on four synthetic scanners, as DICOM files and a manifest."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

from medplug.demo.phantom import FINDINGS, Anatomy, Radiograph, Technique, render

NOTICE = "SYNTHETIC - NOT A PATIENT"
STUDY_DATE = "20250101"
MAGNIFICATION = {"PA": 1.06, "AP": 1.18}  # the detector sees the chest larger than it is
SPLITS = (("train", 0.65), ("val", 0.80), ("test", 1.0))  # cumulative shares of each label's patients


@dataclass(frozen=True)
class Scanner:
    """A make of X-ray machine: how it exposes, and how it stores what a person is to see.

    Black is stored as `black` and white as `white`; stored * `slope` + `intercept` is the modality value.
    """

    name: str
    modality: str
    view: str
    bits: int
    black: int
    white: int
    technique: Technique
    slope: float = 1.0
    intercept: float = 0.0
    compressed: bool = False

    @property
    def photometric(self) -> str:
        """MONOCHROME1 where low stored values are meant to be white (PS3.3 C.7.6.3.1.2)."""
        return "MONOCHROME2" if self.white > self.black else "MONOCHROME1"

    def store(self, image: NDArray[np.float32]) -> NDArray[np.uint16]:
        """Stored values of an image that runs from 0 (black) to 1 (white)."""
        return np.rint(self.black + image.astype(np.float64) * (self.white - self.black)).astype(np.uint16)


SCANNERS = (
    Scanner("CR portable", "CR", "AP", 10, 1023, 0, Technique((384, 320), 36.0, 0.011, 0.5, 1.5, 0.8)),
    Scanner("DX wall stand", "DX", "PA", 12, 300, 3700, Technique((400, 344), 35.0, 0.007, 0.8, 1.65, 0.3)),
    Scanner(
        "CR cassette", "CR", "PA", 14, 1500, 15000, Technique((376, 336), 35.5, 0.010, 0.6, 1.55, 0.6), 0.25, -300.0
    ),
    Scanner("DX mobile", "DX", "AP", 12, 0, 4095, Technique((368, 352), 37.0, 0.009, 1.0, 1.6, 0.2), compressed=True),
)


@dataclass(frozen=True)
class Exposure:
    """One row of the data set; its pixels are drawn when asked for, and always come out the same."""

    number: int
    seed: int
    label: str
    patient: int
    split: str
    scanner: Scanner
    anatomy: Anatomy

    @property
    def file(self) -> str:
        """The path below the data set's folder."""
        return f"images/{self.number:04d}.dcm"

    @property
    def patient_id(self) -> str:
        """The DICOM PatientID."""
        return f"SYNTHETIC-{self.patient:03d}"

    def render(self) -> Radiograph:
        """Draw the radiograph, its lesion mask and its lung mask."""
        rng = np.random.default_rng([self.seed, 1, self.number])
        return render(rng, self.label, self.anatomy, self.scanner.technique)

    def dataset(self) -> FileDataset:
        """The whole DICOM instance."""
        return _instance(self, self.scanner.store(self.render().image))


def exposures(patients: int = 90, seed: int = 0) -> list[Exposure]:
    """Plan a data set: labels balanced, splits stratified by label, one label, split and scanner to a patient."""
    if patients < 3 * len(FINDINGS):
        raise ValueError(f"{patients} patients cannot fill 3 splits of {len(FINDINGS)} labels: give at least 9")
    rng = np.random.default_rng([seed, 0])
    labels = [FINDINGS[i % len(FINDINGS)] for i in range(patients)]
    rng.shuffle(labels)
    taken = dict.fromkeys(FINDINGS, 0)
    turn = {label: int(rng.integers(len(SCANNERS))) for label in FINDINGS}
    planned: list[Exposure] = []
    for patient, label in enumerate(labels, 1):
        rank, count = taken[label], labels.count(label)
        taken[label] += 1
        split = next(name for name, share in SPLITS if rank < max(1, round(share * count)) or name == "test")
        scanner = SCANNERS[(rank + turn[label]) % len(SCANNERS)]
        anatomy = Anatomy.sample(rng)
        for _ in range(int(rng.choice([1, 2, 3], p=[0.15, 0.25, 0.6]))):
            planned.append(Exposure(len(planned) + 1, seed, label, patient, split, scanner, anatomy))
    return planned


def write_dataset(folder: Path, patients: int = 90, seed: int = 0) -> Path:
    """Write `images/*.dcm` and `manifest.csv` (file, label, patient, split, scanner); return the manifest's path.

    The same seed gives the same bytes.
    """
    folder = Path(folder)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    planned = exposures(patients, seed)
    for exposure in planned:
        exposure.dataset().save_as(folder / exposure.file, enforce_file_format=True)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["file", "label", "patient", "split", "scanner"])
    table.writerows([e.file, e.label, e.patient_id, e.split, e.scanner.name] for e in planned)
    manifest = folder / "manifest.csv"
    manifest.write_text(text.getvalue(), encoding="utf-8")
    return manifest


def _instance(exposure: Exposure, stored: NDArray[np.uint16]) -> FileDataset:
    """Patient to SOP Common, as the CR (PS3.3 A.2) and DX (PS3.3 A.26) image IODs ask."""
    scanner, anatomy = exposure.scanner, exposure.anatomy
    meta = FileMetaDataset()
    is_dx = scanner.modality == "DX"
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation if is_dx else ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = _uid(exposure, "instance", exposure.number)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.PatientName = f"SYNTHETIC^PHANTOM {exposure.patient:03d}"
    ds.PatientID = exposure.patient_id
    ds.PatientBirthDate = f"{int(STUDY_DATE[:4]) - anatomy.age}0101"
    ds.PatientSex, ds.PatientAge = anatomy.sex, f"{anatomy.age:03d}Y"
    ds.PatientOrientation = ["L", "F"]
    ds.StudyInstanceUID = _uid(exposure, "study", exposure.patient)
    ds.SeriesInstanceUID = _uid(exposure, "series", exposure.number)
    ds.StudyID, ds.SeriesNumber, ds.InstanceNumber = str(exposure.patient), exposure.number, 1
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = ds.AcquisitionDate = STUDY_DATE
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = ds.AcquisitionTime = "120000"
    ds.AccessionNumber = ds.ReferringPhysicianName = ""
    ds.StudyDescription = ds.SeriesDescription = ds.ImageComments = ds.DerivationDescription = NOTICE
    ds.Manufacturer, ds.ManufacturerModelName = "medplug phantom", scanner.name
    ds.DeviceSerialNumber, ds.SoftwareVersions = "SYNTHETIC", "1"
    ds.Modality, ds.BodyPartExamined, ds.ViewPosition = scanner.modality, "CHEST", scanner.view
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.BurnedInAnnotation, ds.LossyImageCompression = "NO", "00"
    _pixels(ds, scanner, stored)
    if is_dx:
        _dx(ds, scanner)
    elif scanner.slope != 1:
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = scanner.slope, scanner.intercept, "US"
    if scanner.compressed:
        ds.compress(RLELossless, encoding_plugin="pylibjpeg", generate_instance_uid=False)
    return ds


def _pixels(ds: Dataset, scanner: Scanner, stored: NDArray[np.uint16]) -> None:
    """Image Pixel, spacing and VOI LUT modules; the window (PS3.3 C.11.2.1.2.1) runs exactly from black to white."""
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, scanner.photometric
    ds.Rows, ds.Columns = stored.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, scanner.bits, scanner.bits - 1, 0
    ds.PixelData = stored.astype("<u2").tobytes()
    patient = 10 * scanner.technique.field / scanner.technique.matrix[1]
    magnified = MAGNIFICATION[scanner.view]
    ds.ImagerPixelSpacing = [f"{patient * magnified:.5f}"] * 2
    if not scanner.compressed:  # one scanner leaves the size at the patient unsaid, as many do
        ds.PixelSpacing = [f"{patient:.5f}"] * 2
        ds.PixelSpacingCalibrationType = "GEOMETRY"
        ds.PixelSpacingCalibrationDescription = f"divided by a magnification of {magnified:.2f}"
    low, high = sorted(value * scanner.slope + scanner.intercept for value in (scanner.black, scanner.white))
    ds.WindowCenter, ds.WindowWidth = f"{(low + high) / 2 + 0.5:g}", f"{high - low + 1:g}"


def _dx(ds: Dataset, scanner: Scanner) -> None:
    """What the DX modules ask for beyond CR (PS3.3 C.8.11)."""
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.PresentationLUTShape = "IDENTITY"
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    ds.DetectorType, ds.PositionerType = "SCINTILLATOR", "NONE"
    ds.EstimatedRadiographicMagnificationFactor = f"{MAGNIFICATION[scanner.view]:.2f}"
    ds.ImageLaterality = "U"
    ds.AcquisitionContextSequence = Sequence()
    ds.AnatomicRegionSequence = Sequence([_code("816094009", "Chest")])
    view = ("272479007", "postero-anterior") if scanner.view == "PA" else ("399348003", "antero-posterior")
    ds.ViewCodeSequence = Sequence([_code(*view)])
    ds.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence()


def _code(value: str, meaning: str) -> Dataset:
    """One item of a sequence of SNOMED CT codes."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def _uid(exposure: Exposure, level: str, number: int) -> UID:
    """A UID that depends on nothing but the data set's seed and the place in it."""
    return generate_uid(entropy_srcs=["medplug phantom", str(exposure.seed), level, str(number)])
