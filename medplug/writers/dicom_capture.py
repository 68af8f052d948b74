"""Secondary Capture, PS3.3 A.8.1: a picture of the result, for viewers that show nothing else of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import MedplugError, WriterError
from ..model import Task
from ..operating import ANOMALOUS
from ..result import Anomaly, Classification, Regression, Result, Segmentation
from ..session import Answer
from .captures import Line, Overlay, capture, grey_planes
from .dicom_identity import finished
from .dicom_map import map_of
from .dicom_object import Origin, settle
from .dicom_source import source_of
from .dicom_text import long_string
from .dicom_writer import DicomWriter
from .pictures import label_colour, middle_slice
from .secondary_capture import new_capture

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileDataset

SLICES = 5
"""How many slices of a volume are captured at most: those that hold most of what was found."""
_LINES = 8
_PROCESSING_SOURCE = ("121322", "DCM", "Source image for image processing operation")


class DicomCapture(DicomWriter):
    """Writes `dicom-capture/<number>.dcm`, or `<number>-slice-<slice>.dcm` for the slices of a volume."""

    name: ClassVar[str] = "dicom-capture"
    tasks = frozenset(Task) - {Task.GENERATION}
    needs: ClassVar[str | None] = None  # pydicom is enough

    def objects(self, answer: Answer) -> Iterator[tuple[str, bytes]]:
        """The one capture of an image, or those of a volume."""
        assert answer.case is not None
        image, result = answer.case.image, answer.result
        origin = Origin(self.loaded, source_of(answer.case), self.name)
        chosen = telling_slices(result, image.shape[0]) if len(image.shape) == 3 else [0]
        try:
            planes = grey_planes(image, chosen)
        except MedplugError as error:
            source = result.case.source
            raise WriterError(f"{source}: {str(error).removeprefix(f'{source}: ')}") from error
        lines = [*_unlike(result), *_lines(result, self.loaded.thresholds, image.spacing)]
        for index, plane in zip(chosen, planes):
            title = f"medplug {origin.model}"
            if len(image.shape) == 3:
                title += f", slice {index + 1} of {image.shape[0]}"
            made = self._instance(origin, capture(plane, _overlay(result, index), title, lines), index)
            yield f"slice-{index + 1:04d}" if len(image.shape) == 3 else "", finished(made, self.record)

    def _instance(self, origin: Origin, pixels: NDArray[np.uint8], index: int) -> FileDataset:
        ds = new_capture(pixels, "WSD")
        described = origin.described
        ds.SeriesInstanceUID, ds.SeriesNumber = described["series_instance_uid"], described["series_number"]
        ds.SeriesDescription, ds.SoftwareVersions = described["series_description"], described["software_versions"]
        ds.ManufacturerModelName = described["manufacturer_model_name"]
        ds.DeviceSerialNumber = described["device_serial_number"]
        ds.InstanceNumber = origin.source.frames[index].number or index + 1
        ds.DerivationDescription = long_string(
            f"Result of {origin.model}, weights {origin.weights}, drawn over the image", 1024
        )
        ds.SourceImageSequence = [_source_image(origin, index)]
        for keyword, value in origin.source.lossy.items():
            setattr(ds, keyword, value)
        # What the source shows is shown here, too: a name in its pixels, say.
        if origin.source.burned_in is None:
            del ds.BurnedInAnnotation
        else:
            ds.BurnedInAnnotation = origin.source.burned_in
        settle(ds, origin)
        return ds


def telling_slices(result: Result, slices: int) -> list[int]:
    """Return the slices that hold most of what was found, a tenth of the volume apart; the middle where nothing was."""
    found = map_of(result)
    if isinstance(result.prediction, Segmentation) and result.prediction.mask is not None:
        amount = np.count_nonzero(result.prediction.mask, axis=(1, 2)).astype(float)
    elif found is not None:
        amount = np.maximum(np.nan_to_num(found.values), 0).reshape(slices, -1).max(axis=1).astype(float)
    else:
        amount = np.zeros(slices)
    chosen: list[int] = []
    apart = max(1, slices // 10)
    for index in np.argsort(-amount, kind="stable").tolist():
        if len(chosen) < SLICES and amount[index] > 0 and all(abs(index - other) >= apart for other in chosen):
            chosen.append(index)
    return sorted(chosen) or [middle_slice(slices)]


def _overlay(result: Result, index: int) -> Overlay:
    prediction, found = result.prediction, map_of(result)
    if isinstance(prediction, Segmentation) and prediction.mask is not None:
        return Overlay(mask=prediction.mask[index] if prediction.mask.ndim == 3 else prediction.mask)
    if found is not None:
        values = found.values[index] if found.values.ndim == 3 else found.values
        return Overlay(map=values, low=found.low, high=found.high, caption=found.name)
    return Overlay()


def _unlike(result: Result) -> list[Line]:
    """The mark of an image that is unlike what the model was trained on: who sees the answer sees it first."""
    novelty = result.novelty
    if novelty is None or not novelty.novel:
        return []
    return [
        Line(
            f"unlike what the model was trained on: novelty {novelty.score:.3g}, limit {novelty.limit:.3g}", warns=True
        )
    ]


def _lines(result: Result, thresholds: Sequence[object], spacing: tuple[float, ...] | None) -> list[Line]:
    """The answer in words, the most probable first; what finds no room is counted."""
    limits = {one.label: one.value for one in thresholds}  # type: ignore[attr-defined]
    prediction = result.prediction
    lines: list[Line] = []
    if isinstance(prediction, Classification):
        if prediction.abstained:
            lines.append(Line("abstained: not sure enough"))
        for label, value in sorted(prediction.probabilities.items(), key=lambda pair: -pair[1]):
            reached = " (at its threshold)" if label in (prediction.positive or ()) else ""
            lines.append(Line(f"{label} {value:.1%}{reached}", bar=value, mark=limits.get(label)))
    elif isinstance(prediction, Anomaly):
        limit = f", threshold {limits[ANOMALOUS]:.4g}" if ANOMALOUS in limits else ""
        verdict = {True: "anomalous: ", False: "not anomalous: ", None: ""}[prediction.anomalous]
        lines.append(Line(f"{verdict}score {prediction.score:.4g}{limit}"))
    elif isinstance(prediction, Regression):
        lines = [Line(f"{name} {value:.4g}") for name, value in prediction.values.items()]
    elif isinstance(prediction, Segmentation) and prediction.mask is not None:
        for number, label in enumerate(prediction.labels, start=1):
            covered = int((prediction.mask == number).sum())
            lines.append(Line(f"{label}: {_extent(covered, spacing)}", colour=label_colour(number - 1)))
    if len(lines) > _LINES:
        lines = [*lines[: _LINES - 1], Line(f"and {len(lines) - _LINES + 1} more")]
    return lines


def _extent(covered: int, spacing: tuple[float, ...] | None) -> str:
    if not covered:
        return "nothing outlined"
    if spacing is None:
        return f"{covered} pixels"
    size = covered * float(np.prod(spacing))
    return f"{size / 100:.3g} cm2" if len(spacing) == 2 else f"{size / 1000:.3g} ml"


def _source_image(origin: Origin, index: int) -> Dataset:
    """General Reference module, PS3.3 C.12.4: the frame that was drawn over."""
    from pydicom.dataset import Dataset

    frame = origin.source.frames[index]
    item, purpose = Dataset(), Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = frame.sop_class_uid, frame.sop_instance_uid
    if frame.frame is not None:
        item.ReferencedFrameNumber = frame.frame
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = _PROCESSING_SOURCE
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item
