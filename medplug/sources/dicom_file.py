"""The cases in one DICOM image: its frames, or the volumes that they form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
from numpy.typing import NDArray

from ..case import Case, Image, Unit
from ..errors import SourceError
from .dicom_elements import FRAME_MARK_KEYWORDS
from .dicom_evened import evened
from .dicom_geometry import Tilt, stack
from .dicom_groups import check_one_acquisition, volumes
from .dicom_instance import Instance
from .dicom_meaning import with_meaning
from .dicom_pixels import PixelReader
from .refusal import reading

_MARK = re.compile(r"[^0-9A-Za-z./,]")


def cases(instance: Instance, unit: Unit, tilt: Tilt = "refuse") -> Iterator[Case]:
    """The cases of one instance: each frame, or the whole. Raises `SourceError`, which names the file."""
    if unit is Unit.FRAME or instance.file.frames == 1:
        for frame in range(instance.file.frames):
            reference = instance.reference
            if instance.file.frames > 1:
                name = f"{instance.file.name}:frame/{frame + 1}"
                reference = msgspec.structs.replace(reference, source=name, frame=frame + 1)
            yield Case(reference, {"image": instance.frame_image(frame)}, patient=instance.patient)
    else:
        with reading(instance.file.name):
            found = list(_volumes(instance, tilt))
        for name, image, resampled in found:
            reference = msgspec.structs.replace(instance.reference, source=name, resampled=resampled)
            yield Case(reference, {"image": image}, patient=instance.patient)


def _volumes(instance: Instance, tilt: Tilt) -> Iterator[tuple[str, Image, bool]]:
    """The name of each volume, it, and whether it was resampled; frames that state no places are one, as they come."""
    frames = range(instance.file.frames)
    if not instance.enhanced or all(plane.position is None for plane in instance.planes):
        yield instance.file.name, _volume(instance, tuple(frames)), False
        return
    planes = [instance.planes[n % len(instance.planes)] for n in frames]
    marks = [instance.frame_marks[n % len(instance.frame_marks)] for n in frames]
    for group in volumes(planes, marks, FRAME_MARK_KEYWORDS):
        own = [planes[n] for n in group.slices]
        try:
            placed = stack(own, tilt)
            if placed.places is not None:
                check_one_acquisition(own, [marks[n] for n in group.slices], FRAME_MARK_KEYWORDS)
        except SourceError as error:
            raise SourceError(error.code, f"{error}; read it frame by frame") from None
        image = _volume(instance, tuple(group.slices[n] for n in placed.order))
        image = replace(image, spacing=placed.spacing, to_patient=placed.to_patient)
        yield marked(instance.file.name, group.mark), evened(image, placed.places), placed.places is not None


def _volume(instance: Instance, order: tuple[int, ...]) -> Image:
    """The frames of `order`, counted from 0, as [frames, rows, columns]."""
    image, frames = instance.image, instance.file.frames
    whole = instance.file.reader(None, (frames, *image.shape), image.channels, image.dtype)
    image = replace(
        image,
        shape=(len(order), *image.shape),
        read=whole if order == tuple(range(frames)) else partial(_reordered, whole, order),
        frames=tuple(map(instance.source, order)),
    )
    return with_meaning(image, [instance.meanings[n % len(instance.meanings)] for n in order])


def marked(name: str, mark: str) -> str:
    """The name of one of several volumes; `mark` may come from a hostile file."""
    return f"{name}:{_MARK.sub('_', mark)[:64]}" if mark else name


def _reordered(whole: PixelReader, order: tuple[int, ...]) -> NDArray[Any]:
    return whole()[:, list(order)]
