"""Labels, targets, patients and splits come from the data, and what is wrong with them is named."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from learners import write_csv, write_npz

from medplug import sources
from medplug.dataset import DataOptions, load
from medplug.errors import CallError, TrainingError
from medplug.model import Labels, Task

CLASSES = Task.CLASSIFICATION


def table(folder, count=40, **columns):
    rows = [{name: value(index) for name, value in columns.items()} for index in range(count)]
    return write_csv(folder, rows)


def test_a_medmnist_file_brings_its_labels_and_splits(tmp_path):
    dataset = load(write_npz(tmp_path / "x.npz", 6, 4, 2), task=CLASSES)

    assert dataset.labels == Labels(names=("0", "1"))
    assert dataset.rows() == {"train": 6, "val": 4, "test": 2}
    assert dataset.targets.dtype == np.int64
    assert dataset.of("val").targets.tolist() == [0, 1, 0, 1]
    assert dataset.of("test").cases[1].reference.source.endswith("x.npz:test/1")
    assert dataset.split_column == "split"
    assert any("no patient ids" in note for note in dataset.notes)


def test_class_folders_become_labels(tmp_path):
    source = table(tmp_path / "flat", 4, label=lambda i: "x")
    for index in range(4):
        folder = tmp_path / "xray" / ("sick" if index % 2 else "healthy")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(source.parent / f"{index}.png", folder)

    dataset = load(tmp_path / "xray", task=CLASSES)

    assert dataset.labels.names == ("healthy", "sick")
    assert sorted(dataset.targets.tolist()) == [0, 0, 1, 1]


def test_a_table_beside_class_folders_is_said_to_be_unread(tmp_path):
    source = table(tmp_path / "flat", 4, label=lambda i: "x")
    for index in range(4):
        folder = tmp_path / "xray" / ("sick" if index % 2 else "healthy")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(source.parent / f"{index}.png", folder)
    before = load(tmp_path / "xray", task=CLASSES).notes
    shutil.copy(source, tmp_path / "xray" / "manifest.csv")

    after = load(tmp_path / "xray", task=CLASSES).notes

    assert not any("manifest.csv" in note for note in before)
    assert any(note.startswith("manifest.csv in ") and "name a table to use it" in note for note in after)


def test_numbers_are_sorted_as_numbers_and_words_as_words(tmp_path):
    numbers = load(table(tmp_path / "a", 12, label=lambda i: i), task=CLASSES)
    words = load(table(tmp_path / "b", 3, label=lambda i: "cab"[i]), task=CLASSES)

    assert numbers.labels.names == tuple(map(str, range(12)))
    assert words.labels.names == ("a", "b", "c")
    assert words.targets.tolist() == [2, 0, 1]


def test_several_label_columns_are_present_absent_or_unknown(tmp_path):
    data = table(tmp_path, 6, mass=lambda i: i % 2, fluid=lambda i: "" if i == 3 else "1.0")

    dataset = load(data, DataOptions(labels=("mass", "fluid")), task=CLASSES)

    assert dataset.labels == Labels(names=("mass", "fluid"), exclusive=False)
    assert dataset.targets.dtype == np.float32
    assert np.isnan(dataset.targets[3, 1])
    assert dataset.targets[1].tolist() == [1, 1]
    wrong = table(tmp_path / "wrong", 6, mass=lambda i: i, fluid=lambda i: 1)
    with pytest.raises(CallError, match="column 'mass' holds '2'"):
        load(wrong, DataOptions(labels=("mass", "fluid")), task=CLASSES)


def test_regression_takes_numbers_and_leaves_out_rows_without_them(tmp_path):
    data = table(tmp_path, 8, age=lambda i: "" if i == 2 else 20.5 + i, split=lambda i: "train")

    dataset = load(data, DataOptions(labels=("age",)), task=Task.REGRESSION)

    assert len(dataset) == 7
    assert dataset.targets[:2].tolist() == [[20.5], [21.5]]
    assert [one.reference.row for one in dataset.rejected] == [2]
    with pytest.raises(CallError, match="'train', which is no number"):
        load(data, DataOptions(labels=("split",)), task=Task.REGRESSION)


def test_a_label_file_names_and_orders_labels_and_brings_codes(tmp_path):
    data = table(tmp_path, 8, label=lambda i: i % 2)
    code = {"value": "233604007", "scheme": "SCT", "meaning": "Pneumonia"}
    file = tmp_path / "labels.json"
    file.write_text(json.dumps([{"value": "1", "name": "pneumonia", "code": code}, {"value": "0", "name": "normal"}]))

    dataset = load(data, DataOptions(label_file=file), task=CLASSES)
    again = load(data, task=CLASSES, labels=dataset.labels)

    assert dataset.labels.names == ("pneumonia", "normal")
    assert dataset.labels.codes["pneumonia"].meaning == "Pneumonia"
    assert dataset.targets[:2].tolist() == [1, 0]
    assert again.targets.tolist() == dataset.targets.tolist()
    file.write_text('[{"value": "0"}, {"value": "2"}]')
    with pytest.raises(CallError, match="does not list 1 and lists 2"):
        load(data, DataOptions(label_file=file), task=CLASSES)


def test_a_label_that_the_model_does_not_know_is_named(tmp_path):
    data = table(tmp_path, 8, label=lambda i: ["normal", "flu"][i % 2])

    with pytest.raises(CallError, match="'flu', which the model does not know; it has mass, normal"):
        load(data, task=CLASSES, labels=Labels(names=("mass", "normal")))


def test_one_label_is_nothing_to_tell_apart(tmp_path):
    data = table(tmp_path, 8, label=lambda i: "mass" if i else "")

    with pytest.raises(CallError, match=r"one label 'mass' in its 7 usable rows: a classifier.*; 1 row is left out"):
        load(data, task=CLASSES)


def test_a_label_of_one_row_that_is_written_almost_as_a_frequent_one_is_told(tmp_path):
    names = {0: "pnuemonia", 1: "Normal", 2: "grade1", 3: "abscess"}
    data = table(tmp_path, 80, label=lambda i: names.get(i, ("pneumonia", "normal", "grade2")[i % 3]))

    notes = load(data, task=CLASSES).notes

    told = [note for note in notes if note.startswith("the label ")]
    assert [(note.split("'")[1], note.split("'")[3]) for note in told] == [
        ("pnuemonia", "pneumonia"),
        ("Normal", "normal"),
    ]
    assert "'pnuemonia' stands in 1 of 80 rows, and is learned as one of its own" in told[0]


def test_without_a_label_column_the_candidates_are_listed(tmp_path):
    data = table(tmp_path, 30, finding=lambda i: i % 3, note=lambda i: f"text {i}")

    with pytest.raises(CallError, match=r"--label. These could be labels: finding \(3 values\); all columns: finding"):
        load(data, task=CLASSES)


def test_a_generator_needs_no_labels(tmp_path):
    dataset = load(table(tmp_path, 10, site=lambda i: "a"), task=Task.GENERATION)

    assert len(dataset.labels) == 0
    assert set(dataset.targets.tolist()) == {-1}


def test_rows_without_a_label_are_left_out_and_said(tmp_path):
    dataset = load(table(tmp_path, 10, label=lambda i: "" if i < 2 else i % 2), task=CLASSES)

    assert len(dataset) == 8
    assert len(dataset.rejected) == 2
    assert any(note.startswith("2 rows are left out") for note in dataset.notes)


def test_split_names_are_read_whatever_their_case_and_others_are_named(tmp_path):
    names = ["Train", "TEST", "valid", "validation", "dev", "train"]
    dataset = load(table(tmp_path, 6, label=lambda i: i % 2, split=lambda i: names[i]), task=CLASSES)

    assert dataset.splits.tolist() == ["train", "test", "val", "val", "val", "train"]
    assert any("--split" in note for note in dataset.notes)
    strange = table(tmp_path / "b", 6, label=lambda i: i % 2, part=lambda i: "holdout")
    with pytest.raises(CallError, match="'part' holds 'holdout'; want train"):
        load(strange, DataOptions(split="part"), task=CLASSES)


def test_a_missing_split_keeps_patients_together_and_labels_in_proportion(tmp_path):
    data = table(tmp_path, 300, label=lambda i: int(i % 10 == 0), who=lambda i: f"p{i // 2}")
    options = DataOptions(patient="who")

    dataset = load(data, options, task=CLASSES)

    assert dataset.split_made
    whose = {(str(who), str(split)) for who, split in zip(dataset.patients, dataset.splits)}
    assert len(whose) == 150
    assert dataset.rows()["train"] == pytest.approx(210, abs=4)
    for split in ("train", "val", "test"):
        assert dataset.of(split).targets.mean() == pytest.approx(0.1, abs=0.04)
    assert load(data, options, task=CLASSES).splits.tolist() == dataset.splits.tolist()
    assert load(data, options, task=CLASSES, seed=1).splits.tolist() != dataset.splits.tolist()


def test_the_split_does_not_depend_on_the_order_of_the_rows(tmp_path):
    data = table(tmp_path, 60, label=lambda i: i % 2)
    header, *lines = data.read_text().splitlines()
    turned = tmp_path / "turned.csv"
    turned.write_text("\n".join([header, *reversed(lines)]))

    one, other = load(data, task=CLASSES), load(turned, task=CLASSES)

    assert one.splits.tolist() == other.splits.tolist()[::-1]
    assert one.sha256 == other.sha256


def test_validation_rows_are_carved_out_of_train_by_patient(tmp_path):
    data = table(
        tmp_path,
        100,
        label=lambda i: i % 2,
        who=lambda i: f"p{i // 4}",
        split=lambda i: "test" if i >= 80 else "train",
    )

    dataset = load(data, DataOptions(patient="who"), task=CLASSES)

    assert dataset.splits[80:].tolist() == ["test"] * 20
    assert 8 <= dataset.rows()["val"] <= 16
    assert not set(dataset.of("val").patients) & set(dataset.of("train").patients)
    assert not dataset.split_made


def test_patients_that_span_splits_stop_it_and_are_named(tmp_path):
    data = table(
        tmp_path, 40, label=lambda i: i % 2, who=lambda i: f"p{i // 2}", split=lambda i: "test" if i % 2 else "train"
    )

    with pytest.raises(TrainingError, match=r"^20 patients .* 'p0' \(test: \S+\.png, train: \S+\); .* and 10 more"):
        load(data, DataOptions(patient="who"), task=CLASSES)


def test_the_hash_sees_another_label_split_or_file(tmp_path):
    def hash_of(folder, **columns):
        return load(table(tmp_path / folder, 10, **columns), task=CLASSES).sha256

    columns = {"label": lambda i: i % 2, "split": lambda i: "train" if i < 8 else "test"}
    same = hash_of("a", **columns)

    assert hash_of("b", **columns) == same
    assert hash_of("c", **{**columns, "label": lambda i: i % 3 % 2}) != same
    assert hash_of("d", **{**columns, "split": lambda i: "train" if i < 7 else "test"}) != same
    (tmp_path / "a" / "3.png").write_bytes((tmp_path / "a" / "3.png").read_bytes() + b"x")
    assert load(tmp_path / "a" / "table.csv", task=CLASSES).sha256 != same


def test_a_column_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CallError, match="no column 'who'"):
        load(write_npz(tmp_path / "x.npz"), DataOptions(patient="who"), task=CLASSES)


def test_an_unreadable_row_stands_among_the_rejected(tmp_path):
    data = table(tmp_path, 10, label=lambda i: i % 2)
    (tmp_path / "4.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")

    dataset = load(data, task=CLASSES)

    assert len(dataset) == 9
    assert [one.reference.row for one in dataset.rejected] == [4]


def test_rows_without_a_patient_id_stand_alone_and_the_others_stay_grouped(tmp_path, monkeypatch):
    ids = {0: "a", 1: "a", 2: "b", 3: ""}
    data = table(tmp_path, 4, label=lambda i: i % 2)
    read = sources.read_labelled

    def with_ids(*arguments, **options):  # as DICOM files bring them
        for case in read(*arguments, **options):
            yield dataclasses.replace(case, patient=ids[case.reference.row] or None)

    monkeypatch.setattr(sources, "read_labelled", with_ids)

    dataset = load(data, task=CLASSES)

    assert dataset.patients.tolist() == ["a", "a", "b", "row 3.png"]
    assert dataset.patient_column == "PatientID"
    assert "1 rows have no patient in PatientID: each is taken for a patient of its own" in dataset.notes


def test_an_anomaly_model_meets_labels_that_it_never_saw(tmp_path):
    data = table(tmp_path, 8, label=lambda i: ["0", "flu", "cold", "0"][i % 4])
    known = Labels(names=("normal",), values=("0",))

    dataset = load(data, task=Task.ANOMALY, labels=known)

    assert dataset.labels.names == ("normal", "cold", "flu")
    assert dataset.labels.values == ("0", "cold", "flu")
    assert dataset.targets[:4].tolist() == [0, 2, 1, 0]
    assert known.names == ("normal",)
    named = table(tmp_path / "named", 8, label=lambda i: ["normal", "flu"][i % 2])
    with pytest.raises(CallError, match="'normal', which the model does not know"):
        load(named, task=Task.ANOMALY, labels=known)


def test_the_hash_sees_another_mask_and_the_order_hash_another_order(tmp_path):
    data = table(tmp_path, 6, outline=lambda i: f"{(i + 1) % 6}.png", split=lambda i: "train")
    options, task = DataOptions(mask="outline"), Task.SEGMENTATION
    header, *lines = data.read_text().splitlines()
    turned = tmp_path / "turned.csv"
    turned.write_text("\n".join([header, *reversed(lines)]))

    before, other = load(data, options, task=task), load(turned, options, task=task)

    assert before.sha256 == other.sha256
    assert before.order_sha256 != other.order_sha256
    assert before.order_sha256 == load(data, options, task=task).order_sha256
    mask = tmp_path / "mask.png"
    mask.write_bytes((tmp_path / "0.png").read_bytes() + b"x")
    data.write_text(data.read_text().replace("5.png,0.png", "5.png,mask.png"))
    assert load(data, options, task=task).sha256 != before.sha256


def test_data_that_a_model_did_not_learn_is_all_test_rows_where_it_has_no_split(tmp_path):
    data = table(tmp_path / "a", 40, label=lambda i: i % 2)
    split = table(tmp_path / "b", 40, label=lambda i: i % 2, split=lambda i: ["train", "val", "test", "test"][i % 4])
    learned = load(data, task=CLASSES)

    other = load(data, task=CLASSES, learned="other")

    assert (other.rows(), other.split_made) == ({"test": 40}, False)
    assert "no split column: every row is measured" in other.notes
    assert not any("70/15/15" in note for note in other.notes)
    assert other.sha256 not in (learned.sha256, "")
    assert load(data, task=CLASSES, learned=learned.sha256).rows() == learned.rows()
    assert load(split, task=CLASSES, learned="other").rows() == {"train": 10, "val": 10, "test": 20}
