"""Labelled volumes out of series: apart in space by split, each voxel where it lay in the patient."""

import csv
import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import msgspec
import numpy as np
import pytest

import medplug
from medplug import CallError
from medplug.case import Unit
from medplug.dataset import DataOptions
from medplug.evaluation.main import FILE
from medplug.figures import Evaluation
from medplug.planting import LABELS, SPLITS, plant_set
from medplug.sources import from_array, read

nibabel = pytest.importorskip("nibabel")

SHAPE = (40, 60, 50)


def a_series() -> np.ndarray:
    """int16 [Z, H, W] whose values say where they lie: no two cubes are alike."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    noise = np.random.default_rng(0).integers(0, 60, SHAPE)
    return (200 + 3 * z + 2 * y + x + noise).astype(np.int16)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A set of a series of uneven voxels that lies askew in the patient; and the folder."""
    folder = tmp_path_factory.mktemp("planting")
    affine = np.diag([0.8, 0.8, 0.8, 1.0])
    affine[:3, :3] = affine[:3, :3] @ np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    affine[:3, 3] = (-30, 12, 70)
    nibabel.save(nibabel.Nifti1Image(a_series().T, affine), folder / "series.nii")
    return plant_set(folder / "series.nii", folder / "set", count=60, size=10, seed=3), folder


def table(manifest: Path) -> list[dict[str, str]]:
    with manifest.open(newline="") as stream:
        return list(csv.DictReader(stream))


def volume(manifest: Path, name: str) -> medplug.Image:
    [case] = read(manifest.parent / name, Unit.SERIES)
    return case.image


def corners(image: medplug.Image) -> np.ndarray:
    """The patient coordinates of a volume's first and last voxels."""
    ends = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)], float)
    ends[:, :3] *= np.array(image.shape) - 1
    return (image.to_patient @ ends.T).T[:, :3]


def test_the_manifest_says_what_each_volume_is(made):
    planted, _ = made
    rows = table(planted.manifest)

    assert len(rows) == sum(planted.images.values()) == 60
    assert {row["split"] for row in rows} == set(SPLITS)
    for split in SPLITS:
        labels = [row["label"] for row in rows if row["split"] == split]
        assert abs(labels.count(LABELS[0]) - labels.count(LABELS[1])) <= 1
        assert len({row["patient"] for row in rows if row["split"] == split}) == planted.groups[split]
    for row in rows:
        image = volume(planted.manifest, row["file"])
        assert (image.shape, image.dtype) == ((10, 10, 10), np.int16)
        assert image.spacing == pytest.approx((0.8, 0.8, 0.8), rel=1e-5)
        assert bool(row["mask"]) == (row["label"] == "lesion")
        if row["mask"]:
            mask = volume(planted.manifest, row["mask"])
            np.testing.assert_allclose(mask.to_patient, image.to_patient)
            assert 0.005 < mask.read().mean() < 0.15


def places(planted, folder) -> tuple[list[str], list[np.ndarray]]:
    """The split of each volume, and the lowest and the highest index that it has in its series."""
    [series] = read(folder / "series.nii", Unit.SERIES)
    back = np.linalg.inv(series.image.to_patient)
    splits, boxes = [], []
    for row in table(planted.manifest):
        ends = corners(volume(planted.manifest, row["file"]))
        index = (back @ np.c_[ends, np.ones(8)].T).T[:, :3]
        splits.append(row["split"])
        boxes.append(np.stack([index.min(axis=0), index.max(axis=0)]))
    return splits, boxes


def test_no_voxel_is_in_two_splits(made):
    splits, boxes = places(*made)
    apart = 0
    for (first, one), (second, other) in combinations(zip(splits, boxes, strict=True), 2):
        if first != second:
            gap = np.maximum(one[0], other[0]) - np.minimum(one[1], other[1])
            assert gap.max() > 1.5, (first, second)
            apart += 1
    assert apart > 100


def test_every_voxel_lies_where_it_lay_in_the_patient(made):
    planted, folder = made
    [series] = read(folder / "series.nii", Unit.SERIES)
    stored, turned = a_series(), set()
    for row in table(planted.manifest)[::2]:
        image = volume(planted.manifest, row["file"])
        index = np.indices(image.shape).reshape(3, -1)
        to_series = np.linalg.inv(series.image.to_patient) @ image.to_patient
        at = np.rint(to_series @ np.r_[index, np.ones((1, index.shape[1]))])[:3].astype(int)
        changed = image.read()[0].reshape(-1) != stored[tuple(at)]
        assert changed.mean() == 0 if row["label"] == "clear" else 0 < changed.mean() < 0.3
        turned.add(tuple(np.rint(to_series[:3, :3]).astype(int).reshape(-1)))
    assert turned == {(1, 0, 0, 0, 1, 0, 0, 0, 1)}  # NIfTI names no modality: nothing is turned


def test_slices_of_ct_are_turned_and_stay_where_they_lay(tmp_path):
    case = from_array(a_series(), spacing=(1.0, 1.0, 1.0), modality="CT")
    planted = plant_set(case, tmp_path / "set", count=40, size=10)
    stored, turned = a_series(), set()
    for row in table(planted.manifest):
        image = volume(planted.manifest, row["file"])
        if row["label"] == "clear":
            index = np.indices(image.shape).reshape(3, -1)
            place = image.to_patient @ np.r_[index, np.ones((1, index.shape[1]))]
            x, y, z = np.rint(place[:3]).astype(int)
            np.testing.assert_array_equal(image.read()[0].reshape(-1), stored[z, y, x])
        turned.add(tuple(np.rint(image.to_patient[:3, :3]).astype(int).reshape(-1)))
    assert len(turned) == 8


def test_the_same_seed_gives_the_same_set_and_another_one_another(tmp_path):
    case = from_array(a_series(), spacing=(1.0, 1.0, 1.0))
    first, second, other = (
        plant_set(case, tmp_path / name, count=12, size=12, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )

    def contents(planted):
        folder = planted.manifest.parent
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    assert contents(first) == contents(second) != contents(other)


def test_what_cannot_be_made_is_said_and_nothing_is_left_behind(tmp_path):
    flat = from_array(np.zeros((40, 40), np.uint8))
    with pytest.raises(CallError, match=r"no series to cut volumes out of: .*is no grey volume with a spacing"):
        plant_set(flat, tmp_path / "set", count=12, size=10)
    with pytest.raises(
        CallError, match=r"cut volumes out of: (\S+ is no grey volume with a spacing; ){3}and 6 more; im"
    ):
        plant_set([from_array(np.zeros((40, 40), np.uint8), name="flat")] * 9, tmp_path / "set", count=12, size=10)
    small = from_array(a_series()[:, :20, :20], spacing=(1.0, 1.0, 1.0))
    with pytest.raises(CallError, match="no place for a val block of 18 voxels beside the others in 40 x 20 x 20"):
        plant_set(small, tmp_path / "set", count=12, size=18)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(CallError, match="full is not empty"):
        plant_set(small, tmp_path / "full", count=12, size=10)

    assert [path.name for path in tmp_path.rglob("*")] == ["full", "notes.txt"]


def test_a_model_is_trained_evaluated_and_run_on_the_volumes(made, tmp_path):
    planted, _ = made

    medplug.train(
        "cnn",
        data=planted.manifest,
        output=tmp_path / "model",
        data_options=DataOptions(patient="patient", mask="mask"),
        options={"dims": 3, "size": 10, "width": 4, "depth": (1,)},
        steps=3,
        device="cpu",
    )

    found = medplug.evaluate(tmp_path / "model", resamples=20, device="cpu")
    results = list(medplug.load(tmp_path / "model", device="cpu").run(planted.manifest.parent / "volumes"))

    assert (found.rows, found.clustered_by) == (planted.images["test"], "patient")
    assert len(results) == 60
    assert all(result.answered for result in results)


@pytest.mark.timeout(1800)
@pytest.mark.skipif("MEDPLUG_VOLUMES" not in os.environ, reason="takes minutes: set MEDPLUG_VOLUMES=1")
def test_a_3d_model_finds_planted_lesions_in_parts_of_real_series_that_it_never_saw(tmp_path):
    """By the very commands of the example."""
    data = Path(os.environ.get("MEDPLUG_TEST_DATA", "")) / "dicom-series"
    if not data.is_dir():
        pytest.skip("no real series: name the folder of test data in MEDPLUG_TEST_DATA")
    script = Path(__file__).parents[1] / "examples" / "volumes" / "train.sh"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

    subprocess.run(
        ["sh", script, data, tmp_path / "made", "--device", "cpu"], env={**os.environ, "PATH": path}, check=True
    )

    [written] = (tmp_path / "made" / "model").rglob(FILE)
    found = msgspec.json.decode(written.read_bytes(), type=Evaluation)
    assert (found.rows, found.clustered_by, found.refused) == (500, "patient", 0)
    assert found.figure("AUC", "lesion").low >= 0.95
    assert found.explained.figure("hit above control", "a random place of the body").low > 0
