"""What a benchmark knows of its rows, and the tables that it writes."""

import csv
from pathlib import Path

import numpy as np
import pytest
from bench.models.parts import OPTIONS, write_table

from medplug.bench.models.rows import read
from medplug.bench.models.sets import KnownSet
from medplug.case import Case
from medplug.dataset import DataOptions, load
from medplug.errors import CallError
from medplug.model import Task
from medplug.sources import read_labelled


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_a_table_of_some_rows_holds_their_pixels_and_they_are_found_again(kind, table, npz, tmp_path):
    data, options = (table, OPTIONS) if kind == "csv" else (npz, DataOptions())
    rows = read(data, options)
    parts = {"train": np.array([7, 3, 40]), "val": np.array([12]), "test": np.array([2, 47, 6])}

    written = rows.write(tmp_path / "new" / "part", parts)

    made = load(written, rows.options, task=Task.CLASSIFICATION)
    assert made.rows() == {"train": 3, "val": 1, "test": 3}
    original = [case for case in read_labelled(data) if isinstance(case, Case)]
    for split, numbers in parts.items():
        for case in made.of(split).cases:
            number = rows.number_of(parts, split, case.reference.row)
            assert number in numbers
            np.testing.assert_array_equal(case.image.read(), original[number].image.read())
            assert case.row[rows.options.labels[0]] == rows.labels[number]


def test_an_image_that_is_not_what_the_table_says_is_named(tmp_path):
    table = write_table(tmp_path)
    lines = list(csv.reader(table.read_text().splitlines()))
    rows = read(table, OPTIONS)
    hashes = rows.content_hashes(rows.of("train"))
    with table.open("w", newline="") as stream:
        csv.writer(stream).writerows(
            [
                [*lines[0], "sha256"],
                *([*line, one] for line, one in zip(lines[1:49], hashes)),
                *([*line, ""] for line in lines[49:]),
            ]
        )
    rows = read(table, OPTIONS)
    assert rows.content_hashes(rows.of("train")) == hashes

    (tmp_path / "7.png").write_bytes((tmp_path / "8.png").read_bytes())

    with pytest.raises(CallError, match=r"7\.png was changed"):
        rows.content_hashes(rows.of("train"))


def test_a_known_set_that_was_changed_is_refused(npz):
    known = KnownSet(name="known", path=npz.name, sha256="0" * 64, label="label", normal="0")

    with pytest.raises(CallError, match=r"sides\.npz was changed: its SHA-256 is .* should be 000000000000"):
        known.find(npz.parent)
    with pytest.raises(CallError, match="cannot be read"):
        known.find(npz.parent / "elsewhere")


def test_the_hash_of_the_data_sees_labels_patients_and_images_and_no_order(table):
    rows = read(table, OPTIONS)
    numbers = rows.of("train")
    contents = rows.content_hashes(numbers)
    before = rows.sha256(contents, numbers)

    assert rows.sha256(contents[::-1], numbers[::-1]) == before
    assert rows.sha256(["other", *contents[1:]], numbers) != before
    text = table.read_text()
    for change in (("train,0.png,left,P0", "train,0.png,right,P0"), ("train,0.png,left,P0", "train,0.png,left,P99")):
        assert change[0] in text
        table.write_text(text.replace(*change))
        assert read(table, OPTIONS).sha256(contents, numbers) != before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("split,", "part,"), "has no column 'split'"),
        (("finding", "other"), "has no column 'finding'"),
        (("train,0.png", "holiday,0.png"), "holds 'holiday'"),
        (("train,0.png,left,P0", "train,0.png"), "row 1: has not as many cells"),
    ],
)
def test_a_table_that_says_not_enough_is_refused(table, change, message):
    text = table.read_text()
    assert change[0] in text
    table.write_text(text.replace(*change))

    with pytest.raises(CallError, match=message):
        read(table, OPTIONS)


def test_several_labels_a_row_are_no_benchmark(table, tmp_path):
    with pytest.raises(CallError, match="one column of labels"):
        read(table, DataOptions(labels=("finding", "person")))
    np.savez(tmp_path / "two.npz", train_images=np.zeros((2, 4, 4), np.uint8), train_labels=np.zeros((2, 3), np.uint8))
    with pytest.raises(CallError, match="not one label a row"):
        read(Path(tmp_path / "two.npz"), DataOptions())
