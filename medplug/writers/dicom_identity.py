"""Names that follow from what they name: UIDs of a result's series, objects and findings, and their moments."""

from __future__ import annotations

import hashlib
import io
import uuid
from typing import TYPE_CHECKING

from .object_record import ObjectRecord

if TYPE_CHECKING:
    from datetime import datetime

    from pydicom.dataset import Dataset

NOWHEN = ("19000101", "000000.000000")
"""The date and time that stand in an object while its content is weighed."""
_NOBODY = "2.25.0"


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
    digest = hashlib.sha256(encoded(dataset)).hexdigest()
    moment = record.moment(digest)
    _stamp(dataset, uid("object", digest, moment.isoformat()), *_written(moment))
    return encoded(dataset)


def named_by_content(dataset: Dataset, *parts: str) -> None:
    """Give an object whose dates are fixed the UID that follows from `parts` and its content."""
    for name in (_NOBODY, ""):
        name = name or uid(*parts, hashlib.sha256(encoded(dataset)).hexdigest())
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = name  # type: ignore[assignment]


def _written(moment: datetime) -> tuple[str, str]:
    return moment.strftime("%Y%m%d"), moment.strftime("%H%M%S.%f")


def _stamp(dataset: Dataset, sop_instance_uid: str, date: str, time: str) -> None:
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = sop_instance_uid  # type: ignore[assignment]
    dataset.InstanceCreationDate = dataset.ContentDate = date
    dataset.InstanceCreationTime = dataset.ContentTime = time


def encoded(dataset: Dataset) -> bytes:
    """Return a dataset as a DICOM file."""
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
