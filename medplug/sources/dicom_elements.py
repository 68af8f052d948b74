"""Which elements of a dataset are read, and their making from bytes: by pydicom, once for all files that share them."""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement, RawDataElement
    from pydicom.dataset import Dataset, FileMetaDataset

MARK_KEYWORDS = (
    *("TemporalPositionIndex", "TemporalPositionIdentifier", "EchoNumbers", "EchoTime", "DiffusionBValue"),
    *("NominalPercentageOfCardiacPhase", "TriggerTime", "AcquisitionNumber", "AcquisitionTime", "ImageType"),
)
"""The elements by which the volumes of one series may differ, those that say most first."""

FRAME_MARKS = {
    "FrameContentSequence": ("TemporalPositionIndex", "FrameAcquisitionNumber", "StackID"),
    "MREchoSequence": ("EffectiveEchoTime",),
    "MRDiffusionSequence": ("DiffusionBValue",),
    "CardiacSynchronizationSequence": ("NominalPercentageOfCardiacPhase", "NominalCardiacTriggerDelayTime"),
    "MRImageFrameTypeSequence": ("FrameType",),
    "CTImageFrameTypeSequence": ("FrameType",),
}
"""The functional groups that tell the volumes of one enhanced instance apart, and by which elements."""

FRAME_MARK_KEYWORDS = tuple(dict.fromkeys(keyword for group in FRAME_MARKS.values() for keyword in group))

PHASE_KEYWORDS = frozenset(
    (
        *("TemporalPositionIndex", "TemporalPositionIdentifier", "EchoNumbers", "EchoTime", "EffectiveEchoTime"),
        *("DiffusionBValue", "NominalPercentageOfCardiacPhase", "StackID"),
    )
)
"""The marks by which slices never differ within one volume: how one was acquired may, in two passes, say."""

OWN_KEYWORDS = ("SOPInstanceUID", "ImagePositionPatient", *MARK_KEYWORDS)
"""The elements that may differ from slice to slice of a series."""

KEYWORDS = (
    *("SpecificCharacterSet", "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID"),
    *("Modality", "SeriesDescription", "PatientID", "BodyPartExamined", "ViewPosition"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("FrameOfReferenceUID", "PixelSpacing", "ImagerPixelSpacing", "ImageOrientationPatient"),
    *("RescaleSlope", "RescaleIntercept", "DoseGridScaling", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *OWN_KEYWORDS,
    *("PresentationLUTShape", "PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("FloatPixelPaddingValue", "FloatPixelPaddingRangeLimit"),
    *("DoubleFloatPixelPaddingValue", "DoubleFloatPixelPaddingRangeLimit"),
    *("RedPaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData"),
    *("ModalityLUTSequence", "VOILUTSequence", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    "DirectoryRecordSequence",
)
"""What the reader asks of a dataset."""

ITEM_KEYWORDS = (
    *("LUTDescriptor", "LUTData", "FrameVOILUTSequence", "PixelValueTransformationSequence"),
    *("PixelMeasuresSequence", "PlaneOrientationSequence", "PlanePositionSequence"),
    *("ReferencedFileID", "RecordInUseFlag", *FRAME_MARKS, *FRAME_MARK_KEYWORDS),
)
"""What it asks of the items of a dataset's sequences, beside the same."""

PIXEL_KEYWORDS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}
CHARACTER_SET = 0x00080005

Stored = tuple[int, bytes | None, bytes]
"""An element as a file holds it: tag, VR (None where that is implicit), value."""

_MAX_KEPT_BYTES = 256  # of a value whose conversion is remembered


@cache
def own_tags() -> frozenset[int]:
    """The tags of `OWN_KEYWORDS`."""
    from pydicom.datadict import tag_for_keyword

    return frozenset(tag_for_keyword(keyword) or 0 for keyword in OWN_KEYWORDS)


@cache
def wanted_tags() -> dict[int, bool]:
    """The tags of `KEYWORDS`, and whether each is a sequence's."""
    return {tag: dictionary_vr(tag) == "SQ" for tag in map(_tag_of, KEYWORDS)}


def _tag_of(keyword: str) -> int:
    from pydicom.datadict import tag_for_keyword

    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    return tag


@lru_cache(4096)
def dictionary_vr(tag: int) -> str | None:
    """What PS3.6 says of a tag; None where it does not."""
    from pydicom.datadict import dictionary_VR

    try:
        return dictionary_VR(tag)
    except KeyError:
        return None


@lru_cache(256)
def encodings_of(character_set: bytes) -> str | MutableSequence[str]:
    """The encodings of text, PS3.5 6.1, as pydicom names them."""
    from pydicom.charset import convert_encodings, default_encoding
    from pydicom.values import convert_string

    return convert_encodings(convert_string(character_set, True)) if character_set else default_encoding


@lru_cache(256)
def file_meta_of(*elements: Stored) -> FileMetaDataset:
    """A file meta (PS3.10 7.1), shared by all files that have the same: nobody may change it."""
    from pydicom.dataset import FileMetaDataset

    meta = FileMetaDataset()
    meta.update({raw.tag: raw for raw in (_raw(*one, implicit=False) for one in elements)})
    meta.set_original_encoding(False, True, encodings_of(b""))
    return meta


def dataset_of(elements: Sequence[Stored], file_meta: FileMetaDataset, implicit: bool) -> Dataset:
    """A little-endian dataset of these elements, which it shares with others: nobody may change them."""
    from pydicom.dataset import Dataset

    character_set = next((value for tag, _, value in elements if tag == CHARACTER_SET), b"")
    made = {}
    for tag, vr, value in elements:
        remembered = len(value) <= _MAX_KEPT_BYTES
        one = _converted(tag, vr, value, implicit, character_set) if remembered else _raw(tag, vr, value, implicit)
        made[one.tag] = one
    dataset = Dataset(made)
    dataset.file_meta = file_meta
    dataset.set_original_encoding(implicit, True, encodings_of(character_set))
    return dataset


@lru_cache(4096)
def _converted(
    tag: int, vr: bytes | None, value: bytes, implicit: bool, character_set: bytes
) -> DataElement | RawDataElement:
    """The element as pydicom makes it; raw where that takes the rest of its dataset, or cannot be done."""
    from pydicom.dataelem import convert_raw_data_element
    from pydicom.valuerep import AMBIGUOUS_VR

    raw = _raw(tag, vr, value, implicit)
    try:
        made = convert_raw_data_element(raw, encoding=encodings_of(b"" if tag == CHARACTER_SET else character_set))
    except Exception:  # whoever asks for it shall be told
        return raw
    return raw if made.VR in AMBIGUOUS_VR or made.VR == "SQ" else made


def _raw(tag: int, vr: bytes | None, value: bytes, implicit: bool) -> RawDataElement:
    from pydicom.dataelem import RawDataElement, empty_value_for_VR
    from pydicom.tag import BaseTag

    name = None if vr is None else vr.decode()
    stored = value or cast("bytes | None", empty_value_for_VR(name, raw=True))
    return RawDataElement(BaseTag(tag), name, len(value), stored, 0, implicit, True)
