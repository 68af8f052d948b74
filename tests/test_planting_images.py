"""Labelled 2-D images: a lesion in half of those chosen, nothing else changed, and patients in one split each."""

import csv
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as Picture

import medplug
from medplug import CallError
from medplug.cli import cli
from medplug.dataset import DataOptions
from medplug.planting_images import plant_images

ROWS, COLUMNS = 48, 64
SPLITS = ["train"] * 12 + ["val"] * 4 + ["test"] * 4


def a_picture(number: int) -> np.ndarray:
    """uint8 [48, 64]: a bright body with darker lungs on black, and noise that differs from picture to picture."""
    row, column = np.mgrid[:ROWS, :COLUMNS]
    body = np.hypot((row - 24) / 22, (column - 32) / 28) < 1
    lung = np.minimum(np.abs(column - 22), np.abs(column - 42)) < 6
    grey = 170.0 * body - 90 * (body & lung) + np.random.default_rng(number).normal(0, 8, (ROWS, COLUMNS)) * body
    return np.clip(grey, 0, 255).astype(np.uint8)


def a_table(folder: Path, rows: list[dict[str, str]]) -> Path:
    with (folder / "table.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / "table.csv"


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A table of 20 normals, of two images a patient, and two images with a finding."""
    folder = tmp_path_factory.mktemp("images")
    rows = []
    for number, split in enumerate([*SPLITS, "train", "test"]):
        Picture.fromarray(a_picture(number)).save(folder / f"{number}.png")
        finding = "none" if number < 20 else "pneumonia"
        rows.append({"file": f"{number}.png", "finding": finding, "who": f"Doe^{number // 2}", "part": split})
    return a_table(folder, rows)


@pytest.fixture(scope="module")
def made(table, tmp_path_factory):
    output = tmp_path_factory.mktemp("made") / "set"
    return plant_images(table, output, select={"finding": "none"}, patient="who", split="part", seed=3)


def manifest(planted) -> list[dict[str, str]]:
    with planted.manifest.open(newline="") as stream:
        return list(csv.DictReader(stream))


def pixels(planted, name: str) -> np.ndarray:
    return np.asarray(Picture.open(planted.manifest.parent / name))


def test_half_of_the_chosen_rows_of_each_split_have_a_lesion_and_no_patient_is_named(made):
    rows = manifest(made)

    assert [row["split"] for row in rows] == SPLITS
    for split, number in (("train", 12), ("val", 4), ("test", 4)):
        labels = [row["label"] for row in rows if row["split"] == split]
        assert (labels.count("lesion"), labels.count("clear")) == (number // 2, number // 2)
    assert made.images == {"train": 12, "val": 4, "test": 4}
    assert made.groups == {"train": 6, "val": 2, "test": 2}
    assert [row["patient"] for row in rows] == [f"patient-{1 + number // 2:05}" for number in range(20)]
    assert "Doe" not in made.manifest.read_text()


def test_nothing_but_the_lesion_differs_from_what_the_source_shows(made):
    for number, row in enumerate(manifest(made)):
        written = pixels(made, row["file"])
        assert (written.dtype, written.shape) == (np.uint16, (ROWS, COLUMNS))
        source = a_picture(number).astype(float) / 255
        change = written / 65535 - source
        if row["label"] == "clear":
            assert np.abs(change).max() < 1e-4
            assert row["mask"] == ""
            continue
        mask = pixels(made, row["mask"]) > 0
        low, high = np.percentile(source, [5, 95])
        assert 0.01 < mask.mean() < 0.2
        assert np.abs(change[~mask]).max() <= np.abs(change[mask]).max()  # it fades out towards and over the border
        assert 0.2 * (high - low) < change[mask].max() <= 0.61 * (high - low)
        assert change[~mask].sum() < change[mask].sum() / 2


def test_a_longest_side_keeps_the_proportions_and_masks_follow(table, tmp_path):
    planted = plant_images(table, tmp_path / "set", select={"finding": "none"}, size=32, patient="who", split="part")

    for row in manifest(planted):
        assert pixels(planted, row["file"]).shape == (24, 32)
        assert not row["mask"] or pixels(planted, row["mask"]).shape == (24, 32)


def test_the_same_seed_gives_the_same_bytes_and_another_one_another(table, tmp_path):
    def contents(name, seed):
        plant_images(table, tmp_path / name, count=18, select={"finding": "none"}, split="part", seed=seed)
        folder = tmp_path / name
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert contents("a", 1) == contents("b", 1) != contents("c", 2)


def test_a_folder_without_a_table_is_split_by_itself(tmp_path):
    (tmp_path / "normal").mkdir()
    for number in range(30):
        Picture.fromarray(a_picture(number)).save(tmp_path / "normal" / f"{number}.png")

    planted = plant_images(tmp_path / "normal", tmp_path / "set")

    assert sum(planted.images.values()) == 30
    assert set(planted.images) == {"train", "val", "test"}
    assert any("no patients are known" in note for note in planted.notes)


def test_a_split_without_a_row_is_told(tmp_path):
    (tmp_path / "normal").mkdir()
    for number in range(2):
        Picture.fromarray(a_picture(number)).save(tmp_path / "normal" / f"{number}.png")

    code, said = run("plant", tmp_path / "normal", "--dims", 2, "-o", tmp_path / "set")

    assert code == 0
    assert "2 train from 2 patients; written to" in said
    assert "note: there is no val and no test row: want a split column with it, or more patients" in said


@pytest.mark.parametrize("example", ["images", "volumes"])
def test_an_example_that_is_called_without_its_arguments_says_what_it_wants(example):
    script = Path(__file__).parents[1] / "examples" / example / "train.sh"

    ran = subprocess.run(["sh", script], capture_output=True, text=True, check=False)

    assert ran.returncode == 2
    assert ran.stderr.startswith("usage: ")


def test_what_cannot_be_planted_into_is_told_and_nothing_is_left_behind(table, tmp_path):
    with pytest.raises(CallError, match="no image to plant into with finding=healthy; there are none, pneumonia"):
        plant_images(table, tmp_path / "set", select={"finding": "healthy"})
    with pytest.raises(CallError, match=r"has no column 'findings'; .*did you mean 'finding'"):
        plant_images(table, tmp_path / "set", select={"findings": "none"})
    with pytest.raises(CallError, match="images to plant into: 1 train, 1 test; want at least 2 of each split"):
        plant_images(table, tmp_path / "set", select={"finding": "pneumonia"}, split="part")
    small, colour = tmp_path / "small", tmp_path / "colour"
    for number in range(20):
        for folder, picture in ((small, a_picture(number)[:12]), (colour, in_colour(a_picture(number)))):
            folder.mkdir(exist_ok=True)
            Picture.fromarray(picture).save(folder / f"{number}.png")
    with pytest.raises(CallError, match=r"no image to plant into; .*is 12 x 64 pixels, and a lesion needs 16"):
        plant_images(small, tmp_path / "set")
    with pytest.raises(CallError, match="is 15 x 20 pixels when its longest side has 20, and a lesion needs 16"):
        plant_images(table, tmp_path / "set", size=20)
    with pytest.raises(CallError, match=r"of 14 train images 0 clear and 0 lesion can be made; .*0\.png: is in colour"):
        plant_images(colour, tmp_path / "set")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["colour", "small"]


def in_colour(grey: np.ndarray) -> np.ndarray:
    return np.stack([grey, grey // 2, grey], axis=-1)


@pytest.mark.parametrize(("count", "said"), [(-1, "-1 images:"), (1, "1 images:"), (5, "to plant into: 0 val;")])
def test_a_count_that_leaves_a_split_without_images_is_refused(table, tmp_path, count, said):
    with pytest.raises(CallError, match=f"{said} want at least 2 of each split"):
        plant_images(table, tmp_path / "set", count=count, select={"finding": "none"}, split="part", seed=1)

    assert list(tmp_path.iterdir()) == []


def test_a_split_of_which_nothing_is_left_is_no_set(tmp_path):
    rows = []
    for number, split in enumerate(SPLITS):
        grey = a_picture(number)
        Picture.fromarray(in_colour(grey) if split == "test" else grey).save(tmp_path / f"{number}.png")
        rows.append({"file": f"{number}.png", "split": split})

    with pytest.raises(CallError, match=r"of 4 test images 0 clear and 0 lesion can be made; .*16\.png: is in colour"):
        plant_images(a_table(tmp_path, rows), tmp_path / "set")

    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("spoilt", ["white", "even"])
def test_an_image_that_would_show_no_lesion_is_left_out_whatever_label_it_was_to_have(tmp_path, spoilt):
    for number in range(30):
        picture = a_picture(number)
        if number < 10:
            picture = (
                np.where(picture > 40, 255, 0).astype(np.uint8) if spoilt == "white" else np.eye(48, 64, dtype=np.uint8)
            )
        Picture.fromarray(picture).save(tmp_path / f"{number:02}.png")

    planted = plant_images(tmp_path, tmp_path / "set")

    left_out = {note.partition(":")[0][-6:-4] for note in planted.notes if "shows no lesion" in note}
    assert left_out <= {f"{number:02}" for number in range(10)}
    assert len(left_out) >= 8
    for row in manifest(planted):
        number = int(Path(row["file"]).stem)
        change = np.abs(
            pixels(planted, row["file"]) / 65535 - np.asarray(Picture.open(tmp_path / f"{number:02}.png")) / 255
        )
        assert (change.max() > 0.05) == (row["label"] == "lesion")


def test_an_even_image_is_left_out_and_changes_nothing_of_the_others(tmp_path):
    for name in ("with", "without"):
        (tmp_path / name).mkdir()
        for number in range(20):
            picture = np.full((20, 20), 7, np.uint8) if (number, name) == (0, "with") else a_picture(number)
            Picture.fromarray(picture).save(tmp_path / name / f"{number:02}.png")

    one, other = (plant_images(tmp_path / name, tmp_path / f"{name}-set") for name in ("with", "without"))

    assert any("00.png: is one even grey" in note for note in one.notes)
    assert manifest(one) == manifest(other)[1:]
    for row in manifest(one):
        np.testing.assert_array_equal(pixels(one, row["file"]), pixels(other, row["file"]))


def test_grey_that_is_stored_as_colour_is_planted_into(tmp_path):
    for number in range(20):
        Picture.fromarray(np.stack([a_picture(number)] * 3, axis=-1)).save(tmp_path / f"{number}.png")

    planted = plant_images(tmp_path, tmp_path / "set")

    clear = next(row for row in manifest(planted) if row["label"] == "clear")
    assert pixels(planted, clear["file"]).ndim == 2


def run(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(cli, [str(word) for word in words])
    return done.exit_code, done.output


def test_a_model_is_trained_and_explained_on_them_by_the_commands(table, tmp_path):
    columns = ("--select", "finding=none", "--patient", "who", "--split", "part")

    planted = run("plant", table, "--dims", 2, *columns, "-o", tmp_path / "set")
    wrong = run("plant", table, "--patient", "who", "-o", tmp_path / "other")
    twice = run("plant", table, "--dims", 2, *columns, "--select", "finding=pneumonia", "-o", tmp_path / "other")
    medplug.train(
        "cnn",
        data=tmp_path / "set" / "manifest.csv",
        output=tmp_path / "model",
        data_options=DataOptions(patient="patient", mask="mask"),
        options={"size": 32, "width": 4, "depth": (1,), "views": 1},
        steps=2,
        duplicates="keep",
        device="cpu",
    )
    measured = run("evaluate", tmp_path / "model", "--explain", 4, "--resamples", 10, "--device", "cpu")

    assert planted[0] == 0
    assert "12 train from 6 patients, 4 val from 2 patients, 4 test from 2 patients" in planted[1]
    assert wrong[0] == 2
    assert "--patient is for images: add --dims 2" in wrong[1]
    assert twice[0] == 2
    assert "a column is named twice" in twice[1]
    assert measured[0] == 0
    assert "4 test rows, 2 patients (patient), 0 refused" in measured[1]
    assert re.search(
        r"[0-2] of 2 planted lesions moved an answer, too few to say how well the maps point", measured[1]
    )  # into those without one
