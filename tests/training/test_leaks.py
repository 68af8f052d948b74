"""A training stops at images that stand in two splits, unless it is told what becomes of them; then it says so."""

import numpy as np
import pytest
import torch
from learners import install, pixels, write_csv

from medplug.dataset import DataOptions
from medplug.errors import CallError, TrainingError
from medplug.evaluation import evaluate
from medplug.model_folder import read_card
from medplug.training import train


@pytest.fixture(autouse=True)
def learners(tmp_path_factory, monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.syspath_prepend(str(install(tmp_path_factory.mktemp("site"))))
    yield
    torch.set_num_threads(before)


@pytest.fixture
def leaking(tmp_path):
    """60 rows: of train rows 0 and 1 stand in test too, the latter brighter; val row 40 stands in test too."""
    images, labels = pixels(60)
    images = images.astype(np.int64)
    for twin, row in ((50, 0), (51, 40)):
        images[twin] = images[row]
    images[52] = images[1] * 0.8 + 40
    splits = ["train"] * 40 + ["val"] * 10 + ["test"] * 10
    rows = [{"label": label, "split": split, "pixels": image} for image, label, split in zip(images, labels, splits)]
    return write_csv(tmp_path / "data", rows)


def sides(data, output, **more):
    return train("sides", data, output, device="cpu", steps=2, **more)


def test_a_training_stops_and_names_the_files_their_splits_how_many_and_the_way_out(leaking, tmp_path):
    with pytest.raises(TrainingError) as stopped:
        sides(leaking, tmp_path / "m")

    told = str(stopped.value)
    assert told.startswith("3 images stand in two splits")
    assert "data/0.png (train) and " in told
    assert "data/50.png (test), the same pixels" in told
    assert "data/1.png (train) and " in told
    assert "data/52.png (test), nearly the same (likeness " in told
    assert "data/40.png (val) and " in told
    assert "--duplicates drop, which takes out 2 train rows and 1 val row, or --duplicates keep" in told
    assert not (tmp_path / "m").exists()


def test_dropping_takes_the_rows_of_the_earlier_split_out_and_says_how_many(leaking, tmp_path):
    trained = sides(leaking, tmp_path / "m", duplicates="drop")

    record = read_card(tmp_path / "m").training
    assert record.rows == {"train": 38, "val": 9, "test": 10}
    assert (record.duplicates_dropped, record.leaks) == (3, ())
    assert any(note.endswith("stand in a later split too: 2 train rows and 1 val row") for note in trained.notes)
    assert not any("training:" in warning for warning in evaluate(tmp_path / "m", device="cpu").warnings)


def test_what_is_kept_stands_in_the_card_and_in_red_in_every_evaluation(leaking, tmp_path):
    trained = sides(leaking, tmp_path / "m", duplicates="keep")

    record = read_card(tmp_path / "m").training
    assert record.rows == {"train": 40, "val": 10, "test": 10}
    [leak] = record.leaks
    assert (
        leak == "3 images that stand in two splits were kept, which flatters the figures"
    )  # a file may be a patient's
    assert any(note.startswith(f"{leak}: ") and "data/0.png (train)" in note for note in trained.notes)
    assert f"training: {leak}" in evaluate(tmp_path / "m", device="cpu", resamples=0).warnings


def test_the_same_pixels_with_two_labels_in_one_split_are_told(tmp_path):
    images, labels = pixels(30)
    images[7] = images[4]
    rows = [{"label": labels[row], "split": "val" if row > 20 else "train", "pixels": images[row]} for row in range(30)]

    trained = sides(write_csv(tmp_path / "data", rows), tmp_path / "m")

    [leak] = trained.card.training.leaks
    assert leak == "1 image stands in one split twice with different labels"
    assert any(note.startswith(f"{leak}; the first: ") and "4.png and " in note for note in trained.notes)


def test_looking_for_duplicates_is_told_and_a_choice_that_is_none_is_refused(leaking, tmp_path):
    told = []

    sides(leaking, tmp_path / "m", duplicates="keep", progress=told.append)

    looked = [one.images for one in told if one.phase == "looking for duplicates"]
    assert looked == [(done, 60) for done in range(1, 61)]
    with pytest.raises(CallError, match="duplicates is 'ignore'; want one of refuse, drop, keep"):
        sides(leaking, tmp_path / "n", duplicates="ignore")


def test_a_patient_in_two_splits_is_named_with_a_row_of_each(tmp_path):
    rows = [
        {"label": row % 2, "who": f"p{row // 2}", "split": "test" if row in (5, 30) else "train"} for row in range(40)
    ]
    data = write_csv(tmp_path / "data", rows)

    with pytest.raises(TrainingError) as stopped:
        sides(data, tmp_path / "m", data_options=DataOptions(patient="who"))

    told = str(stopped.value)
    assert told.startswith("2 patients have rows in several splits")
    assert "'p2' (test: " in told
    assert "data/5.png, train: " in told
    assert "data/4.png)" in told
