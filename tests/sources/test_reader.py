"""Folders and lists: everything appears, in a fixed order, and nothing harms the rest."""

import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from pydicom.data import get_testdata_file

from medplug import sources
from medplug.case import Case, CaseReference, Unit
from medplug.errors import CallError, SourceError
from medplug.result import Refused, Rejected, Skipped
from medplug.selection import Selection
from medplug.sources.refusal import quiet


@pytest.fixture
def mixed(tmp_path, write_dicom):
    """A folder with one file of every fate."""
    folder = tmp_path / "study"
    scan = write_dicom("study/b/scan")
    (folder / "b" / "cut.dcm").write_bytes(scan.read_bytes()[:-10])
    (folder / "b" / "cut-early").write_bytes(scan.read_bytes()[:250])
    Pillow.new("L", (3, 3)).save(folder / "a.png")
    np.save(folder / "c.npy", np.zeros((3, 3), np.uint8))
    (folder / "notes.txt").write_text("not an image")
    (folder / "table.csv").write_text("file\na.png\n")
    (folder / "brain.nii.gz").write_bytes(b"\x1f\x8b")
    (folder / "empty").touch()
    os.mkfifo(folder / "pipe")
    (folder / "gone").symlink_to(folder / "nowhere")
    return folder


def fates(found):
    return {case.reference.source: type(getattr(case, "outcome", case)) for case in found}


def test_every_file_of_a_folder_appears_once_in_sorted_order(mixed):
    found = list(sources.read(mixed))

    expected = {
        "a.png": Case,
        "b/cut-early": Refused,
        "b/cut.dcm": Refused,
        "b/scan": Case,
        "brain.nii.gz": Refused,
        "c.npy": Case,
        "empty": Skipped,
        "gone": Skipped,
        "notes.txt": Skipped,
        "pipe": Skipped,
        "table.csv": Skipped,
    }
    assert list(fates(found).items()) == [(f"{mixed}/{name}", fate) for name, fate in expected.items()]
    assert all(
        case.outcome.reason.startswith(f"{case.reference.source}: ") for case in found if isinstance(case, Rejected)
    )


def test_a_named_file_that_is_no_image_is_refused(mixed):
    named = [mixed / name for name in ("notes.txt", "empty", "pipe", "gone", "not-there")]

    found = list(sources.read(named))

    assert set(fates(found).values()) == {Refused}
    assert len(found) == 5
    assert "does not exist" in found[-1].outcome.reason


def test_a_path_that_is_named_twice_or_also_found_is_read_once(mixed):
    found = list(sources.read([mixed / "a.png", mixed, str(mixed / "a.png")]))

    assert [case.reference.source for case in found].count(str(mixed / "a.png")) == 1


def test_an_empty_folder_appears(tmp_path):
    [found] = sources.read(tmp_path)

    assert isinstance(found.outcome, Skipped)


@pytest.mark.parametrize("source", [None, 3, [None]])
def test_what_is_no_source_is_a_wrong_call(source):
    with pytest.raises(CallError, match="is no source"):
        list(sources.read(source))


def test_a_folder_that_cannot_be_listed_is_refused_and_a_link_to_one_skipped(mixed, monkeypatch):
    (mixed / "link").symlink_to(mixed / "b")
    real = os.scandir

    def denied(folder):
        if str(folder).endswith("/b"):
            raise PermissionError(folder)
        return real(folder)

    monkeypatch.setattr(os, "scandir", denied)

    found = fates(sources.read(mixed))

    assert (found[f"{mixed}/b"], found[f"{mixed}/link"]) == (Refused, Skipped)


def test_an_unknown_unit_is_a_wrong_call(mixed):
    with pytest.raises(CallError, match="'slice' is no unit; frame, instance"):
        sources.read(mixed, "slice")


def test_the_unit_study_is_a_wrong_call(mixed):
    with pytest.raises(CallError, match="'study' is not supported"):
        sources.read(mixed, Unit.STUDY)


def test_a_file_name_that_is_no_utf8_is_a_source_that_json_can_hold(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff.png"
    Pillow.new("L", (3, 3)).save(os.fsdecode(path))

    [case] = sources.read(tmp_path)

    assert case.image.read().shape == (1, 3, 3)
    assert case.reference.source.encode("utf-8").decode() == f"{tmp_path}/\N{REPLACEMENT CHARACTER}.png"


def test_files_are_not_held_open_and_pixels_are_decoded_only_when_used(mixed):
    before = len(list(Path("/proc/self/fd").iterdir()))
    found = list(sources.read(mixed))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    (mixed / "a.png").write_bytes(b"")

    picture = next(case for case in found if case.reference.source.endswith("a.png"))

    with pytest.raises(SourceError, match=r"a\.png: "):
        picture.image.read()


class Brackets:
    """A stranger's reader of *.brackets."""

    def accepts(self, source):
        return source.endswith(".brackets")

    def read(self, source, unit):
        if "broken" in source:
            raise RuntimeError("no brackets")
        yield Case(CaseReference(source=source), sources.from_array(np.zeros((2, 2), np.uint8)).images)


def test_a_strangers_source_is_asked_first_and_its_failure_harms_nothing_else(mixed):
    for name in ("x.brackets", "broken.brackets"):
        (mixed / name).write_text("[]")

    found = list(sources.read([mixed, mixed / "a.png"], extra=[Brackets()]))

    assert fates(found)[f"{mixed}/x.brackets"] is Case
    assert fates(found)[f"{mixed}/broken.brackets"] is Refused
    assert fates(found)[f"{mixed}/a.png"] is Case


def test_importing_sources_imports_neither_pydicom_nor_pillow():
    heavy = ("pydicom", "PIL", "imagecodecs", "torch")
    code = f"import sys, medplug.sources; print([name for name in {heavy} if name in sys.modules])"

    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert child.stdout.strip() == "[]"


def test_readers_that_overlap_stay_quiet_and_leave_the_warning_filters_as_they_were():
    before = list(warnings.filters)
    first, second = quiet(), quiet()

    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    warnings.warn("still inside the second", stacklevel=1)  # an error, were it not for `second`
    second.__exit__(None, None, None)

    assert warnings.filters == before


def test_reading_in_several_threads_leaves_the_warning_filters_as_they_were():
    path = get_testdata_file("CT_small.dcm", download=False)
    before = list(warnings.filters)

    def work():
        for _ in range(5):
            [case] = sources.read(path)
            case.image.read()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert warnings.filters == before


def test_what_a_selection_does_not_want_is_skipped_with_the_reason(write_series):
    folder = write_series([(0.0, 0.0, float(z)) for z in range(4)], "a", SeriesDescription="CHEST 1 mm")
    write_series([(0.0, 0.0, float(z)) for z in range(3)], "b", SeriesInstanceUID="1.2.5", SeriesDescription="Scout")
    selection = Selection(description=("chest*",))

    wanted, left_out = sources.read(folder.parent, Unit.SERIES, select=selection)

    assert wanted.image.description == "CHEST 1 mm"
    assert isinstance(left_out.outcome, Skipped)
    source = left_out.reference.source
    assert left_out.outcome.reason == f"{source}: is left out: its series is Scout; chest* is selected"
    assert len(left_out.reference.files) == 3
