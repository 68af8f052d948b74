"""Volumes are trained on and answered as images are."""

import numpy as np
import pytest

import medplug

nibabel = pytest.importorskip("nibabel")


@pytest.fixture
def volumes(tmp_path):
    """Two classes of noise in which one has a bright block."""
    rng = np.random.default_rng(0)
    for label in ("empty", "block"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(8):
            pixels = rng.normal(100, 20, (10, 12, 8)).astype(np.int16)
            pixels[3:7, 3:7, 2:6] += 150 * (label == "block")
            image = nibabel.Nifti1Image(pixels, np.diag([2, 2, 2, 1]))
            nibabel.save(image, tmp_path / "data" / label / f"{number}.nii.gz")
    return tmp_path / "data"


@pytest.mark.parametrize("plugin", ["cnn", "autoencoder"])
def test_a_model_of_volumes_is_trained_and_answers(volumes, tmp_path, plugin):
    normal = {"normal": "empty"} if plugin == "autoencoder" else {}
    options = {"dims": 3, "size": 8, "width": 4}
    medplug.train(plugin, data=volumes, output=tmp_path / "model", options=options, steps=2, device="cpu", **normal)

    results = list(medplug.load(tmp_path / "model", device="cpu").run(volumes / "block"))

    assert len(results) == 8
    assert all(result.answered for result in results)
