"""DICOM series: instances grouped, ordered along the normal, and stacked into one volume, or refused."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
import numpy as np

from ..case import Case, CaseReference, Image, Pixels, Unit
from ..errors import SourceError
from ..result import Rejected
from .dicom_copies import without_copies
from .dicom_elements import MARK_KEYWORDS
from .dicom_evened import evened
from .dicom_file import cases, marked
from .dicom_geometry import Tilt, stack
from .dicom_groups import beside_the_stack, check_one_acquisition, volumes
from .dicom_instance import Instance
from .dicom_meaning import with_meaning
from .refusal import MAX_IMAGE_BYTES, reading, refused, skipped

_Key = tuple[str | None, str | None, str, str]  # patient, study, series, and a multi-frame instance by itself


def series_cases(instances: Iterable[Instance], tilt: Tilt = "refuse") -> Iterator[Case | Rejected]:
    """A case for every volume, or its refusal, by the first file of its series.

    A multi-frame instance is a volume of its own; what lies beside a stack, as a localiser does, is skipped, and so are
    copies. A Series Instance UID that two patients or studies share, against PS3.5 9, names a series in each.
    """
    groups: dict[_Key, list[Instance]] = {}
    for instance in instances:
        # Without a series UID, the files of a folder are the best guess at a series: the checks decide.
        folder = "" if instance.series else posixpath.dirname(instance.file.name)
        own = (instance.reference.sop_instance_uid or instance.file.name) if instance.file.frames > 1 else ""
        key = instance.patient, instance.reference.study_instance_uid, instance.series or folder, own
        groups.setdefault(key, []).append(instance)
    taken: set[str] = set()
    for (_, _, series, own), members in groups.items():
        name = members[0].file.name if own else _source(series, members)
        try:
            with reading(name):
                kept, copies = without_copies(members)
        except SourceError as error:
            yield refused(_reference(_unique(name, taken), members), error)
            continue
        if own:
            yield from _whole(kept[0], tilt)
        else:
            yield from _volumes(_source(series, kept), kept, taken, tilt)
        for copy, original in copies.items():
            yield skipped(copy, f"is the same instance as {original}")


def _whole(instance: Instance, tilt: Tilt) -> Iterator[Case | Rejected]:
    """The volumes of one multi-frame instance."""
    try:
        yield from cases(instance, Unit.INSTANCE, tilt)
    except SourceError as error:
        yield refused(instance.reference, error)


def _volumes(name: str, members: Sequence[Instance], taken: set[str], tilt: Tilt) -> Iterator[Case | Rejected]:
    """The volumes of one series, and what lies beside them."""
    apart = beside_the_stack([member.planes[0] for member in members], [member.marks for member in members])
    slices = [member for n, member in enumerate(members) if n not in apart]
    found = volumes([member.planes[0] for member in slices], [member.marks for member in slices], MARK_KEYWORDS)
    for volume in found:
        source = _unique(marked(name, volume.mark), taken)
        yield _series_case(source, [slices[n] for n in volume.slices], tilt)
    for n, reason in apart.items():
        yield skipped(members[n].file.name, f"is no slice of the volume {name}: {reason}")


def _source(series: str, members: Sequence[Instance]) -> str:
    """The series' name: the folder that holds all its files, and its UID."""
    folders = {posixpath.dirname(member.file.name) for member in members}
    relative = {posixpath.isabs(folder) for folder in folders}
    if len(folders) == 1 and series and posixpath.basename(min(folders)) == series:
        return min(folders)  # an archive's series: its name is its own already
    folder = posixpath.commonpath(folders) if len(relative) == 1 else posixpath.dirname(members[0].file.name)
    uid = re.sub(r"[^0-9A-Za-z.]", "_", posixpath.basename(series))[:64] or "series"
    return posixpath.join(folder, uid)


def _unique(source: str, taken: set[str]) -> str:
    name, number = source, 2
    while name in taken:
        name, number = f"{source}-{number}", number + 1
    taken.add(name)
    return name


def _reference(source: str, members: Sequence[Instance]) -> CaseReference:
    first = members[0].reference
    return CaseReference(
        source=source,
        files=tuple(member.file.name for member in members),
        sop_class_uid=first.sop_class_uid,
        series_instance_uid=first.series_instance_uid,
        study_instance_uid=first.study_instance_uid,
    )


def _series_case(source: str, members: Sequence[Instance], tilt: Tilt) -> Case | Rejected:
    reference = _reference(source, members)
    try:
        with reading(source):
            image, resampled = _stacked(members, tilt)
    except SourceError as error:
        return refused(reference, error)
    reference = msgspec.structs.replace(reference, resampled=resampled)
    return Case(reference, {"image": image}, patient=members[0].patient)


def _stacked(members: Sequence[Instance], tilt: Tilt) -> tuple[Image, bool]:
    """One volume of all members, and whether it was resampled. Raises `SourceError` (`geometry` or `values`)."""
    first = members[0].image
    for other in (member.image for member in members):
        if other.shape != first.shape:
            sizes = " and ".join(f"{rows} x {columns}" for rows, columns in (first.shape, other.shape))
            raise SourceError("geometry", f"no regular volume: its slices differ in size: {sizes}")
        kinds = [(image.dtype.name, image.photometric, image.bits, image.modality) for image in (first, other)]
        if kinds[0] != kinds[1]:
            raise SourceError("values", f"its slices hold different values: {kinds[0]} and {kinds[1]}")
    if len(frames := {member.frame_of_reference for member in members if member.frame_of_reference}) > 1:
        # Positions in two frames of reference cannot be compared, PS3.3 C.7.4.1.
        raise SourceError("geometry", f"no regular volume: its slices lie in {len(frames)} frames of reference")
    planes = [member.planes[0] for member in members]
    placed = stack(planes, tilt)
    if placed.places is not None:
        check_one_acquisition(planes, [member.marks for member in members], MARK_KEYWORDS)
    ordered = [members[i] for i in placed.order]
    shape = (len(ordered), *first.shape)
    if first.channels * first.dtype.itemsize * int(np.prod(shape)) > MAX_IMAGE_BYTES:
        raise SourceError("unreadable", f"has {len(ordered)} slices, more than {MAX_IMAGE_BYTES >> 20} MiB")
    slices = [member.frame_image(0) for member in ordered]
    views = {image.view for image in slices}
    image = replace(
        first,
        shape=shape,
        read=partial(_read_stack, slices, shape, first.channels, first.dtype),
        spacing=placed.spacing,
        to_patient=placed.to_patient,
        view=views.pop() if len(views) == 1 else None,
        frames=tuple(frame for image in slices for frame in image.frames),
    )
    image = with_meaning(image, [member.meanings[0] for member in ordered])
    return evened(image, placed.places), placed.places is not None


def _read_stack(slices: Sequence[Image], shape: tuple[int, ...], channels: int, dtype: np.dtype[Any]) -> Pixels:
    volume = np.empty((channels, *shape), dtype)
    for index, image in enumerate(slices):
        volume[:, index] = image.read()
    return volume
