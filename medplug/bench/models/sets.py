"""The data sets that medplug knows by name: where they lie, what their columns mean, and what must not change."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

from ...dataset import DataOptions
from ...errors import CallError


@dataclass(frozen=True)
class KnownSet:
    """A data set whose file, at `path` below the folder of test data, has this SHA-256.

    Where the file is a table, its column `sha256` fixes every image too. `normal` is the label of what an anomaly
    model learns.
    """

    name: str
    path: str
    sha256: str
    label: str
    normal: str
    patient: str | None = None

    @property
    def options(self) -> DataOptions:
        """What its columns mean."""
        return DataOptions(labels=(self.label,), patient=self.patient, split="split")

    def find(self, root: Path) -> Path:
        """Return where its file lies below `root`; `CallError` when it does not, or was changed."""
        file = root / self.path
        try:
            with file.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise CallError(
                f"{self.name}: {file} cannot be read ({error.strerror}): name the folder that holds {self.path} "
                "with --data or in MEDPLUG_TEST_DATA"
            ) from None
        if found != self.sha256:
            raise CallError(
                f"{self.name}: {file} was changed: its SHA-256 is {found[:12]} and should be {self.sha256[:12]}. "
                "Restore it, or name the file itself: under the set's name figures of other data would mislead"
            )
        return file


_FOREIGN = (
    ("COVID radiographs", "cxr-covid-ccby/manifest.csv", None),
    ("mammograms", "dicom-files/manifest.csv", "MG"),
    ("CT slices", "dicom-series/manifest.csv", "CT"),
)
"""Kinds of images that no known set holds: a name, a table, and the modality of its rows that count."""


def foreign(root: Path) -> dict[str, tuple[Path, ...]]:
    """Return the files of each foreign kind below the folder of test data; kinds that are not there are left out."""
    found = {}
    for kind, path, modality in _FOREIGN:
        if not (root / path).is_file():
            continue
        with (root / path).open(newline="", encoding="utf-8") as stream:
            rows = [row for row in csv.DictReader(stream) if modality in (None, row.get("modality"))]
        found[kind] = tuple((root / path).parent / row["file"] for row in rows)
    return {kind: files for kind, files in found.items() if files}


KNOWN = {
    one.name: one
    for one in (
        KnownSet(
            name="pneumoniamnist",
            path="pneumoniamnist/pneumoniamnist.npz",
            sha256="ce8250bf5debc3c389b89affcc1d9feac579b26e875a848301e9f937bb0c2eee",
            label="label",
            normal="0",
        ),
        KnownSet(
            name="cxr-kermany",
            path="cxr-kermany/manifest.csv",
            sha256="0bb0b0c1d08c560a132f675b626cb2527ab34f79cfd5a551b2d6b2173682c05f",
            label="label3",
            normal="normal",
            patient="patient_group",
        ),
        KnownSet(
            name="cxr-nih",
            path="cxr-nih/manifest.csv",
            sha256="48ab965069d6bd411ae36f54facc6f017ba5cd8f2e052309e452af7676f267c7",
            label="label",
            normal="no_finding",
            patient="patient_id",
        ),
    )
}
