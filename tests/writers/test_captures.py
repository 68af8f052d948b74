"""Captures: what was found is drawn where it is, and words can be read at any size of image."""

import numpy as np
import pytest
from msgspec.structs import replace
from pydicom import dcmread
from pydicom.pixels import pixel_array
from writers import studies
from writers.studies import answered, complaints, small, written

import medplug
from medplug.case import Image, ValueMeaning
from medplug.result import Anomaly, Novelty, Result, Segmentation
from medplug.session import Answer
from medplug.writers.captures import Line, Overlay, capture, grey_planes, size_of
from medplug.writers.dicom_capture import SLICES, telling_slices
from medplug.writers.pictures import label_colour


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDPLUG_STATE", str(tmp_path / "state"))


def picture(*shape, spacing=None):
    pixels = np.full((1, *shape), 100, np.uint8)
    meaning = ValueMeaning(full_range=(0.0, 255.0))
    return Image(shape=shape, dtype=pixels.dtype, read=lambda: pixels, values=meaning, spacing=spacing)


@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (100, 40), (4, 900), (3000, 2000), (1, 1)])
def test_words_fit_below_an_image_of_any_size(shape):
    [plane] = grey_planes(picture(*shape), [0])

    made = capture(plane, Overlay(), "medplug model 1.0", [Line("a label of some length 99.9%", bar=0.999)])

    panel = made[len(plane) :]
    assert 640 <= made.shape[1] <= 1024
    bright = (panel.min(axis=2) > 200).any(axis=1)  # the rows of white letters
    assert np.count_nonzero(bright) >= 2 * 10  # two lines of words, ten pixels high at least
    assert not (panel[:, -3:].min(axis=2) > 200).any()  # nothing is cut at the edge
    assert panel.shape[0] < 140


def test_an_image_keeps_its_proportion_in_millimetres():
    assert size_of(picture(100, 100, spacing=(2.0, 1.0))) == (640, 320)
    assert size_of(picture(2048, 1024)) == (1024, 512)
    assert size_of(picture(700, 800)) == (700, 800)


def test_a_map_glows_where_it_is_high_and_leaves_the_rest_as_it_is():
    heat = np.zeros((64, 64), np.float32)
    heat[40:44, 10:14] = 5.0
    [plane] = grey_planes(picture(64, 64), [0])

    made = capture(plane, Overlay(map=heat, low=0.0, high=5.0, caption="score"), "t", [])[:640]

    coloured = np.ptp(made.astype(int), axis=2) > 20
    rows, columns = np.nonzero(coloured)
    assert (rows.min(), rows.max()) == pytest.approx((395, 444), abs=6)
    assert (columns.min(), columns.max()) == pytest.approx((95, 144), abs=6)
    assert (made[~coloured & (np.ptp(made.astype(int), axis=2) == 0)] >= 98).all()


def test_each_label_is_outlined_in_its_colour():
    mask = np.zeros((64, 64), np.uint8)
    mask[8:24, 8:24], mask[40:56, 40:56] = 1, 2
    [plane] = grey_planes(picture(64, 64), [0])

    made = capture(plane, Overlay(mask=mask), "t", [Line("one", colour=label_colour(0))])

    for index, corner in ((0, 80), (1, 400)):
        assert tuple(made[corner, corner]) == label_colour(index)
        assert tuple(made[corner + 159, corner + 159]) == label_colour(index)
        inside = made[corner + 80, corner + 80].astype(int)
        assert 0 < np.abs(inside - 100).max() < 50  # a breath of colour
    assert tuple(made[300, 300]) == (100, 100, 100)


def found(amounts, height=4):
    """A segmentation with so many pixels a slice."""
    mask = np.zeros((len(amounts), height, 100), np.uint8)
    for index, amount in enumerate(amounts):
        mask[index].flat[:amount] = 1
    return Result(case=medplug.CaseReference(source="x"), prediction=Segmentation(labels=("a",), mask=mask))


@pytest.mark.parametrize(
    ("amounts", "chosen"),
    [
        ([0, 0, 0, 0, 0], [2]),
        ([0, 9, 3, 0, 0], [1, 2]),
        ([5, 4, 3, 2, 1, 9, 8], [0, 1, 2, 5, 6]),
        ([0] * 20 + [7, 8, 9, 8, 7] + [0] * 25, [22]),
    ],
)
def test_of_a_volume_the_slices_with_most_of_it_are_shown(amounts, chosen):
    assert telling_slices(found(amounts), len(amounts)) == chosen


def test_of_a_large_finding_few_slices_are_shown():
    chosen = telling_slices(found([50] * 100), 100)

    assert len(chosen) == SLICES
    assert min(np.diff(chosen)) >= 10


def test_the_captures_of_a_volume_name_their_slices_and_the_files_that_these_were(tmp_path):
    path = studies.oblique(tmp_path)
    session, [answer] = answered(studies.of_volumes(studies.Spots)(), path)
    heat = np.zeros((5, 24, 20), np.float32)
    heat[1, 3, 4], heat[3, 20, 10] = 4.0, 2.0
    answer = Answer(answer.case, replace(answer.result, prediction=Anomaly(score=4.0, map=heat)))

    files = written(tmp_path / "out", session, [answer], ["dicom-capture"])["dicom-capture"]

    assert [file.name for file in files] == ["000001-slice-0002.dcm", "000001-slice-0004.dcm"]
    for file, index in zip(files, (1, 3)):
        assert complaints(file) == []
        dataset = dcmread(file)
        [source] = dataset.SourceImageSequence
        original = dcmread(answer.case.image.frames[index].path)
        assert source.ReferencedSOPInstanceUID == original.SOPInstanceUID
        assert dataset.InstanceNumber == original.InstanceNumber
        assert (dataset.ConversionType, dataset.get("BurnedInAnnotation")) == ("WSD", None)  # its source does not say
        assert np.ptp(pixel_array(dataset)[: size_of(answer.case.image)[0]].astype(int), axis=2).max() > 20


def test_a_capture_says_that_the_image_is_unlike_what_the_model_was_trained_on(tmp_path):
    session, [answer] = answered(studies.Sides(), studies.ct(tmp_path))
    amber = {}
    for novel in (True, False):
        novelty = Novelty(score=4.25 if novel else 1.5, limit=2.75, novel=novel)
        marked = Answer(answer.case, replace(answer.result, novelty=novelty))
        [file] = written(tmp_path / str(novel), session, [marked], ["dicom-capture"])["dicom-capture"]
        amber[novel] = lines_of(pixel_array(dcmread(file)), (251, 191, 36))

    assert (amber[True], amber[False]) == (2, 1)  # the mark, and that the result is not for diagnosis


def lines_of(picture, colour):
    """How many lines of words are written in a colour."""
    rows = (picture == colour).all(axis=2).any(axis=1).astype(int)
    starts = np.nonzero(np.diff(rows, prepend=0) == 1)[0]
    return len(starts) - np.count_nonzero(np.diff(starts) < 14)  # the dot of an i, a descender


def test_colour_images_stay_in_colour(tmp_path):
    dataset = small(SOPClassUID="1.2.840.10008.5.1.4.1.1.7", Modality="OT")
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[..., 0] = 200
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.Rows, dataset.Columns = 16, 16
    dataset.PixelData = pixels.tobytes()
    session, answers = answered(studies.Bright(), studies.saved(dataset, tmp_path / "in" / "colour.dcm"))

    [file] = written(tmp_path / "out", session, answers, ["dicom-capture"])["dicom-capture"]

    assert tuple(pixel_array(dcmread(file))[300, 300]) == (200, 0, 0)
