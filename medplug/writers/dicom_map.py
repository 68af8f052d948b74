"""Parametric Map, PS3.3 A.75: an anomaly's score or an explanation by place, as float values on the source's grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import WriterError
from ..model import Task
from ..result import Anomaly, Result
from ..session import Answer
from .dicom_codes import concept, private, scheme_of_private_codes
from .dicom_identity import finished
from .dicom_object import Origin, settle, stand_ins
from .dicom_source import source_of
from .dicom_text import long_string
from .dicom_writer import DicomWriter, NothingToWrite


@dataclass(frozen=True, eq=False)
class PlaceMap:
    """Values by place, what they are called, and the ends of their scale for display."""

    values: NDArray[np.float32]
    name: str
    low: float
    high: float


def map_of(result: Result) -> PlaceMap | None:
    """Return the map that a result holds, an anomaly's or an explanation's, with the ends of its scale."""
    prediction = result.prediction
    if isinstance(prediction, Anomaly) and prediction.map is not None:
        low, high = float(prediction.map.min(initial=0.0)), float(prediction.map.max(initial=0.0))
        return PlaceMap(prediction.map, "anomaly score by place", low, high)
    if result.explanation is not None:
        made = result.explanation
        return PlaceMap(made.map, f"what spoke for {made.label} ({made.method})", 0.0, 1.0)
    return None


class DicomMap(DicomWriter):
    """Writes `dicom-map/<number>.dcm`, for an anomaly's map and, with `--explain`, of where a classifier looked."""

    name: ClassVar[str] = "dicom-map"
    tasks = frozenset({Task.ANOMALY, Task.CLASSIFICATION})
    needs_explanation: ClassVar[frozenset[Task]] = frozenset({Task.CLASSIFICATION})

    def objects(self, answer: Answer) -> Iterator[tuple[str, bytes]]:
        """The one map."""
        from highdicom import VOILUTTransformation
        from highdicom.pm import ParametricMap, RealWorldValueMapping

        assert answer.case is not None
        found = map_of(answer.result)
        if found is None:
            anomaly = isinstance(answer.result.prediction, Anomaly)
            raise NothingToWrite(
                "the model gives no anomaly map" if anomaly else "there is no map without an explanation: add --explain"
            )
        if not np.isfinite(found.values).all():
            raise WriterError(f"{answer.result.case.source}: its map holds what is no finite number")
        origin = Origin(self.loaded, source_of(answer.case), self.name)
        width = max(found.high - found.low, float(np.finfo(np.float32).tiny) * 1e6)
        made = ParametricMap(
            source_images=stand_ins(origin.source),
            pixel_array=found.values if found.values.ndim == 3 else found.values[None],
            contains_recognizable_visual_features=False,
            real_world_value_mappings=[
                RealWorldValueMapping(
                    lut_label=long_string(found.name, 16),
                    lut_explanation=long_string(found.name),
                    unit=concept("1", "UCUM", "no units"),
                    value_range=(float(found.values.min()), float(found.values.max())),
                    slope=1.0,
                    intercept=0.0,
                    quantity_definition=private(found.name, "map"),
                )
            ],
            voi_lut_transformations=[
                VOILUTTransformation((found.low + found.high) / 2, width, voi_lut_function="LINEAR_EXACT")
            ],
            content_label="AI_MAP",
            content_description=long_string(found.name),
            coding_schemes=scheme_of_private_codes(),
            **origin.described,
        )
        settle(made, origin)
        for keyword, value in origin.source.lossy.items():
            setattr(made, keyword, value)
        yield "", finished(made, self.record)
