"""CSV tables and folders of class folders."""

import csv

import numpy as np
import pytest
from PIL import Image as Pillow

from medplug import sources
from medplug.case import Case, Unit
from medplug.errors import CallError
from medplug.result import Refused, Rejected, Skipped
from medplug.sources import TableOptions


@pytest.fixture
def pictures(tmp_path):
    """Three pictures, filled with 0, 1 and 2, and a mask."""
    (tmp_path / "images").mkdir()
    for index in range(3):
        Pillow.fromarray(np.full((4, 5), index, np.uint8)).save(tmp_path / "images" / f"{index}.png")
    Pillow.fromarray(np.eye(4, 5, dtype=np.uint8)).save(tmp_path / "mask.png")
    return tmp_path


def write_table(folder, *rows):
    path = folder / "list.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    return path


def test_rows_become_cases_with_their_columns_patient_and_mask(pictures):
    table = write_table(
        pictures,
        ["file", "finding", "who", "seg"],
        ["images/2.png", "mass", "p7", "mask.png"],
        ["images/0.png", "none", "", ""],
    )

    first, second = sources.read(table, options=TableOptions(labels=("finding",), patient="who", mask="seg"))

    assert first.row == {"file": "images/2.png", "finding": "mass", "who": "p7", "seg": "mask.png"}
    assert (first.patient, second.patient) == ("p7", None)
    assert (first.reference.row, second.reference.row) == (0, 1)
    assert first.reference.source == str(pictures / "images" / "2.png")
    assert "p7" not in repr(first.reference)
    assert first.image.read().max() == 2
    np.testing.assert_array_equal(first.mask.read()[0], np.eye(4, 5))
    assert second.mask is None


@pytest.mark.parametrize("column", ["file", "path", "image", "filename"])
def test_the_column_of_files_has_one_of_four_names(pictures, column):
    [case] = sources.read(write_table(pictures, ["id", column], ["a", "images/1.png"]))

    assert case.image.read().max() == 1


def test_a_row_that_cannot_be_read_is_refused_and_the_rest_goes_on(pictures):
    (pictures / "broken.png").write_text("no picture")
    table = write_table(
        pictures,
        ["file", "label"],
        ["images/0.png", "a"],
        ["gone.png", "b"],
        ["broken.png", "b"],
        ["", "b"],
        ["images/1.png"],
        ["images/2.png", "a"],
    )

    found = list(sources.read(table))

    assert [isinstance(one, Case) for one in found] == [True, False, False, False, False, True]
    reasons = [one.outcome.reason for one in found if isinstance(one, Rejected)]
    assert [f"{table}, row {row}: " in reason for row, reason in zip((2, 3, 4, 5), reasons, strict=True)] == [True] * 4
    assert "gone.png: does not exist" in reasons[0]
    assert [one.reference.row for one in found] == [0, 1, 2, 3, 4, 5]


def test_a_mask_that_cannot_be_read_refuses_its_row(pictures):
    table = write_table(pictures, ["file", "seg"], ["images/0.png", "gone.png"])

    [rejected] = sources.read(table, options=TableOptions(mask="seg"))

    assert "row 1: its mask: " in rejected.outcome.reason


def test_a_file_may_stand_in_several_rows_with_a_source_of_its_own(pictures):
    table = write_table(pictures, ["file", "label"], ["images/0.png", "a"], ["images/0.png", "b"])

    first, second = sources.read(table)

    assert (first.row["label"], second.row["label"]) == ("a", "b")
    assert first.reference.source != second.reference.source


@pytest.mark.parametrize(
    ("header", "options", "words"),
    [
        (["file", "label3"], TableOptions(labels=("labell3",)), "no column 'labell3'.*did you mean 'label3'"),
        (["file", "label3"], TableOptions(patient="who"), "no column 'who'; it has file, label3"),
        (["file", "label3"], TableOptions(split="split"), "no column 'split'"),
        (["file", "label3"], TableOptions(mask="m"), "no column 'm'"),
        (["scan", "label3"], TableOptions(), "no column file, path, image or filename; it has scan, label3"),
        (
            ["file;label"],
            TableOptions(),
            "it has file;label: its columns are parted by semicolons, and commas are wanted",
        ),
        (["file", "a", "a"], TableOptions(), "two columns of one name"),
    ],
)
def test_a_column_that_does_not_exist_is_a_wrong_call(pictures, header, options, words):
    table = write_table(pictures, header, ["images/0.png"] + ["x"] * (len(header) - 1))

    with pytest.raises(CallError, match=words):
        list(sources.read(table, options=options))


def test_a_table_that_is_no_text_is_refused(pictures):
    path = pictures / "list.csv"
    path.write_bytes(b"file\n\xff\xfe\x00")

    [rejected] = sources.read(path)

    assert rejected.outcome.reason == f"{path}: is no CSV in UTF-8 (UnicodeDecodeError)"


def test_class_folders_label_their_cases(pictures, write_dicom):
    (pictures / "data" / "normal").mkdir(parents=True)
    (pictures / "images").rename(pictures / "data" / "ill")
    write_dicom("data/normal/ct.dcm")
    (pictures / "data" / "ill" / "notes.txt").write_text("x")
    Pillow.new("L", (3, 3)).save(pictures / "data" / "stray.png")

    found = list(sources.read_labelled(pictures / "data"))

    labels = [one.row["label"] for one in found if isinstance(one, Case)]
    assert labels == ["ill", "ill", "ill", "normal"]
    assert [type(one.outcome) for one in found if isinstance(one, Rejected)] == [Skipped, Refused]
    assert "stray.png: lies in no class folder" in found[-1].outcome.reason
    assert found[-2].patient == "patient-1"


def test_rows_and_class_folders_may_name_series(pictures, write_series):
    folder = write_series([(0, 0, float(z)) for z in range(3)], "data/normal")
    (folder / "notes.txt").write_text("x")
    stray = folder.parent / "stray.dcm"
    stray.write_bytes((folder / "000.dcm").read_bytes())
    table = write_table(pictures, ["file", "label"], ["data/normal", "a"])

    row = list(sources.read(table, Unit.SERIES))
    classes = list(sources.read_labelled(folder.parent, unit=Unit.SERIES))

    assert [type(getattr(one, "outcome", one)) for one in row] == [Skipped, Case]
    assert row[1].row["label"] == "a"
    assert [type(getattr(one, "outcome", one)) for one in classes] == [Skipped, Case, Refused]
    assert classes[1].row == {"label": "normal"}
    assert classes[2].reference.files == (str(stray),)


def test_folders_of_splits_hold_the_class_folders(pictures):
    for split in ("train", "test"):
        (pictures / "data" / split / "ill").mkdir(parents=True)
        Pillow.new("L", (3, 3)).save(pictures / "data" / split / "ill" / "x.png")

    rows = [case.row for case in sources.read_labelled(pictures / "data")]

    assert rows == [{"label": "ill", "split": "test"}, {"label": "ill", "split": "train"}]


def test_what_lies_beside_the_folders_of_splits_stands_in_a_result(pictures):
    (pictures / "data" / "test").mkdir(parents=True)
    (pictures / "images").rename(pictures / "data" / "test" / "ill")
    Pillow.new("L", (3, 3)).save(pictures / "data" / "stray.png")
    (pictures / "data" / "notes.txt").write_text("x")

    notes, stray, *cases = sources.read_labelled(pictures / "data")

    assert (notes.reference.source, type(notes.outcome)) == (str(pictures / "data" / "notes.txt"), Skipped)
    assert type(stray.outcome) is Refused
    assert "stray.png: lies in no class folder" in stray.outcome.reason
    assert [case.row for case in cases] == [{"label": "ill", "split": "test"}] * 3


@pytest.mark.parametrize("name", ["images/0.png", "images", "gone"])
def test_data_without_labels_is_a_wrong_call(pictures, name):
    with pytest.raises(CallError, match=r"class folders|does not exist"):
        list(sources.read_labelled(pictures / name))
