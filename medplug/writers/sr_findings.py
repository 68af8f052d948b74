"""The measurement groups of a report, TID 1410, 1411 and 1501: one for each label, score or number of an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..operating import ANOMALOUS
from ..result import Anomaly, Classification, Regression, Result, Segmentation
from .dicom_codes import concept, finding, private
from .dicom_object import Origin
from .dicom_seg import SOP_CLASS, WrittenSegmentation, tracking_id

_ALL_FRAMES = 8
"""A group names the frames that it is about up to so many; beyond, the image library does."""


@dataclass(frozen=True, eq=False)
class Findings:
    """An answer's findings, with the segmentation that outlines them, if one is written."""

    origin: Origin
    result: Result
    segmentation: WrittenSegmentation | None = None

    def groups(self) -> list[Any]:
        """Return the groups, in the order of the model's labels, and how unlike the model's training rows it is."""
        return [*self._answered(), *self._novelty()]

    def _answered(self) -> list[Any]:
        prediction = self.result.prediction
        if isinstance(prediction, Classification):
            return [self._probability(prediction, label) for label in prediction.probabilities]
        if isinstance(prediction, Anomaly):
            return [self._anomaly(prediction)]
        if isinstance(prediction, Regression):
            return [self._number(name, value) for name, value in prediction.values.items()]
        assert isinstance(prediction, Segmentation)
        return [self._outlined(prediction, number) for number in range(1, len(prediction.labels) + 1)]

    def _novelty(self) -> list[Any]:
        novelty = self.result.novelty
        if novelty is None:
            return []
        unit = concept("1", "UCUM", "no units")
        measured = [
            self._measurement(private(name, "novelty"), value, unit)
            for name, value in (("novelty", novelty.score), ("novelty limit", novelty.limit))
        ]
        kind = private("unlike what the model was trained on", "novelty")
        return [self._group("novelty", kind, measured, novelty.novel)]

    def _probability(self, prediction: Classification, label: str) -> Any:
        from pydicom.sr.codedict import codes

        value = prediction.probabilities[label]
        measured = self._measurement(codes.DCM.Probability, value, concept("1", "UCUM", "no units"))
        thresholds = {one.label for one in self.origin.loaded.thresholds}
        known = prediction.positive is not None and label in thresholds
        verdict = label in (prediction.positive or ()) if known else None
        return self._group(label, finding(self.origin.loaded.labels, label), [measured], verdict)

    def _anomaly(self, prediction: Anomaly) -> Any:
        name = private("anomaly score", "score")
        measured = self._measurement(name, prediction.score, concept("1", "UCUM", "no units"))
        return self._group("anomaly", private(ANOMALOUS, "label"), [measured], prediction.anomalous)

    def _number(self, name: str, value: float) -> Any:
        from highdicom import sr

        measured = self._measurement(private(name, "value"), value, concept("1", "UCUM", "no units"))
        return sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=self._tracking(name),
            algorithm_id=self._algorithm(),
            measurements=[measured],
            source_images=self._source_images(),
        )

    def _outlined(self, prediction: Segmentation, number: int) -> Any:
        """A region: as a segment where it is stored as one, with its size in mm, or in pixels without a spacing."""
        label = prediction.labels[number - 1]
        kind = finding(self.origin.loaded.labels, label)
        covered = int((prediction.mask == number).sum()) if prediction.mask is not None else 0
        measured = [self._extent(covered)]
        frames = self.segmentation.frames.get(label, ()) if self.segmentation is not None else ()
        if not frames:
            return self._group(label, kind, measured, covered > 0)
        return self._segment(label, kind, measured, number, frames)

    def _extent(self, covered: int) -> Any:
        from pydicom.sr.codedict import codes

        image = self.origin.source.image
        volume = len(image.shape) == 3
        if image.spacing is None:
            name = private("number of pixels", "count")
            return self._measurement(name, covered, concept("{pixels}", "UCUM", "pixels"))
        size = covered * float(np.prod(image.spacing))
        if volume:
            return self._measurement(codes.SCT.Volume, size, concept("mm3", "UCUM", "mm3"))
        return self._measurement(codes.SCT.Area, size, concept("mm2", "UCUM", "mm2"))

    def _segment(self, label: str, kind: Any, measured: list[Any], number: int, frames: tuple[int, ...]) -> Any:
        from highdicom import sr

        assert self.segmentation is not None
        common = {
            "tracking_identifier": self._tracking(label),
            "finding_type": kind,
            "algorithm_id": self._algorithm(),
            "measurements": measured,
        }
        stored = self.segmentation.sop_instance_uid
        if len(self.origin.source.image.shape) == 3:
            series = sr.SourceSeriesForSegmentation(self.origin.source.series_uid)
            segment = sr.ReferencedSegment(SOP_CLASS, stored, number, source_series=series)
            return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **common)
        [frame] = self.origin.source.frames
        numbers = None if frame.frame is None else [frame.frame]
        image = sr.SourceImageForSegmentation(frame.sop_class_uid, frame.sop_instance_uid, numbers)
        one = sr.ReferencedSegmentationFrame(SOP_CLASS, stored, frames[0], number, image)
        # The frame, or the segment, and never both (PS3.3 C.18.4): this content item is about a frame.
        del one[0].ReferencedSOPSequence[0].ReferencedSegmentNumber
        return sr.PlanarROIMeasurementsAndQualitativeEvaluations(referenced_segment=one, **common)

    def _group(self, label: str, kind: Any, measured: list[Any], verdict: bool | None) -> Any:
        from highdicom import sr
        from pydicom.sr.codedict import codes

        undecided = concept("373068000", "SCT", "Undetermined")
        said = {True: codes.SCT.Present, False: codes.SCT.Absent, None: undecided}[verdict]
        return sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=self._tracking(label),
            # Who lists the findings of a study must not meet one that was not found, or not decided.
            finding_type=kind if verdict else None,
            algorithm_id=self._algorithm(),
            measurements=measured,
            qualitative_evaluations=[sr.QualitativeEvaluation(kind, said)],
            source_images=self._source_images(),
        )

    def _source_images(self) -> list[Any] | None:
        from highdicom.sr import SourceImageForMeasurementGroup

        instances = self.origin.source.instances
        if len(instances) > _ALL_FRAMES:
            return None
        return [
            SourceImageForMeasurementGroup(sop_class, uid, frames or None)
            for uid, (sop_class, frames) in instances.items()
        ]

    def _tracking(self, label: str) -> Any:
        from highdicom.sr import TrackingIdentifier

        return TrackingIdentifier(uid=self.origin.tracking_uid(label), identifier=tracking_id(self.origin, label))

    def _algorithm(self) -> Any:
        from highdicom.sr import AlgorithmIdentification

        model = self.origin.loaded.model
        return AlgorithmIdentification(
            name=str(model.name),
            version=str(model.version),
            parameters=[f"{name}: {value}" for name, value in self.origin.facts.items()],
        )

    def _measurement(self, name: Any, value: float, unit: Any) -> Any:
        from highdicom.sr import Measurement

        return Measurement(name=name, value=value, unit=unit)
