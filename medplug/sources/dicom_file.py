"""One DICOM file: its header, checked, and the cases in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..case import Case, CaseReference, Image, Unit, ValueMeaning
from ..errors import SourceError
from .decoders import decoder_for
from .dicom_geometry import Plane, plane_of, stack
from .dicom_header import Header, read_header
from .dicom_pixels import read_pixels, sop_class_is_image
from .dicom_values import code_string, numbers, value_meaning
from .refusal import MAX_IMAGE_BYTES, clean, reading

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_SAMPLES = {
    "MONOCHROME1": 1,
    "MONOCHROME2": 1,
    "PALETTE COLOR": 1,
    "RGB": 3,
    "YBR_FULL": 3,
    "YBR_FULL_422": 3,
    "YBR_ICT": 3,
    "YBR_RCT": 3,
}
_UID = re.compile(r"[0-9.]{1,64}")


@dataclass(frozen=True, eq=False)
class Instance:
    """What the header of one image says; `planes` and `meanings` hold one entry a frame, or one for all."""

    path: str
    name: str
    series: str
    reference: CaseReference
    patient: str | None
    frames: int
    image: Image
    planes: tuple[Plane, ...]
    meanings: tuple[ValueMeaning, ...]
    enhanced: bool

    def frame_image(self, frame: int) -> Image:
        """The 2-D image of one frame, counted from 0."""
        plane = self.planes[frame % len(self.planes)]
        image = self.image
        reader = partial(
            read_pixels, self.path, self.name, frame, self.frames, image.shape, image.channels, image.dtype
        )
        return replace(
            image,
            read=reader,
            values=self.meanings[frame % len(self.meanings)],
            spacing=plane.spacing,
            imager_spacing=plane.imager_spacing,
            to_patient=plane.to_patient,
        )


def read_instance(path: str, name: str) -> Instance:
    """Read and check the header of one DICOM image. Raises `SourceError`, which names the file."""
    with reading(name):
        return _instance(path, name, read_header(path))


def cases(instance: Instance, unit: Unit) -> Iterator[Case]:
    """The cases of one instance: each frame, or the whole. Raises `SourceError`, which names the file."""
    if unit is Unit.FRAME or instance.frames == 1:
        for frame in range(instance.frames):
            reference = instance.reference
            if instance.frames > 1:
                reference = CaseReference(**{**_fields(reference), "frame": frame + 1})
            yield Case(reference, {"image": instance.frame_image(frame)}, patient=instance.patient)
    else:
        with reading(instance.name):
            image = _volume(instance)
        yield Case(instance.reference, {"image": image}, patient=instance.patient)


def _fields(reference: CaseReference) -> dict[str, Any]:
    return {field: getattr(reference, field) for field in reference.__struct_fields__}


def _volume(instance: Instance) -> Image:
    """All frames as [frames, rows, columns]: ordered along the normal where they state places, else as they come."""
    image = replace(
        instance.image, shape=(instance.frames, *instance.image.shape), values=common_meaning(instance.meanings)
    )
    whole = partial(
        read_pixels,
        instance.path,
        instance.name,
        None,
        instance.frames,
        image.shape,
        image.channels,
        image.dtype,
    )
    if not instance.enhanced or all(plane.position is None for plane in instance.planes):
        return replace(image, read=whole)
    try:
        placed = stack(instance.planes)
    except SourceError as error:
        raise SourceError(error.code, f"{error}; read it frame by frame") from None
    return replace(
        image, read=partial(_reordered, whole, placed.order), spacing=placed.spacing, to_patient=placed.to_patient
    )


def _reordered(whole: partial[NDArray[Any]], order: tuple[int, ...]) -> NDArray[Any]:
    pixels = whole()
    return pixels if order == tuple(range(len(order))) else pixels[:, list(order)]


def common_meaning(meanings: Sequence[ValueMeaning]) -> ValueMeaning:
    """The one meaning of all frames' values; windows that differ from frame to frame are left out.

    Raises `SourceError` (`values`) where the modality transform differs: no one transform fits the volume.
    """
    first = meanings[0]
    for other in meanings:
        if other.rescale != first.rescale:
            raise SourceError("values", f"its slices have different rescales: {first.rescale} and {other.rescale}")
        if not _same_table(first, other) or other.inverted != first.inverted:
            raise SourceError("values", "its slices have different modality LUTs or presentations")
    same_voi = all(other.windows == first.windows for other in meanings)
    single_lut = len(meanings) == 1
    return replace(first, windows=first.windows if same_voi else (), voi_lut=first.voi_lut if single_lut else None)


def _same_table(first: ValueMeaning, other: ValueMeaning) -> bool:
    a, b = first.modality_lut, other.modality_lut
    if a is None or b is None:
        return a is b
    return a.first == b.first and np.array_equal(a.entries, b.entries)


def _instance(path: str, name: str, header: Header) -> Instance:
    dataset = header.dataset
    _check_holds_pixels(header)
    photometric, samples = _photometric(dataset)
    rows, columns = _positive(dataset, "Rows"), _positive(dataset, "Columns")
    frames = 1 if dataset.get("NumberOfFrames") is None else _positive(dataset, "NumberOfFrames")
    stored, bits = _stored_type(header)
    colour_bits = bits if samples == 3 else None
    dtype = stored
    if photometric == "PALETTE COLOR":
        dtype, bits = _palette_type(dataset)
        colour_bits, samples = bits, 3
    if rows * columns * frames * samples * max(stored.itemsize, dtype.itemsize) > MAX_IMAGE_BYTES:
        claim = f"{frames} frames of {rows} x {columns}"
        raise SourceError("unreadable", f"claims {claim}, more than {MAX_IMAGE_BYTES >> 20} MiB")
    _check_length(header, rows * columns * frames)
    decoder_for(header.transfer_syntax, int(dataset.get("BitsStored") or 0))
    planes, meanings = _frames(dataset, frames, colour_bits)
    return Instance(
        path=path,
        name=name,
        series=str(dataset.get("SeriesInstanceUID") or ""),
        reference=CaseReference(source=name, **_identifiers(dataset)),
        patient=_patient(dataset),
        frames=frames,
        image=Image(
            shape=(rows, columns),
            dtype=dtype,
            read=_unread,
            channels=3 if colour_bits is not None else 1,
            bits=bits,
            stored_range=_stored_range(dtype, bits),
            modality=code_string(dataset, "Modality"),
            body_part=code_string(dataset, "BodyPartExamined"),
            view=code_string(dataset, "ViewPosition"),
            photometric="RGB" if colour_bits is not None else photometric,
        ),
        planes=planes,
        meanings=meanings,
        enhanced="PerFrameFunctionalGroupsSequence" in dataset,
    )


def _unread() -> NDArray[Any]:
    raise AssertionError("the frame or the volume that is made of this image brings its own reader")


def _check_holds_pixels(header: Header) -> None:
    """`not-an-image` for an object without pixels, `unreadable` for an image whose pixels are missing."""
    if header.pixel_keyword is not None:
        return
    dataset = header.dataset
    sop_class = str(dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID") or "")
    if dataset.get("Rows") is not None or sop_class_is_image(sop_class):
        raise SourceError("unreadable", "is a DICOM image without pixels: cut short, or stripped of them")
    if _UID.fullmatch(sop_class) is None:
        raise SourceError("unreadable", "is DICOM that ends before it says what it is: damaged or cut short")
    from pydicom.uid import UID

    raise SourceError("not-an-image", f"is DICOM without an image: {clean(UID(sop_class).name)}")


def _positive(dataset: Dataset, keyword: str) -> int:
    values = numbers(dataset, keyword)
    if len(values) != 1 or values[0] < 1 or values[0] != int(values[0]):
        raise SourceError("unreadable", f"{keyword} is {clean(dataset.get(keyword), 40)!r}, not a positive integer")
    return int(values[0])


def _photometric(dataset: Dataset) -> tuple[str, int]:
    """Photometric Interpretation (PS3.3 C.7.6.3.1.2) and the samples of a pixel, which must agree."""
    photometric = code_string(dataset, "PhotometricInterpretation")
    if photometric is None:
        raise SourceError("photometric", "does not say its PhotometricInterpretation")
    if photometric not in _SAMPLES:
        known = ", ".join(_SAMPLES)
        raise SourceError("photometric", f"has PhotometricInterpretation {photometric!r}; known: {known}")
    samples = _positive(dataset, "SamplesPerPixel")
    if samples != _SAMPLES[photometric]:
        raise SourceError("unreadable", f"has {samples} samples a pixel, {photometric} takes {_SAMPLES[photometric]}")
    return photometric, samples


def _stored_type(header: Header) -> tuple[np.dtype[Any], int]:
    """The dtype that holds the stored values, and their bits, PS3.3 C.7.6.3.1."""
    dataset = header.dataset
    allocated = _positive(dataset, "BitsAllocated")
    if header.pixel_keyword != "PixelData":  # Float Pixel Data and Double Float Pixel Data have no Bits Stored
        return np.dtype(np.float32), allocated
    bits = _positive(dataset, "BitsStored")
    high_bit = numbers(dataset, "HighBit")
    if allocated not in (1, 8, 16, 32, 64) or bits > allocated:
        raise SourceError("unreadable", f"says {bits} bits stored in {allocated} bits allocated")
    if high_bit and high_bit[0] != bits - 1:  # PS3.5 8.1.1
        raise SourceError("unreadable", f"says HighBit {high_bit[0]:.0f} with BitsStored {bits}; it must be {bits - 1}")
    signed = dataset.get("PixelRepresentation")
    if signed not in (0, 1):
        raise SourceError("unreadable", f"PixelRepresentation is {clean(signed, 40)!r}, neither 0 nor 1")
    # Values of more than 16 bits are read where they fit into 16: `fitted` decides when they are decoded.
    return np.dtype(f"{'i' if signed else 'u'}{1 if allocated <= 8 else 2}"), bits


def _palette_type(dataset: Dataset) -> tuple[np.dtype[Any], int]:
    """The dtype and bits of the colours of a palette, PS3.3 C.7.6.3.1.5 and C.7.6.3.1.6."""
    descriptor = numbers(dataset, "RedPaletteColorLookupTableDescriptor")
    if len(descriptor) != 3 or descriptor[2] not in (8, 16):
        raise SourceError("photometric", "is PALETTE COLOR without a valid palette")
    bits = int(descriptor[2])
    plain = dataset.get("RedPaletteColorLookupTableData")
    if isinstance(plain, bytes):  # 8-bit entries may stand in words
        itemsize = round(len(plain) / (int(descriptor[0]) or 2**16))
        bits = min(bits, 8 * itemsize)
        return np.dtype("u2" if itemsize == 2 else "u1"), bits
    return np.dtype(f"u{bits // 8}"), bits


def _check_length(header: Header, pixels: int) -> None:
    """Native pixels must all be there: more may follow, PS3.5 8.1.1 and A.4 pad; encapsulated ones have no length."""
    if header.pixel_bytes is None:
        return
    dataset = header.dataset
    samples = int(dataset.SamplesPerPixel)
    if code_string(dataset, "PhotometricInterpretation") == "YBR_FULL_422":
        samples = 2
    expected = (pixels * samples * int(dataset.BitsAllocated) + 7) // 8
    present = min(header.pixel_bytes, header.present_bytes)
    if present < expected:
        raise SourceError("unreadable", f"holds {present} bytes of pixels where {expected} belong: it is cut short")


def _stored_range(dtype: np.dtype[Any], bits: int) -> tuple[int, int] | None:
    if dtype.kind == "f":
        return None
    bits = min(bits, 8 * dtype.itemsize)
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dtype.kind == "i" else (0, 2**bits - 1)


def _identifiers(dataset: Dataset) -> dict[str, Any]:
    """The unique identifiers, each left out unless it is one (PS3.5 9.1)."""
    keywords = {
        "sop_class_uid": "SOPClassUID",
        "sop_instance_uid": "SOPInstanceUID",
        "series_instance_uid": "SeriesInstanceUID",
        "study_instance_uid": "StudyInstanceUID",
    }
    found = {field: str(dataset.get(keyword) or "") for field, keyword in keywords.items()}
    return {field: uid for field, uid in found.items() if _UID.fullmatch(uid)}


def _patient(dataset: Dataset) -> str | None:
    try:
        return str(dataset.get("PatientID") or "").strip() or None
    except Exception:  # an identifier in a broken encoding groups nothing; the image is still an image
        return None


def _frames(
    dataset: Dataset, frames: int, colour_bits: int | None
) -> tuple[tuple[Plane, ...], tuple[ValueMeaning, ...]]:
    """Place and meaning of each frame, from its functional groups (PS3.3 C.7.6.16), or one for all from the dataset."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence")
    if not per_frame:
        plane = plane_of(dataset, dataset, dataset)
        return (plane,), (value_meaning(dataset, dataset, dataset, colour_bits),)
    if len(per_frame) != frames:
        raise SourceError("unreadable", f"has {frames} frames and functional groups for {len(per_frame)}")
    shared_items = dataset.get("SharedFunctionalGroupsSequence")
    shared = shared_items[0] if shared_items else None
    planes, meanings = [], []
    for item in per_frame:

        def macro(keyword: str, item: Dataset = item) -> Dataset:
            for holder in (item, shared):
                if holder is not None and holder.get(keyword):
                    found: Dataset = holder[keyword].value[0]
                    return found
            return dataset

        planes.append(
            plane_of(macro("PixelMeasuresSequence"), macro("PlaneOrientationSequence"), macro("PlanePositionSequence"))
        )
        transform, voi = macro("PixelValueTransformationSequence"), macro("FrameVOILUTSequence")
        meanings.append(value_meaning(dataset, transform, voi, colour_bits))
    return tuple(planes), tuple(meanings)
