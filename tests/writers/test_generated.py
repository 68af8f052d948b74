"""Generated images as PNG and as DICOM that says it is synthetic."""

import shutil
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from pydicom import dcmread
from pydicom.pixels import pixel_array
from writers.runs import Rings, answers, write

import medplug
from medplug.writers import generated_dicom
from medplug.writers.generated_dicom import GeneratedDicom
from medplug.writers.generated_png import GeneratedPng


class Colour(Rings):
    name = "colour"

    def sample(self, network, count, generator):
        grey = super().sample(network, count, generator)["output"][..., :27]
        return {"output": torch.cat([grey, grey * 0.5, grey * 0], dim=1)}


class Volume(Rings):
    name = "volume"

    def sample(self, network, count, generator):
        grey = super().sample(network, count, generator)["output"]
        return {"output": torch.stack([grey, grey * 0.5, grey * 0.25], dim=2)}


def bytes_of(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_pngs_hold_the_images_and_say_that_they_are_synthetic(tmp_path):
    session, found = answers(Rings(), 3)

    write(GeneratedPng, tmp_path, session, found)

    for number, answer in enumerate(found, start=1):
        with Picture.open(tmp_path / "images" / f"{number:06d}.png") as picture:
            expected = np.rint(answer.result.prediction.image[0] * 255)
            assert np.array_equal(np.asarray(picture), expected)
            assert picture.text == {
                "Description": "SYNTHETIC IMAGE - NOT A PATIENT",
                "Source": f"seed 7, image {number - 1}",
            }


def test_the_contact_sheet_shows_every_image_enlarged_by_whole_pixels(tmp_path):
    session, found = answers(Rings(), 3)

    write(GeneratedPng, tmp_path, session, found)

    sheet = np.asarray(Picture.open(tmp_path / "contact-sheet.png"))
    image = np.rint(found[0].result.prediction.image[0] * 255).astype(np.uint8)
    assert np.array_equal(sheet[28 : 28 + 112, 4 : 4 + 112], np.kron(image, np.ones((4, 4), np.uint8)))
    assert sheet[:24].max() == 255  # the words


@pytest.mark.parametrize(("model", "samples", "count"), [(Rings, 1, 2), (Colour, 3, 2), (Volume, 1, 6)])
def test_dicom_says_that_it_shows_no_patient_and_holds_the_image(tmp_path, model, samples, count):
    session, found = answers(model(), 2)

    write(GeneratedDicom, tmp_path, session, found)

    datasets = [dcmread(file) for file in sorted((tmp_path / "dicom").iterdir())]
    assert len(datasets) == count
    assert len({ds.SOPInstanceUID for ds in datasets}) == count
    assert len({ds.StudyInstanceUID for ds in datasets}) == 1
    for ds in datasets:
        assert str(ds.PatientName).startswith("SYNTHETIC^")
        assert (ds.PatientID, ds.ConversionType, ds.Modality) == ("SYNTHETIC", "SYN", "OT")
        assert list(ds.ImageType) == ["DERIVED", "SECONDARY"]
        assert ds.SeriesDescription == ds.ImageComments == "SYNTHETIC IMAGE - NOT A PATIENT"
        assert "seed 7" in ds.DerivationDescription
        assert ds.BurnedInAnnotation == "NO"
    image = found[0].result.prediction.image
    plane = image[:, 0] if image.ndim == 4 else image
    stored = pixel_array(datasets[0])
    assert datasets[0].SamplesPerPixel == samples
    assert np.array_equal(np.atleast_3d(stored), np.moveaxis(np.rint(plane * 255), 0, -1))


def test_the_validator_of_dicom3tools_finds_no_error(tmp_path):
    dciodvfy = shutil.which("dciodvfy")
    if dciodvfy is None:
        pytest.skip("dciodvfy is not on PATH; Debian's dicom3tools brings it")
    for model in (Rings(), Colour(), Volume()):
        session, found = answers(model, 1)
        write(GeneratedDicom, tmp_path / model.name, session, found)

    for file in sorted(tmp_path.rglob("*.dcm")):
        said = subprocess.run([dciodvfy, str(file)], capture_output=True, text=True, timeout=30)
        assert "SCImage" in said.stderr
        assert "Error" not in said.stderr, said.stderr


@pytest.mark.parametrize("kind", [GeneratedPng, GeneratedDicom])
def test_two_runs_give_the_same_bytes_and_another_seed_gives_others(tmp_path, kind):
    for out in ("a", "b"):
        write(kind, tmp_path / out, *answers(Rings(), 3))
    session, _ = answers(Rings(), 0)
    other = [medplug.session.Answer(None, result) for result in session.generate(3, seed=8)]
    write(kind, tmp_path / "c", session, other)

    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")
    assert not set(bytes_of(tmp_path / "a").values()) & set(bytes_of(tmp_path / "c").values())


@pytest.mark.parametrize("kind", [GeneratedPng, GeneratedDicom])
def test_a_writer_of_generated_images_suits_models_that_generate(kind):
    assert [task for task in medplug.Task if kind.suits(task)] == [medplug.Task.GENERATION]


@pytest.mark.parametrize("kind", [GeneratedPng, GeneratedDicom])
def test_nothing_is_visible_after_an_error(tmp_path, kind):
    session, found = answers(Rings(), 1)

    def break_off():
        with kind(tmp_path, session.loaded) as writer:
            writer.write(found[0])
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        break_off()

    assert list(tmp_path.iterdir()) == []


def test_other_words_in_an_object_are_another_object(monkeypatch):
    session, found = answers(Rings(), 1)
    first, again = (next(generated_dicom.secondary_captures(found[0].result, session.loaded)) for _ in range(2))
    monkeypatch.setattr(generated_dicom, "NOTICE", "SYNTHETIC")

    other = next(generated_dicom.secondary_captures(found[0].result, session.loaded))

    assert first.SOPInstanceUID == again.SOPInstanceUID == first.file_meta.MediaStorageSOPInstanceUID
    assert other.SOPInstanceUID != first.SOPInstanceUID
