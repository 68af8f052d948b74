"""Building an object through highdicom: it gets stand-ins for the source's frames, and is told at the end whose.

A stand-in is one plane at its place, of nobody: so single frames, series and multi-frame instances of every age are one
case; nothing of the patient passes through a library that logs; and highdicom copies nothing that was not checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..model_folder import LoadedModel
from .body_parts import UNPAIRED
from .dicom_identity import NOWHEN, uid
from .dicom_source import DicomSource, SourceFrame
from .dicom_text import long_string

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_SERIES = {
    "dicom-seg": (91, "segmentation"),
    "dicom-seg-fractional": (92, "probabilities"),
    "dicom-map": (93, "map"),
    "dicom-sr": (94, "report"),
    "dicom-capture": (95, "picture"),
}
"""By kind of object, the last two digits of its Series Number and the word in its Series Description."""
_CT = "1.2.840.10008.5.1.4.1.1.2"


@dataclass(frozen=True, eq=False)
class Origin:
    """Which model answered, by what preprocessing, and for which writer: what a series of results is named by."""

    loaded: LoadedModel
    source: DicomSource
    kind: str

    @property
    def model(self) -> str:
        """Name and version of the model."""
        return f"{self.loaded.model.name} {self.loaded.model.version}"

    @property
    def weights(self) -> str:
        """SHA-256 of the weights, or "none stored"."""
        return self.loaded.reference.weights_sha256 if self.loaded.reference else "none stored"

    @cached_property
    def facts(self) -> dict[str, str]:
        """What else determines the answer, by name."""
        from medplug import __version__

        return {
            "weights SHA-256": self.weights,
            "preprocessing": self.loaded.preprocessing.plan_id,
            "medplug": __version__,
        }

    def uid(self, *parts: str) -> str:
        """Return the UID of something that this model found in these frames."""
        facts = [text for pair in self.facts.items() for text in pair]
        return uid(self.model, *facts, self.source.study_uid, self.source.series_uid, *parts)

    @property
    def series_uid(self) -> str:
        """One series for each series that was analysed, model, and kind of object."""
        return self.uid("series", self.kind)

    def tracking_uid(self, label: str) -> str:
        """The Tracking UID of a finding: the same in every object that speaks of it."""
        return self.uid("finding", self.source.key, label)

    @property
    def series_number(self) -> int:
        """The source's Series Number with two digits added."""
        return self.source.series_number * 100 + _SERIES[self.kind][0]

    @property
    def described(self) -> dict[str, Any]:
        """What highdicom's constructors take about series, instance and equipment."""
        return {
            "series_instance_uid": self.series_uid,
            "series_number": self.series_number,
            "sop_instance_uid": uid("to be named"),
            "instance_number": self.source.instance_number,
            "manufacturer": "medplug",
            "manufacturer_model_name": long_string(self.model),
            "software_versions": f"medplug {self.facts['medplug']}",
            "device_serial_number": self.weights[:64],
            "series_description": self.series_description,
            "specific_character_set": "ISO_IR 192",
            "content_date": NOWHEN[0],
            "content_time": NOWHEN[1],
            "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        }

    @property
    def series_description(self) -> str:
        """For the list of series in a viewer."""
        return long_string(f"AI {_SERIES[self.kind][1]}, not for diagnosis: {self.model}")


def stand_ins(source: DicomSource) -> list[Dataset]:
    """Return a single-frame image for each slice, without pixels, patient or study, named by its number alone."""
    return [_stand_in(source, index) for index in range(source.slices)]


def _stand_in(source: DicomSource, index: int) -> Dataset:
    from pydicom.dataset import Dataset
    from pydicom.valuerep import DSfloat

    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = _CT, _placeholder(index)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = source.study_uid, source.series_uid
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"):
        setattr(ds, keyword, "")
    ds.StudyDate, ds.StudyTime = NOWHEN
    ds.Modality = source.image.modality or "OT"
    ds.Rows, ds.Columns = source.image.shape[-2:]
    ds.FrameOfReferenceUID = source.frame_of_reference or uid("nowhere")
    ds.PositionReferenceIndicator = source.position_reference
    affine, spacing = source.to_patient, _plane_spacing(source)
    directions = [*affine[:3, 2] / np.linalg.norm(affine[:3, 2]), *affine[:3, 1] / np.linalg.norm(affine[:3, 1])]
    ds.ImageOrientationPatient = [DSfloat(float(v), auto_format=True) for v in directions]
    ds.ImagePositionPatient = [DSfloat(float(v), auto_format=True) for v in affine[:3] @ (index, 0, 0, 1)]
    ds.PixelSpacing = [DSfloat(float(v), auto_format=True) for v in spacing]
    thickness = source.slice_thickness
    if len(source.image.shape) == 3 and source.image.spacing is not None:
        ds.SpacingBetweenSlices = DSfloat(float(source.image.spacing[0]), auto_format=True)
        thickness = thickness or source.image.spacing[0]
    # A plane that states no thickness is given that of its pixels: the standard wants one above 0 (PS3.3 C.7.6.16.2.1).
    ds.SliceThickness = DSfloat(float(thickness or spacing[0]), auto_format=True)
    for keyword, value in source.lossy.items():
        setattr(ds, keyword, value)
    return ds


def _placeholder(index: int) -> str:
    return f"2.25.9{index + 1}"


def _plane_spacing(source: DicomSource) -> tuple[float, float]:
    """In mm in the patient: a spacing at the detector is none, and what is measured with it would be wrong."""
    spacing = source.image.spacing
    return (spacing[-2], spacing[-1]) if spacing else (1.0, 1.0)


def settle(dataset: Dataset, origin: Origin) -> None:
    """Make a new object one of its study: real references, the patient, and no place where there is none."""
    _refer(dataset, origin.source)
    _place_in_study(dataset, origin)
    for item in dataset.get("ContributingEquipmentSequence", ()):
        item.pop("ContributionDateTime", None)
    if origin.source.frame_of_reference is None:
        _displace(dataset, origin)
    _name_dimensions(dataset)


def _name_dimensions(dataset: Dataset) -> None:
    """One UID for each list of dimensions (PS3.3 C.7.6.17.2), whatever object has it."""
    indices = dataset.get("DimensionIndexSequence", ())
    named = uid("dimensions", *(str(int(index.DimensionIndexPointer)) for index in indices))
    for item in (*dataset.get("DimensionOrganizationSequence", ()), *indices):
        item.DimensionOrganizationUID = named


def _refer(dataset: Dataset, source: DicomSource) -> None:
    """Replace every reference to a stand-in by one to its frame."""
    frames = {_placeholder(index): frame for index, frame in enumerate(source.frames)}
    for holder, keyword in _references(dataset):
        if any(str(one.get("ReferencedSOPInstanceUID")) in frames for one in holder.get(keyword, ())):
            setattr(holder, keyword, _referring(holder[keyword].value, frames))


def _references(dataset: Dataset) -> Iterator[tuple[Dataset, str]]:
    """Where highdicom refers to source images: the object, its Common Instance Reference, and each of its frames."""
    yield dataset, "SourceImageSequence"
    for series in dataset.get("ReferencedSeriesSequence", ()):
        yield series, "ReferencedInstanceSequence"
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for frame in dataset.get(keyword, ()):
            for derivation in frame.get("DerivationImageSequence", ()):
                yield derivation, "SourceImageSequence"


def _referring(items: Any, frames: dict[str, SourceFrame]) -> list[Dataset]:
    """The same references to real instances, one for each instance, with the frames of a multi-frame one."""
    found: dict[str, tuple[Dataset, list[int]]] = {}
    for shared in items:
        item = deepcopy(shared)  # highdicom puts one item into several sequences
        frame = frames[str(item.ReferencedSOPInstanceUID)]
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = frame.sop_class_uid, frame.sop_instance_uid
        _, numbers = found.setdefault(frame.sop_instance_uid, (item, []))
        if frame.frame is not None:
            numbers.append(frame.frame)
    for item, numbers in found.values():
        if numbers:
            item.ReferencedFrameNumber = sorted(numbers) if len(numbers) > 1 else numbers[0]
    return [item for item, _ in found.values()]


def _place_in_study(dataset: Dataset, origin: Origin) -> None:
    """Patient, General Study and what General Series and General Image take from the source (PS3.3 C.7)."""
    source = origin.source
    for keyword, value in source.module.items():
        setattr(dataset, keyword, value)
    dataset.StudyInstanceUID = source.study_uid
    if source.body_part is not None and origin.kind != "dicom-sr":  # General Series, and not SR Document Series
        dataset.BodyPartExamined = source.body_part
    if origin.kind in ("dicom-map", "dicom-capture"):
        if source.image_laterality is not None:
            dataset.ImageLaterality = source.image_laterality
        elif source.body_part not in UNPAIRED:
            dataset.Laterality = source.laterality or ""


def _displace(dataset: Dataset, origin: Origin) -> None:
    """Take out the place that the stand-ins had: the frames are told apart by their number (PS3.3 C.7.6.17).

    A parametric map must have a frame of reference (PS3.3 A.75.3): it gets one that holds within the picture alone.
    """
    groups = dataset.get("SharedFunctionalGroupsSequence")
    if groups and not origin.source.image.spacing:
        groups[0].PixelMeasuresSequence[0].clear()
    if origin.kind == "dicom-map":
        dataset.FrameOfReferenceUID = origin.uid("frame of reference of a picture", origin.source.key)
        dataset.PositionReferenceIndicator = ""
        return
    for keyword in ("FrameOfReferenceUID", "PositionReferenceIndicator", "DimensionOrganizationType"):
        dataset.pop(keyword, None)
    if not groups:
        return
    dataset.PatientOrientation = list(origin.source.patient_orientation)
    for keyword in (
        "PlaneOrientationSequence",
        *(() if groups[0].PixelMeasuresSequence[0] else ("PixelMeasuresSequence",)),
    ):
        groups[0].pop(keyword, None)
    for index in dataset.DimensionIndexSequence:
        if index.DimensionIndexPointer == 0x00200032:  # Image Position (Patient)
            index.DimensionIndexPointer, index.FunctionalGroupPointer = 0x00209057, 0x00209111
            index.DimensionDescriptionLabel = "In-Stack Position Number"
    for item in dataset.PerFrameFunctionalGroupsSequence:
        position = item.pop("PlanePositionSequence").value[0].ImagePositionPatient
        item.FrameContentSequence[0].StackID = "1"
        item.FrameContentSequence[0].InStackPositionNumber = 1 - round(float(position[2]))
