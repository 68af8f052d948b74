"""Segmentation, PS3.3 A.51: what the model outlined, on the source's own grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..model import Task
from ..result import Segmentation
from ..session import Answer
from .dicom_codes import concept, finding, scheme_of_private_codes
from .dicom_identity import finished
from .dicom_object import Origin, settle, stand_ins
from .dicom_source import source_of
from .dicom_text import long_string
from .dicom_writer import DicomWriter, NothingToWrite
from .pictures import label_colour

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SOP_CLASS = "1.2.840.10008.5.1.4.1.1.66.4"
# A model's label says what a segment is, not of what kind: the category of CID 7150 that claims the least.
_CATEGORY = ("309825002", "SCT", "Spatial and Relational Concept")


@dataclass(frozen=True, eq=False)
class WrittenSegmentation:
    """A segmentation as it is stored: `frames` lists, by label, the frames that hold it, counted from 1."""

    content: bytes
    sop_instance_uid: str
    series_instance_uid: str
    frames: dict[str, tuple[int, ...]]


class DicomSeg(DicomWriter):
    """Writes `dicom-seg/<number>.dcm`: a bit a pixel, a segment a label. An image with nothing outlined gets none."""

    name: ClassVar[str] = "dicom-seg"
    tasks = frozenset({Task.SEGMENTATION})
    _last: tuple[Answer, WrittenSegmentation] | None = None

    def objects(self, answer: Answer) -> Iterator[tuple[str, bytes]]:
        """The one segmentation."""
        yield "", self.written(answer).content

    def written(self, answer: Answer) -> WrittenSegmentation:
        """Return the segmentation of an answer, that others refer to; `NothingToWrite` where there is none."""
        if self._last is None or self._last[0] is not answer:
            self._last = (answer, self._made(answer))
        return self._last[1]

    def pixels(self, prediction: Segmentation) -> NDArray[Any]:
        """What highdicom makes frames of: the mask."""
        if prediction.mask is None or not prediction.mask.any():
            raise NothingToWrite("nothing is outlined")
        return prediction.mask

    fractional: ClassVar[bool] = False

    def _made(self, answer: Answer) -> WrittenSegmentation:
        from highdicom.seg import Segmentation as SegmentationObject

        assert answer.case is not None
        prediction = answer.result.prediction
        assert isinstance(prediction, Segmentation)
        pixels = self.pixels(prediction)
        origin = Origin(self.loaded, source_of(answer.case), self.name)
        made = SegmentationObject(
            source_images=stand_ins(origin.source),
            pixel_array=pixels if len(origin.source.image.shape) == 3 else pixels[None],
            segmentation_type="FRACTIONAL" if self.fractional else "BINARY",
            segment_descriptions=_descriptions(origin, prediction.labels),
            content_label="AI_PROBABILITY" if self.fractional else "AI_SEGMENTATION",
            content_description=origin.series_description,
            coding_schemes=scheme_of_private_codes(),
            **origin.described,
        )
        settle(made, origin)
        content = finished(made, self.record)
        return WrittenSegmentation(
            content, str(made.SOPInstanceUID), origin.series_uid, _frames(made, prediction.labels)
        )


class DicomSegFractional(DicomSeg):
    """Writes `dicom-seg-fractional/<number>.dcm`: the probability of each label, in 255 steps."""

    name: ClassVar[str] = "dicom-seg-fractional"
    wants_probabilities: ClassVar[bool] = True
    fractional: ClassVar[bool] = True

    def pixels(self, prediction: Segmentation) -> NDArray[Any]:
        """The probabilities [(slices,) rows, columns, labels], without the background's."""
        if prediction.probabilities is None:
            raise NothingToWrite("the model gives a mask alone, no probabilities")
        return np.clip(np.moveaxis(prediction.probabilities[1:], 0, -1), 0, 1)


def _descriptions(origin: Origin, labels: tuple[str, ...]) -> list[Any]:
    """Segment Description macro, PS3.3 C.8.20.4."""
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription
    from pydicom.sr.codedict import codes

    loaded = origin.loaded
    algorithm = AlgorithmIdentificationSequence(
        name=long_string(loaded.model.name),
        family=codes.DCM.ArtificialIntelligence,
        version=long_string(loaded.model.version),
        source="medplug",
        parameters=origin.facts,
    )
    return [
        SegmentDescription(
            segment_number=number,
            segment_label=long_string(label) or f"label {number}",
            segmented_property_category=concept(*_CATEGORY),
            segmented_property_type=finding(loaded.labels, label),
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
            tracking_uid=origin.tracking_uid(label),
            tracking_id=tracking_id(origin, label),
            display_color=CIELabColor.from_rgb(*label_colour(number - 1)),
        )
        for number, label in enumerate(labels, start=1)
    ]


def tracking_id(origin: Origin, label: str) -> str:
    """What a person reads in place of a Tracking UID."""
    return long_string(f"{origin.loaded.model.name}: {label}")


def _frames(made: Dataset, labels: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    found: dict[str, list[int]] = {label: [] for label in labels}
    shared = made.SharedFunctionalGroupsSequence[0]
    for number, item in enumerate(made.PerFrameFunctionalGroupsSequence, start=1):
        holder = item if "SegmentIdentificationSequence" in item else shared
        segment = int(holder.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        found[labels[segment - 1]].append(number)
    return {label: tuple(numbers) for label, numbers in found.items()}
