"""Names that follow from what they name: UIDs of a result's series, objects and findings, and their moments."""

from __future__ import annotations

import hashlib
import io
import uuid
from itertools import count
from typing import TYPE_CHECKING

from .object_record import ObjectRecord

if TYPE_CHECKING:
    from datetime import datetime

    from pydicom.dataset import Dataset

NOWHEN = ("19000101", "000000.000000")
"""The date and time that stand in an object while its content is weighed."""
_NOBODY = f"2.25.{'9' * 39}"  # larger than any UUID, and as long as the UIDs of objects


def uid(*parts: str) -> str:
    """Return the UID (PS3.5 B.2, made from a UUID) that follows from `parts`: equal parts, equal UID."""
    text = "".join(f"{len(part)}:{part}" for part in ("medplug", *parts))
    return f"2.25.{uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16], version=5).int}"


def finished(dataset: Dataset, record: ObjectRecord) -> bytes:
    """Return the file of an object whose UID and dates follow from its content, and set them in `dataset`.

    The content with neutral UID and dates is looked up in the record, which says when it was first made; the UID
    follows from content and moment. So one UID never has two contents, and one content has one UID on this machine.
    """
    _stamp(dataset, _NOBODY, *NOWHEN)
    content = bytearray(encoded(dataset))
    digest = hashlib.sha256(content).hexdigest()
    moment = record.moment(digest)
    name, date, time = _object_uid(digest, moment), moment.strftime("%Y%m%d"), moment.strftime("%H%M%S.%f")
    _stamp(dataset, name, date, time)
    # Encoding takes longer than all else, and what changes is as long as what it replaces.
    changes = (
        *((0x00020003, _NOBODY, name), (0x00080012, NOWHEN[0], date), (0x00080013, NOWHEN[1], time)),
        *((0x00080018, _NOBODY, name), (0x00080023, NOWHEN[0], date), (0x00080033, NOWHEN[1], time)),
    )
    replaced = all(_replaced(content, *change) for change in changes)
    return bytes(content) if replaced else encoded(dataset)


def named_by_content(dataset: Dataset, *parts: str) -> None:
    """Give an object whose dates are fixed the UID that follows from `parts` and its content."""
    for name in (_NOBODY, ""):
        name = name or uid(*parts, hashlib.sha256(encoded(dataset)).hexdigest())
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = name  # type: ignore[assignment]


def _object_uid(digest: str, moment: datetime) -> str:
    """One of full length: two of three are."""
    made = (uid("object", digest, moment.isoformat(), str(number)) for number in count())
    return next(one for one in made if len(one) == len(_NOBODY))


def _stamp(dataset: Dataset, sop_instance_uid: str, date: str, time: str) -> None:
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = sop_instance_uid  # type: ignore[assignment]
    dataset.InstanceCreationDate = dataset.ContentDate = date
    dataset.InstanceCreationTime = dataset.ContentTime = time


def _replaced(content: bytearray, tag: int, neutral: str, new: str) -> bool:
    """Replace the value of an element of the dataset itself; False where it does not lie in the file as it should."""
    tagged = b"".join(half.to_bytes(2, "little") for half in divmod(tag, 2**16))
    place = content.find(neutral.encode(), content.find(tagged))
    if place < 8 or content[place - 8 : place - 4] != tagged or len(new) != len(neutral):
        return False
    content[place : place + len(new)] = new.encode()
    return True


def encoded(dataset: Dataset) -> bytes:
    """Return a dataset as a DICOM file."""
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
