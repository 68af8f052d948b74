"""A DICOMDIR names the files that are read, none outside its folder; found in a folder it is only an index."""

import gc
import shutil
import warnings
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.fileset import FileSet

from medplug import sources
from medplug.case import Case, Unit
from medplug.result import Refused, Skipped


@pytest.fixture
def medium(write_series, tmp_path):
    """A real file-set of three slices, as pydicom writes it."""
    files = FileSet()
    for path in sorted(write_series([(0, 0, float(z)) for z in range(3)]).iterdir()):
        dataset = dcmread(path)
        dataset.PatientName, dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "A^B", "20260101", "101010", "1"
        dataset.AccessionNumber, dataset.SeriesNumber, dataset.InstanceNumber = "1", 1, 1
        files.add(dataset)
    files.write(tmp_path / "medium")
    with warnings.catch_warnings(action="ignore"):  # it leaves its temporary folder to the collector
        del files
        gc.collect()
    return tmp_path / "medium"


def edited(medium, change):
    dataset = dcmread(medium / "DICOMDIR")
    with warnings.catch_warnings(action="ignore"):  # some File IDs are none, and meant to be so
        _change_first(dataset, change)
        dataset.save_as(medium / "DICOMDIR")
    return medium / "DICOMDIR"


def _change_first(dataset, change):
    for record in dataset.DirectoryRecordSequence:
        if "ReferencedFileID" in record:
            change(record)
            return


def test_a_named_dicomdir_reads_the_files_that_it_names(medium):
    index, case = sources.read(medium / "DICOMDIR", Unit.SERIES)

    assert index.outcome == Skipped(reason=f"{medium}/DICOMDIR: is an index, of 3 files")
    assert case.image.shape == (3, 4, 5)
    assert all(Path(file).is_relative_to(medium) for file in case.reference.files)


def test_a_dicomdir_that_is_found_is_skipped_and_its_files_are_read_once(medium):
    found = list(sources.read(medium))

    assert sum(isinstance(one, Case) for one in found) == 3
    [index] = [one for one in found if not isinstance(one, Case)]
    assert index.outcome.reason == (
        f"{medium}/DICOMDIR: is a DICOMDIR; the files that it names are found by themselves"
    )
    assert sum(isinstance(one, Case) for one in sources.read([medium / "DICOMDIR", medium])) == 3


def test_a_medium_that_was_copied_to_lower_case_is_read(medium, tmp_path):
    lower = tmp_path / "lower"
    for file in sorted(path for path in medium.rglob("*") if path.is_file()):
        target = lower / str(file.relative_to(medium)).lower()
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)

    _, *cases = sources.read(lower / "dicomdir")

    assert [type(case) for case in cases] == [Case] * 3


def test_a_missing_file_is_refused_by_name(medium):
    path = edited(medium, lambda record: setattr(record, "ReferencedFileID", ["GONE", "IM000009"]))

    _, gone, *cases = sources.read(path)

    assert isinstance(gone.outcome, Refused)
    assert gone.outcome.reason == f"{medium}/GONE/IM000009: is named by the DICOMDIR, and is not there"
    assert len(cases) == 2


def test_a_record_that_is_not_in_use_names_no_file(medium):
    path = edited(medium, lambda record: setattr(record, "RecordInUseFlag", 0))

    index, *cases = sources.read(path)

    assert index.outcome.reason.endswith("is an index, of 2 files")
    assert [type(case) for case in cases] == [Case, Case]


@pytest.mark.parametrize("way_out", [["..", "SECRET"], ["..\\SECRET"], ["/etc/passwd"], ["LINK", "SECRET"], [".", "X"]])
def test_a_dicomdir_reads_nothing_outside_its_folder(medium, tmp_path, way_out):
    secret = tmp_path / "SECRET"
    shutil.copy(get_testdata_file("CT_small.dcm", download=False), secret)
    (medium / "LINK").symlink_to(tmp_path)
    path = edited(medium, lambda record: record.add_new("ReferencedFileID", "CS", way_out))

    _, refused, *cases = sources.read(path)

    assert isinstance(refused.outcome, Refused)
    assert len(cases) == 2
    assert ".." not in refused.reference.source


def test_real_dicomdirs_name_the_files_of_their_media():
    folder = Path(get_testdata_file("CT_small.dcm", download=False)).parent / "dicomdirtests"

    index, *found = sources.read(folder / "DICOMDIR")

    assert index.outcome.reason.endswith(f"of {len(found)} files")
    assert len(found) == 31
    assert all(isinstance(one, Case) or one.outcome.reason.startswith(one.reference.source) for one in found)
