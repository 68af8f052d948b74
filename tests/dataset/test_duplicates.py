"""Images that stand twice are found whatever was done to them; different images are not taken for one."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Picture

from medplug import sources
from medplug.dataset import load
from medplug.dataset.alike import nearest
from medplug.dataset.duplicates import across_splits, contradictions, fingerprints
from medplug.errors import SourceError
from medplug.model import Task


def cases_of(arrays):
    return [case for array in arrays for case in sources.read(array)]


def found(images, splits):
    prints = fingerprints(cases_of(images))
    return [(one.row, one.twin, one.same) for one in across_splits(prints, np.array(splits))]


def jpeg(image):
    stream = io.BytesIO()
    Picture.fromarray(image).save(stream, "JPEG", quality=80)
    return np.asarray(Picture.open(stream))


def smaller(image):
    rows, columns = (round(side * 0.9) for side in image.shape)
    return np.asarray(Picture.fromarray(image).resize((columns, rows), Picture.Resampling.BILINEAR))


def trimmed(image):
    edge = max(1, round(image.shape[0] * 0.01))
    return np.ascontiguousarray(image[edge:-edge, edge:-edge])


ALTERED = {
    "encoded again": jpeg,
    "rescaled": smaller,
    "brighter": lambda image: np.clip(image * 1.05, 0, 255).astype(np.uint8),
    "trimmed": trimmed,
    "all of it": lambda image: jpeg(smaller(trimmed(image))),
}


def radiographs(test_data, name, split="train", count=400):
    """One image of each of so many patients, or of as many as there are."""
    with (test_data / name / "manifest.csv").open() as table:
        rows = [row for row in csv.DictReader(table) if row["split"] == split]
    patients = {row.get("patient_id") or row.get("patient_group"): row["file"] for row in rows}
    files = list(patients.values())[:count]
    return [np.asarray(Picture.open(test_data / name / file).convert("L")) for file in files]


@pytest.mark.parametrize("data", ["cxr-kermany", "cxr-nih"])
def test_of_real_radiographs_every_altered_copy_is_found_and_nothing_else(test_data, data):
    images = radiographs(test_data, data)
    copies = [change(images[place]) for place, change in enumerate(ALTERED.values())]

    splits = [("train", "val")[row % 2] for row in range(len(images))] + ["test"] * len(copies)

    pairs = found([*images, *copies], splits)

    assert len(images) > 300
    assert pairs == [(place, len(images) + place, False) for place in range(len(copies))]


def test_the_duplicates_that_pneumoniamnist_is_known_to_hold_are_found(test_data):
    dataset = load(test_data / "pneumoniamnist" / "pneumoniamnist.npz", task=Task.CLASSIFICATION)

    prints = fingerprints(dataset.cases)
    pairs = across_splits(prints, dataset.splits)

    assert len({one.twin for one in pairs}) == 8  # as its README says
    assert all(one.same and dataset.splits[one.row] == "train" for one in pairs)
    assert {dataset.splits[one.twin] for one in pairs} == {"val"}
    assert list(contradictions(prints, dataset.splits, dataset.targets)) == []


def noise(count, shape=(40, 40), seed=0):
    return list(np.random.default_rng(seed).integers(0, 256, (count, *shape)).astype(np.uint8))


def test_the_same_pixels_are_the_same_in_whatever_format(tmp_path):
    [image] = noise(1)
    Picture.fromarray(image).save(tmp_path / "a.png")
    Picture.fromarray(image).save(tmp_path / "b.tiff")
    Picture.fromarray(np.stack([image] * 3, axis=-1)).save(tmp_path / "c.png")
    paths = [tmp_path / name for name in ("a.png", "b.tiff", "c.png")]

    prints = fingerprints([*cases_of(paths), *cases_of([image.astype(np.int16)])])

    assert len(set(prints.hashes)) == 1


def test_a_row_is_paired_with_a_later_split_whose_row_is_the_likest():
    images = noise(4)
    brighter = (images[0] // 2 + 60).astype(np.uint8)

    rows = [images[0], images[1], brighter, images[2], images[0], images[2]]

    pairs = found(rows, ["train", "val", "val", "val", "test", "test"])

    assert pairs == [(0, 4, True), (2, 4, False), (3, 5, True)]


def test_volumes_are_compared_as_volumes():
    generator = np.random.default_rng(0)
    volumes = [generator.normal(100, 20, (12, 40, 40)).astype(np.float32) for _ in range(3)]

    pairs = found([*volumes, volumes[1] * 1.1 + 5, volumes[2][:, 1:, 1:]], ["train"] * 3 + ["val", "test"])

    assert pairs == [(1, 3, False)]  # a 40th is more than trimming, and what is left is other noise


def test_images_of_one_tone_are_the_same_only_where_their_pixels_are():
    flat = [np.full((20, 20), tone, np.uint8) for tone in (0, 0, 9, 200)]

    assert found(flat, ["train", "test", "train", "test"]) == [(0, 1, True)]


def test_an_image_twice_in_a_split_with_two_labels_is_a_contradiction():
    images = noise(3)
    prints = fingerprints(cases_of([images[0], images[0], images[1], images[1], images[2], images[2]]))
    splits = np.array(["train", "train", "val", "val", "train", "test"])

    assert list(contradictions(prints, splits, np.array([0, 1, 1, 1, 0, 1]))) == [(0, 1)]


def test_what_cannot_be_read_is_like_nothing():
    def unreadable():
        raise SourceError("unreadable", "its pixels are cut short")

    cases = cases_of(noise(1) * 3)
    broken = [replace(case, images={"image": replace(case.image, read=unreadable)}) for case in cases[:2]]
    told = []

    prints = fingerprints([*broken, cases[2]], lambda done, of: told.append((done, of)))

    assert across_splits(prints, np.array(["train", "test", "test"])) == []
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_nothing_is_near_where_there_is_nothing():
    none = np.empty((0, 64, 64), np.uint8)

    assert [len(part) for part in nearest(none, none)] == [0, 0]
    assert nearest(np.zeros((2, 64, 64), np.uint8), none)[0].tolist() == [-1, -1]
