"""Files that hold the same instance: a copy is read once, and unlike files that claim to be one are refused."""

from __future__ import annotations

import filecmp
from collections.abc import Sequence

from ..errors import SourceError
from .dicom_instance import Instance


def without_copies(instances: Sequence[Instance]) -> tuple[list[Instance], dict[str, str]]:
    """The instances of a series, each once, and the files left out with the file that each is a copy of.

    Only files of one SOP Instance UID are compared, byte by byte. Raises `SourceError` (`unreadable`) where two of
    them differ: nothing says which is right. `OSError` where one has vanished.
    """
    first: dict[str, Instance] = {}
    kept: list[Instance] = []
    copies: dict[str, str] = {}
    for instance in instances:
        uid = instance.reference.sop_instance_uid
        original = instance if uid is None else first.setdefault(uid, instance)
        if original is instance:
            kept.append(instance)
        elif filecmp.cmp(original.file.path, instance.file.path, shallow=False):
            copies[instance.file.name] = original.file.name
        else:
            both = f"{original.file.name} and {instance.file.name}"
            raise SourceError("unreadable", f"{both} have one SOP Instance UID and unlike contents")
    return kept, copies
