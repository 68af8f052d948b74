"""Arrays in memory, `.npy`, and `.npz` in MedMNIST's layout."""

import csv
import hashlib

import numpy as np
import pytest

from medplug import sources
from medplug.case import Case, Unit
from medplug.errors import CallError
from medplug.result import Rejected


def test_pneumoniamnist_is_read_row_by_row(test_data):
    folder = test_data / "pneumoniamnist"
    with (folder / "manifest.csv").open(newline="") as stream:
        manifest = {row["split"]: row for row in csv.DictReader(stream)}

    cases = list(sources.read(folder / "pneumoniamnist.npz"))

    for split, row in manifest.items():
        chosen = [case for case in cases if case.row["split"] == split]
        assert len(chosen) == int(row["n"])
        assert sum(case.row["label"] == "1" for case in chosen) == int(row["label1_pneumonia"])
        assert [case.reference.row for case in chosen] == list(range(len(chosen)))
        pixels = np.concatenate([case.image.read() for case in chosen])
        assert hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest() == row["images_sha256"]
    assert len({case.reference.source for case in cases}) == len(cases)
    assert cases[0].image.values.full_range == (0, 255)


def test_the_last_axis_decides_between_colour_and_volume(tmp_path):
    path = tmp_path / "x.npz"
    colour = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    volume = np.arange(2 * 6 * 4 * 5, dtype=np.uint8).reshape(2, 6, 4, 5)
    np.savez(path, train_images=colour, test_images=volume)

    train, test = list(sources.read(path))[1::2]

    assert (train.image.channels, train.image.shape) == (3, (4, 5))
    assert (test.image.channels, test.image.shape) == (1, (6, 4, 5))
    np.testing.assert_array_equal(train.image.read(), np.moveaxis(colour[1], -1, 0))
    np.testing.assert_array_equal(test.image.read()[0], volume[1])
    assert train.row == {"split": "train"}


def test_several_labels_become_several_columns(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, val_images=np.zeros((1, 4, 4), np.uint8), val_labels=np.array([[1, 0, 1]]))

    [case] = sources.read(path)

    assert case.row == {"split": "val", "label_0": "1", "label_1": "0", "label_2": "1"}


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"images": np.zeros((1, 4, 4), np.uint8)}, "no train_images"),
        ({"train_images": np.zeros((2, 4, 4), np.float64)}, "holds float64"),
        ({"train_images": np.zeros((2, 4, 4), np.uint8), "train_labels": np.zeros((3, 1))}, "3 train_labels"),
        ({"train_images": np.array([{}, 1], object)}, "Python objects"),
        ({"train_images": np.zeros((2, 0, 4), np.uint8)}, "is no image"),
    ],
)
def test_an_npz_that_is_not_in_the_layout_is_refused_by_name(tmp_path, arrays, words):
    path = tmp_path / "x.npz"
    np.savez(path, **arrays)

    [rejected] = sources.read(path)

    assert isinstance(rejected, Rejected)
    assert rejected.outcome.reason.startswith(f"{path}: ")
    assert words in rejected.outcome.reason


def test_a_pickle_in_a_npy_is_never_loaded(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.array([{}], object), allow_pickle=True)

    [rejected] = sources.read(path)

    assert "Python objects" in rejected.outcome.reason


@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<f4", ">i2"])
def test_a_npy_is_read_in_native_byte_order(tmp_path, dtype):
    path = tmp_path / "x.npy"
    pixels = np.arange(24).reshape(2, 3, 4).astype(dtype)
    np.save(path, pixels)

    [case] = sources.read(path)

    assert case.image.shape == (2, 3, 4)
    assert case.image.read().dtype == case.image.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(case.image.read()[0], pixels)


def test_a_damaged_array_file_is_refused_by_name(tmp_path):
    cut, no_zip = tmp_path / "x.npy", tmp_path / "y.npz"
    np.save(cut, np.zeros((8, 8), np.uint8))
    cut.write_bytes(cut.read_bytes()[:60])
    no_zip.write_bytes(b"PK\x03\x04 and no more")

    for path in (cut, no_zip):
        [rejected] = sources.read(path)
        assert rejected.outcome.code == "unreadable"
        assert rejected.outcome.reason.startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("shape", "options", "channels", "grid"),
    [
        ((4, 5), {}, 1, (4, 5)),
        ((6, 4, 5), {}, 1, (6, 4, 5)),
        ((4, 5, 3), {}, 3, (4, 5)),
        ((4, 5, 2), {"dims": 2}, 2, (4, 5)),
        ((4, 5, 1), {"dims": 2}, 1, (4, 5)),
        ((4, 5, 3), {"dims": 3}, 1, (4, 5, 3)),
        ((2, 4, 5), {"channels_first": True}, 2, (4, 5)),
        ((1, 4, 5), {"channels_first": True}, 1, (4, 5)),
        ((6, 4, 5, 3), {}, 3, (6, 4, 5)),
    ],
)
def test_axes_of_an_array_in_memory_are_told_apart(shape, options, channels, grid):
    array = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)

    image = sources.from_array(array, **options).image

    assert (image.channels, image.shape) == (channels, grid)
    first = array if options.get("channels_first") or channels == 1 else np.moveaxis(array, -1, 0)
    np.testing.assert_array_equal(image.read(), first.reshape(channels, *grid))


def test_what_an_array_means_is_what_the_caller_says():
    array = np.zeros((4, 5), np.float32)

    plain = sources.from_array(array).image
    told = sources.from_array(array, spacing=(2, 1), modality="DX", value_range=(0, 1)).image

    assert (plain.values.full_range, plain.spacing, plain.modality) == (None, None, None)
    assert (told.values.full_range, told.spacing, told.modality) == ((0, 1), (2.0, 1.0), "DX")


@pytest.mark.parametrize(
    ("array", "options", "words"),
    [
        (np.zeros((4, 5)), {}, "float64"),
        (np.zeros(4, np.uint8), {}, "is no image"),
        (np.zeros((4, 5), np.uint8), {"spacing": (1, 1, 1)}, "2 positive numbers"),
        (np.zeros((4, 5), np.uint8), {"spacing": (1, 0)}, "2 positive numbers"),
    ],
)
def test_an_array_that_is_no_image_is_a_wrong_call(array, options, words):
    with pytest.raises(CallError, match=words):
        sources.from_array(array, **options)


def test_arrays_images_and_cases_are_sources():
    array = np.zeros((4, 5), np.uint8)
    case = sources.from_array(array, name="mine")

    found = list(sources.read([array, case, array, case.image], Unit.INSTANCE))

    assert all(isinstance(one, Case) for one in found)
    assert [one.reference.source for one in found] == ["array", "mine", "array-2", "image-3"]
