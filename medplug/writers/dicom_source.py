"""What a result's objects take over from the study: patient, study, the frames analysed, and where these lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..case import Case, FrameSource, Image
from ..errors import SourceError, WriterError
from ..sources.dicom_header import read_whole_header
from ..sources.dicom_values import is_uid
from ..sources.refusal import name_of, reading
from .dicom_identity import uid
from .dicom_text import code_string, code_strings, identifying, long_string, numbers, spare, value_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


_LOSSY = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81")
"""JPEG baseline and extended, JPEG-LS near-lossless: their pixels are changed whatever the header says of them."""

_NOWHERE = np.diag([-1.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]]  # columns along x, rows along y, slices along -z


@dataclass(frozen=True)
class SourceFrame:
    """One frame that was analysed; `frame` counts from 1, None in a single-frame instance.

    `number` is the frame, or the Instance Number of a single-frame instance, 0 where that states none.
    """

    sop_class_uid: str
    sop_instance_uid: str
    frame: int | None = None
    number: int = 0


@dataclass(frozen=True, eq=False)
class DicomSource:
    """The DICOM that a case was read from.

    `module` holds the Patient and General Study modules to write (PS3.3 C.7.1.1, C.7.2.1), checked value by value.
    `frames` has one entry a slice of `image`, in order. `frame_of_reference` is None where the pixels have no place.
    `lossy` holds the attributes of lossy compression; `burned_in` says whether the pixels show who it is, YES or NO,
    None where that is not stated.
    """

    image: Image
    frames: tuple[SourceFrame, ...]
    module: dict[str, str]
    study_uid: str
    series_uid: str
    frame_of_reference: str | None
    position_reference: str
    series_number: int
    body_part: str | None
    laterality: str | None
    image_laterality: str | None
    patient_orientation: tuple[str, ...]
    slice_thickness: float | None
    lossy: dict[str, Any]
    burned_in: str | None

    @cached_property
    def key(self) -> str:
        """What was analysed, as text: equal for equal frames in equal order."""
        return " ".join(f"{one.sop_instance_uid}/{one.frame or 1}" for one in self.frames)

    @property
    def instance_number(self) -> int:
        """The Instance Number of what is made of all frames: their lowest, so that no other file of a run counts."""
        return max(1, min(frame.number for frame in self.frames))

    @property
    def to_patient(self) -> NDArray[np.float64]:
        """[4, 4]: index to LPS mm; index to pixels of a plane that lies nowhere where `frame_of_reference` is None."""
        if self.frame_of_reference is None or self.image.to_patient is None:
            return _NOWHERE
        return self.image.to_patient

    @property
    def slices(self) -> int:
        """How many planes there are."""
        return self.image.shape[0] if len(self.image.shape) == 3 else 1

    @property
    def instances(self) -> dict[str, tuple[str, list[int]]]:
        """SOP Instance UID -> SOP Class UID and the frames, in order; no frames for single-frame instances."""
        found: dict[str, tuple[str, list[int]]] = {}
        for one in self.frames:
            _, frames = found.setdefault(one.sop_instance_uid, (one.sop_class_uid, []))
            if one.frame is not None:
                frames.append(one.frame)
        return found


@lru_cache(maxsize=1)  # the writers of a run ask one after another
def source_of(case: Case) -> DicomSource:
    """Read the headers of a case's files again. `WriterError` names the file beside which no object can stand."""
    names = {frame.path: _name(frame) for frame in case.image.frames}
    headers: dict[str, Dataset] = {}
    for path, name in names.items():
        with _naming(name):
            headers[path] = read_whole_header(path)
    first, name = next(iter(headers.values())), next(iter(names.values()))
    if len(case.image.frames) != (case.image.shape[0] if len(case.image.shape) == 3 else 1):
        raise WriterError(f"{name}: its slices were resampled and are no frames of a file; no object was written")
    with _naming(name):
        module = _module(first, name)
        study, series = (_uid_of(first, keyword, name) for keyword in ("StudyInstanceUID", "SeriesInstanceUID"))
        for path, header in headers.items():
            _check_same(header, names[path], module, study)
        return DicomSource(
            image=case.image,
            frames=tuple(_frame(one, headers[one.path]) for one in case.image.frames),
            module=module,
            study_uid=study,
            series_uid=series,
            frame_of_reference=_frame_of_reference(first, case.image, series),
            position_reference=spare(first, "PositionReferenceIndicator"),
            series_number=_number(first, "SeriesNumber"),
            body_part=code_string(first, "BodyPartExamined"),
            laterality=_coded(first, "Laterality", {"L", "R"}),
            image_laterality=_coded(first, "ImageLaterality", {"L", "R", "U", "B"}),
            patient_orientation=_patient_orientation(first),
            slice_thickness=_slice_thickness(first),
            lossy=_lossy(headers.values()),
            burned_in=_burned_in(headers.values()),
        )


def _name(frame: FrameSource) -> str:
    return frame.name or name_of(frame.path)


def _frame(frame: FrameSource, header: Dataset) -> SourceFrame:
    name = _name(frame)
    sop_instance_uid = _uid_of(header, "SOPInstanceUID", name)
    if sop_instance_uid != frame.sop_instance_uid:
        # Its header would name the patient of another image than the one that was answered.
        raise WriterError(f"{name}: holds another instance than the one that was analysed; no object was written")
    return SourceFrame(
        _uid_of(header, "SOPClassUID", name),
        sop_instance_uid,
        frame.frame,
        frame.frame or _number(header, "InstanceNumber"),
    )


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Whatever a strange value does to pydicom is said of the file."""
    try:
        with reading(name):
            yield
    except SourceError as error:
        raise WriterError(str(error)) from error


def _module(header: Dataset, name: str) -> dict[str, str]:
    """Patient and study: what identifies them is taken over whole or not at all, the rest where it is valid."""
    module = {keyword: identifying(header, keyword, name) for keyword in _IDENTIFYING}
    module |= {keyword: spare(header, keyword) for keyword in _TYPE_2}
    module |= {keyword: value for keyword in _TYPE_3 if (value := spare(header, keyword))}
    if module["PatientSex"] not in ("M", "F", "O"):  # PS3.3 C.7.1.1
        module["PatientSex"] = ""
    if not module["IssuerOfPatientID"]:
        del module["IssuerOfPatientID"]
    if spare(header, "PatientIdentityRemoved") == "YES" and (method := _deidentification(header)):
        module |= {"PatientIdentityRemoved": "YES", "DeidentificationMethod": method}
    return module


def _deidentification(header: Dataset) -> str:
    """How the source was de-identified, in words: its own, or those of the codes."""
    steps = [spare(one, "CodeMeaning") for one in value_of(header, "DeidentificationMethodCodeSequence") or ()]
    return spare(header, "DeidentificationMethod") or long_string("; ".join(filter(None, steps)))


_IDENTIFYING = ("PatientName", "PatientID", "IssuerOfPatientID", "AccessionNumber")
_TYPE_2 = ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "ReferringPhysicianName")
_TYPE_3 = ("StudyDescription", "PatientAge", "PatientWeight", "PatientSize")


def _uid_of(header: Dataset, keyword: str, name: str) -> str:
    found = str(value_of(header, keyword) or "")
    if not found:
        raise WriterError(f"{name}: states no {keyword}, so that nothing can refer to it; no object was written")
    if not (is_uid(found) and all(found.split("."))):
        raise WriterError(f"{name}: its {keyword} is no unique identifier (PS3.5 9.1); no object was written")
    return found


def _check_same(header: Dataset, name: str, module: dict[str, str], study: str) -> None:
    """One volume is of one patient and one study: nothing else may stand in one object."""
    if str(value_of(header, "StudyInstanceUID") or "") != study:
        raise WriterError(f"{name}: is of another study than the slices beside it; no object was written")
    if identifying(header, "PatientID", name) != module["PatientID"]:
        raise WriterError(f"{name}: is of another patient than the slices beside it; no object was written")


def _frame_of_reference(header: Dataset, image: Image, series: str) -> str | None:
    if image.to_patient is None:
        return None
    found = str(value_of(header, "FrameOfReferenceUID") or "")
    # Positions without a frame of reference hold within their series, and nowhere else.
    return found if is_uid(found) else uid("frame of reference", series)


def _number(header: Dataset, keyword: str) -> int:
    found = numbers(header, keyword)
    return int(found[0]) if len(found) == 1 and 0 < found[0] < 10**7 else 0


def _coded(header: Dataset, keyword: str, values: set[str]) -> str | None:
    found = code_string(header, keyword)
    return found if found in values else None


def _patient_orientation(header: Dataset) -> tuple[str, ...]:
    """The directions of row and column, PS3.3 C.7.6.1.1.1; empty where they are not stated."""
    found = value_of(header, "PatientOrientation")
    if isinstance(found, str) or found is None or len(found) != 2:
        return ()
    words = tuple(str(word).strip() for word in found)
    return words if all(0 < len(word) <= 16 and word.isalpha() and word.isupper() for word in words) else ()


def _slice_thickness(header: Dataset) -> float | None:
    """In mm, of the instance or of an enhanced one's first frame."""
    holders = [header]
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in list(value_of(header, keyword) or [])[:1]:
            holders += list(value_of(group, "PixelMeasuresSequence") or [])[:1]
    return next((mm for holder in holders for mm in numbers(holder, "SliceThickness") if mm > 0), None)


def _lossy(headers: Iterable[Dataset]) -> dict[str, Any]:
    """Lossy compression is never undone: what is derived says so too (PS3.3 C.7.6.1.1.5)."""
    for header in headers:
        if spare(header, "LossyImageCompression") == "01" or header.file_meta.get("TransferSyntaxUID") in _LOSSY:
            ratios = [round(ratio, 4) for ratio in numbers(header, "LossyImageCompressionRatio")]
            methods = code_strings(header, "LossyImageCompressionMethod")
            found: dict[str, Any] = {"LossyImageCompression": "01"}
            if ratios and len(ratios) == len(methods):  # one of each for every time that it was compressed
                found |= {"LossyImageCompressionRatio": ratios, "LossyImageCompressionMethod": list(methods)}
            return found
    return {"LossyImageCompression": "00"}


def _burned_in(headers: Iterable[Dataset]) -> str | None:
    """Burned In Annotation (PS3.3 C.7.6.1) of what shows these pixels: NO only where every file says so."""
    found = {spare(header, "BurnedInAnnotation") for header in headers}
    return "YES" if "YES" in found else "NO" if found == {"NO"} else None
