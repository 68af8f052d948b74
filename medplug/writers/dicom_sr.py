"""Comprehensive 3D SR, PS3.3 A.35.13, with template TID 1500: what the model found, measured, and in which frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ..model import Task
from ..session import Answer
from .dicom_codes import scheme_of_private_codes
from .dicom_identity import finished
from .dicom_object import Origin, settle
from .dicom_seg import SOP_CLASS as SEG_CLASS
from .dicom_seg import DicomSeg, WrittenSegmentation
from .dicom_source import source_of
from .dicom_text import long_string
from .dicom_writer import DicomWriter, NothingToWrite
from .sr_findings import Findings
from .writer import Writer

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_ANY_IMAGE = "1.2.840.10008.5.1.4.1.1.7"


class DicomSr(DicomWriter):
    """Writes `dicom-sr/<number>.dcm`; it refers to the `dicom-seg` of the same run, where that is written too."""

    name: ClassVar[str] = "dicom-sr"
    tasks = frozenset(Task) - {Task.GENERATION}
    _segmentations: DicomSeg | None = None

    def alongside(self, writers: Sequence[Writer]) -> None:
        """Find the writer of segmentations."""
        self._segmentations = next((one for one in writers if type(one) is DicomSeg), None)

    def objects(self, answer: Answer) -> Iterator[tuple[str, bytes]]:
        """The one report."""
        from highdicom.sr import Comprehensive3DSR

        assert answer.case is not None
        origin = Origin(self.loaded, source_of(answer.case), self.name)
        segmentation = self._segmentation(answer)
        findings = Findings(origin, answer.result, segmentation)
        made = Comprehensive3DSR(
            evidence=_evidence(origin, segmentation),
            content=_report(origin, findings),
            is_complete=True,
            is_final=False,
            coding_schemes=scheme_of_private_codes(),
            **origin.described,
        )
        _name_classes(made, origin, segmentation)
        settle(made, origin)
        yield "", finished(made, self.record)

    def _segmentation(self, answer: Answer) -> WrittenSegmentation | None:
        if self._segmentations is None:
            return None
        try:
            return self._segmentations.written(answer)
        except NothingToWrite:
            return None


def _report(origin: Origin, findings: Findings) -> Dataset:
    from highdicom.sr import (
        DeviceObserverIdentifyingAttributes,
        MeasurementReport,
        ObservationContext,
        ObserverContext,
    )
    from pydicom.sr.codedict import codes

    observer = DeviceObserverIdentifyingAttributes(
        uid=origin.uid("device"),
        name=origin.model,
        manufacturer_name="medplug",
        model_name=long_string(origin.model),
        serial_number=origin.weights,
    )
    report = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=ObserverContext(codes.DCM.Device, observer)),
        procedure_reported=codes.SCT.Imaging,
        imaging_measurements=findings.groups(),
        referenced_images=[library[0]] if (library := _library(origin)) else None,
    )
    item: Dataset = report[0]
    if library:
        _add_to_library(item, library[1:])
    return item


def _add_to_library(report: Dataset, others: Sequence[Dataset]) -> None:
    """List the other images beside the first, whose descriptors hold for all: highdicom repeats them, at a price."""
    from highdicom.sr import CodedConcept, ImageContentItem
    from pydicom.sr.codedict import codes

    [library] = [one for one in report.ContentSequence if one.ConceptNameCodeSequence[0] == codes.DCM.ImageLibrary]
    group = library.ContentSequence[0].ContentSequence
    name = CodedConcept("260753009", "SCT", "Source")
    group.extend(
        ImageContentItem(name, ds.SOPClassUID, ds.SOPInstanceUID, relationship_type="CONTAINS") for ds in others
    )


def _evidence(origin: Origin, segmentation: WrittenSegmentation | None) -> list[Dataset]:
    """Every instance that was analysed, and the segmentation: as stand-ins of nobody, whose class is named later."""
    source = origin.source
    made = [_referred(origin, uid, source.series_uid) for uid in source.instances]
    if segmentation is not None:
        made.append(_referred(origin, segmentation.sop_instance_uid, segmentation.series_instance_uid))
    return made


def _referred(origin: Origin, sop_instance_uid: str, series_uid: str) -> Dataset:
    from pydicom.dataset import Dataset

    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = _ANY_IMAGE, sop_instance_uid
    ds.StudyInstanceUID, ds.SeriesInstanceUID = origin.source.study_uid, series_uid
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"):
        setattr(ds, keyword, "")
    ds.StudyDate = ds.StudyTime = ""
    # No modality of its own: the library's entries say what all images have, and the images the rest.
    ds.Modality = "OT"
    ds.Rows, ds.Columns = origin.source.image.shape[-2:]
    if origin.source.frame_of_reference is not None:
        ds.FrameOfReferenceUID = origin.source.frame_of_reference
    return ds


def _library(origin: Origin) -> list[Any]:
    """The images that were analysed, for TID 1600; none where their class is none that the template knows."""
    from highdicom.sr.templates import _get_coded_modality

    found = []
    for uid, (sop_class, _) in origin.source.instances.items():
        entry = _referred(origin, uid, origin.source.series_uid)
        entry.SOPClassUID = sop_class
        try:
            _get_coded_modality(sop_class)
        except ValueError:
            return []
        found.append(entry)
    return found


def _name_classes(made: Dataset, origin: Origin, segmentation: WrittenSegmentation | None) -> None:
    classes = {uid: sop_class for uid, (sop_class, _) in origin.source.instances.items()}
    if segmentation is not None:
        classes[segmentation.sop_instance_uid] = SEG_CLASS
    for study in made.CurrentRequestedProcedureEvidenceSequence:
        for series in study.ReferencedSeriesSequence:
            for item in series.ReferencedSOPSequence:
                item.ReferencedSOPClassUID = classes[item.ReferencedSOPInstanceUID]
