"""One DICOM image: what its header says, checked."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..case import CaseReference, FrameSource, Image, ValueMeaning
from ..errors import SourceError
from .decoders import decoder_for
from .dicom_checks import (
    check_holds_pixels,
    check_length,
    palette_type,
    photometric_of,
    positive,
    stored_range,
    stored_type,
)
from .dicom_elements import FRAME_MARKS, MARK_KEYWORDS
from .dicom_geometry import Plane, plane_of, position_of
from .dicom_groups import Marks
from .dicom_header import Header, read_header
from .dicom_pixels import GreyPixels, PixelFile
from .dicom_values import code_string, stated, uid_of, value_meaning
from .refusal import MAX_IMAGE_BYTES, clean, reading

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


_MARK = re.compile(r"[^0-9A-Za-z./,]")


@dataclass(frozen=True, eq=False)
class Instance:
    """What the header of one image says.

    `planes`, `meanings` and `frame_marks` hold one entry a frame, or one for all. `marks` are the elements by which the
    volumes of one series differ, and `frame_marks` those by which enhanced frames do.
    """

    file: PixelFile
    series: str
    frame_of_reference: str | None
    reference: CaseReference
    patient: str | None
    image: Image
    planes: tuple[Plane, ...]
    meanings: tuple[ValueMeaning, ...]
    enhanced: bool
    marks: Marks
    frame_marks: tuple[Marks, ...]

    def frame_image(self, frame: int) -> Image:
        """The 2-D image of one frame, counted from 0."""
        plane = self.planes[frame % len(self.planes)]
        image = self.image
        return replace(
            image,
            read=self.file.reader(frame, image.shape, image.channels, image.dtype),
            values=self.meanings[frame % len(self.meanings)],
            spacing=plane.spacing,
            imager_spacing=plane.imager_spacing,
            to_patient=plane.to_patient,
            frames=(self.source(frame),),
        )

    def source(self, frame: int) -> FrameSource:
        """Where a frame, counted from 0, lies."""
        number = frame + 1 if self.file.frames > 1 else None
        return FrameSource(self.file.path, number, self.file.name, self.reference.sop_instance_uid)


def read_instance(path: str, name: str) -> Instance:
    """Read and check the header of one DICOM image. Raises `SourceError`, which names the file."""
    with reading(name):
        return _instance(path, name, read_header(path))


def _instance(path: str, name: str, header: Header) -> Instance:
    if header.shared is None:
        described = _described(header)
        planes = described.planes
    else:
        described = _described_alike(_Alike(header.shared, header))
        planes = (replace(described.planes[0], position=position_of(header.dataset)),)
    own = uid_of(header.dataset, "SOPInstanceUID")
    reference = msgspec.structs.replace(described.reference, source=name, sop_instance_uid=own)
    return Instance(
        file=PixelFile(path, name, described.frames, GreyPixels.of(header, described.stored, described.bits)),
        series=described.series,
        frame_of_reference=described.frame_of_reference,
        reference=reference,
        patient=described.patient,
        image=described.image,
        planes=planes,
        meanings=described.meanings,
        enhanced=described.enhanced,
        marks=_marks(header.dataset, MARK_KEYWORDS),
        frame_marks=described.frame_marks,
    )


@dataclass(frozen=True, eq=False)
class _Described:
    """What a header says, but for the identifier and the position, which differ from slice to slice."""

    stored: np.dtype[Any]
    bits: int
    frames: int
    image: Image
    planes: tuple[Plane, ...]
    meanings: tuple[ValueMeaning, ...]
    frame_marks: tuple[Marks, ...]
    series: str
    frame_of_reference: str | None
    reference: CaseReference
    patient: str | None
    enhanced: bool


@dataclass(frozen=True)
class _Alike:
    """A header that equals another where what they share is the same."""

    shared: Hashable
    header: Header = field(compare=False)


@lru_cache(256)
def _described_alike(alike: _Alike) -> _Described:
    """As `_described`, once for all slices of a series: a study holds thousands of them."""
    return _described(alike.header)


def _described(header: Header) -> _Described:
    dataset = header.dataset
    check_holds_pixels(header)
    photometric, samples = photometric_of(dataset)
    rows, columns = positive(dataset, "Rows"), positive(dataset, "Columns")
    frames = 1 if stated(dataset, "NumberOfFrames") is None else positive(dataset, "NumberOfFrames")
    stored, bits = stored_type(header)
    if photometric.startswith("YBR_FULL") and stored != np.uint8:
        raise SourceError("photometric", f"has {photometric} of {stored}; its conversion to RGB is defined for 8 bits")
    colour_bits = bits if samples == 3 else None
    dtype = stored
    if photometric == "PALETTE COLOR":
        dtype, bits = palette_type(dataset)
        colour_bits, samples = bits, 3
    if rows * columns * frames * samples * max(stored.itemsize, dtype.itemsize) > MAX_IMAGE_BYTES:
        claim = f"{frames} frames of {rows} x {columns}"
        raise SourceError("unreadable", f"claims {claim}, more than {MAX_IMAGE_BYTES >> 20} MiB")
    check_length(header, rows * columns, frames)
    decoder_for(header.transfer_syntax, int(stated(dataset, "BitsStored") or 0))
    planes, meanings, frame_marks = _frames(dataset, frames, colour_bits)
    return _Described(
        stored=stored,
        bits=bits,
        frames=frames,
        planes=planes,
        meanings=meanings,
        frame_marks=frame_marks,
        series=str(stated(dataset, "SeriesInstanceUID") or ""),
        frame_of_reference=uid_of(dataset, "FrameOfReferenceUID"),
        reference=CaseReference(
            source="",
            sop_class_uid=uid_of(dataset, "SOPClassUID"),
            series_instance_uid=uid_of(dataset, "SeriesInstanceUID"),
            study_instance_uid=uid_of(dataset, "StudyInstanceUID"),
        ),
        patient=_patient(dataset),
        image=Image(
            shape=(rows, columns),
            dtype=dtype,
            read=_unread,
            channels=3 if colour_bits is not None else 1,
            bits=bits,
            stored_range=stored_range(dtype, bits),
            modality=code_string(dataset, "Modality"),
            body_part=code_string(dataset, "BodyPartExamined"),
            view=code_string(dataset, "ViewPosition"),
            photometric="RGB" if colour_bits is not None else photometric,
            description=_description(dataset),
        ),
        enhanced="PerFrameFunctionalGroupsSequence" in dataset or "SharedFunctionalGroupsSequence" in dataset,
    )


def _unread() -> NDArray[Any]:
    raise AssertionError("the frame or the volume that is made of this image brings its own reader")


def _marks(dataset: Dataset, keywords: Iterable[str]) -> dict[str, str]:
    found = {}
    for keyword in keywords:
        try:
            value = stated(dataset, keyword)
        except Exception:  # a broken element marks nothing; the image is still an image
            continue
        text = "\\".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else value
        if text is not None and str(text).strip():
            found[keyword] = clean(str(text).strip())
    return found


def _description(dataset: Dataset) -> str | None:
    try:
        return clean(str(stated(dataset, "SeriesDescription") or "").strip(), 64) or None
    except Exception:  # a broken encoding describes nothing
        return None


def _patient(dataset: Dataset) -> str | None:
    try:
        return str(stated(dataset, "PatientID") or "").strip() or None
    except Exception:  # an identifier in a broken encoding groups nothing; the image is still an image
        return None


def _frames(
    dataset: Dataset, frames: int, colour_bits: int | None
) -> tuple[tuple[Plane, ...], tuple[ValueMeaning, ...], tuple[Marks, ...]]:
    """Place, meaning and marks of each frame, from its functional groups (PS3.3 C.7.6.16).

    One entry for all frames where there are no groups but shared ones, or none: then what the dataset states counts.
    """
    per_frame = stated(dataset, "PerFrameFunctionalGroupsSequence") or ()
    if per_frame and len(per_frame) != frames:
        raise SourceError("unreadable", f"has {frames} frames and functional groups for {len(per_frame)}")
    shared = stated(dataset, "SharedFunctionalGroupsSequence") or ()
    planes, meanings, marks = [], [], []
    for item in per_frame or (None,):

        def macro(keyword: str, item: Dataset | None = item) -> Dataset:
            for holder in (item, *shared[:1]):
                if holder is not None and stated(holder, keyword):
                    found: Dataset = holder[keyword].value[0]
                    return found
            return dataset

        planes.append(
            plane_of(macro("PixelMeasuresSequence"), macro("PlaneOrientationSequence"), macro("PlanePositionSequence"))
        )
        transform, voi = macro("PixelValueTransformationSequence"), macro("FrameVOILUTSequence")
        meanings.append(value_meaning(dataset, transform, voi, colour_bits))
        own: dict[str, str] = {}
        for group, keywords in FRAME_MARKS.items():
            if (holder := macro(group)) is not dataset:
                own |= _marks(holder, keywords)
        marks.append(own)
    return tuple(planes), tuple(meanings), tuple(marks)
