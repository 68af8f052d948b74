"""A study out of an archive: asked for by its keys, and retrieved into a folder that goes when nobody needs it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import NodeError
from ..temporary import TemporaryFolder
from .address import KEYS, Address, is_uid


class _Folder(TemporaryFolder):
    def file(self, uid: str) -> Path:
        """The file of an instance; what a node sends never names a path."""
        return self.path / f"{hashlib.sha256(uid.encode()).hexdigest()[:32]}.dcm"


@dataclass(frozen=True, eq=False)
class Retrieved:
    """The files of a study and their names, NODE/STUDY/SERIES/INSTANCE, in that order; `missing` did not come.

    The files are there as long as somebody holds `folder`.
    """

    folder: object
    files: tuple[tuple[Path, str], ...]
    missing: tuple[str, ...]


def retrieve(url: str) -> Retrieved:
    """Retrieve what an address names, by C-GET or WADO-RS. Raises `NodeError`, and `CallError` for a wrong address."""
    node = Address.parse(url, study=True)
    folder = _Folder()
    found = (_by_web if node.web else _by_dimse)(node, folder)
    wanted = sorted(found)
    if not wanted:
        asked = " and ".join(name for name in KEYS if name in node.keys)
        raise NodeError(f"{node}: has no study with this {asked}")
    files: list[tuple[Path, str]] = []
    missing: list[str] = []
    for uids in wanted:
        file, name = folder.file(uids[-1]), "/".join([str(node), *(uid if is_uid(uid) else "(no UID)" for uid in uids)])
        if file.exists() and all(map(is_uid, uids)):
            files.append((file, name))
        else:
            missing.append(name)
    return Retrieved(folder, tuple(files), tuple(missing))


def _by_dimse(node: Address, folder: _Folder) -> Iterator[tuple[str, str, str]]:
    from .dimse import association, find, get, query_context, retrievals

    def keep(event: Any) -> int:
        with folder.file(str(event.request.AffectedSOPInstanceUID)).open("wb") as stream:
            stream.write(event.encoded_dataset())
        return 0x0000

    series_key = {key: value for key, value in node.keys.items() if key == "SeriesInstanceUID"}
    study_keys = {key: value for key, value in node.keys.items() if key not in series_key}
    wanted: dict[tuple[str, str], list[tuple[str, str]]] = {}
    with association(node, [query_context()]) as made:
        for study in find(node, made, "STUDY", study_keys):
            owner = {"StudyInstanceUID": str(study.StudyInstanceUID)}
            for series in find(node, made, "SERIES", {**owner, **series_key}):
                keys = {**owner, "SeriesInstanceUID": str(series.SeriesInstanceUID)}
                wanted[keys["StudyInstanceUID"], keys["SeriesInstanceUID"]] = [
                    (str(one.SOPInstanceUID), str(one.get("SOPClassUID", "")))
                    for one in find(node, made, "IMAGE", keys, "SOPClassUID")
                ]
    for (study_uid, series_uid), instances in wanted.items():
        for contexts in retrievals(uid for _, uid in instances):
            with association(node, contexts, on_store=keep) as made:
                get(node, made, study_uid, series_uid)
            if all(folder.file(instance).exists() for instance, _ in instances):
                break
        yield from ((study_uid, series_uid, instance) for instance, _ in instances)


def _by_web(node: Address, folder: _Folder) -> Iterator[tuple[str, str, str]]:
    from .dicomweb import client, fetch, instances, studies, talking

    with talking(node):
        made = client(node)
        keys = {key: value for key, value in node.keys.items() if key != "SeriesInstanceUID"}
        for study in studies(node, made, keys):
            found = instances(node, made, study, node.keys.get("SeriesInstanceUID"))
            for uid in dict.fromkeys(owner for owner, _ in found):
                fetch(node, made, study, uid, folder.file)
            yield from ((study, owner, instance) for owner, instance in found)
