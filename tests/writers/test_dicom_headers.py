"""Headers that are broken, incomplete or hostile cost their own object alone, and nothing of them is guessed."""

import io
import logging

import numpy as np
import pytest
from PIL import Image as Picture
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit
from writers import studies
from writers.studies import answered, complaints, saved, small, written

import medplug
from medplug.errors import WriterError


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDPLUG_STATE", str(tmp_path / "state"))


def objects(tmp_path, dataset):
    path = saved(dataset, tmp_path / "in" / "image.dcm")
    return written(tmp_path / "out", *answered(studies.Sides(), path))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"PatientName": None}, {"PatientName": ""}),
        ({"PatientID": None, "PatientBirthDate": None, "PatientSex": None}, {"PatientID": "", "PatientSex": ""}),
        ({"AccessionNumber": None, "StudyID": None, "StudyDate": None, "StudyTime": None}, {"StudyDate": ""}),
        ({"PatientSex": "Q"}, {"PatientSex": ""}),
        ({"PatientBirthDate": "31.12.1970"}, {"PatientBirthDate": ""}),
        ({"StudyTime": "99"}, {"StudyTime": ""}),
        ({"PatientAge": "old"}, {"PatientAge": None}),
        ({"BodyPartExamined": "left\x07foot and more"}, {"BodyPartExamined": None}),
        ({"SeriesNumber": "-3", "InstanceNumber": None}, {"InstanceNumber": 1}),
        ({"FrameOfReferenceUID": None}, {}),
        ({"PatientName": "Müller^Jörg", "SpecificCharacterSet": "ISO_IR 100"}, {"PatientName": "Müller^Jörg"}),
        (
            {"PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう", "SpecificCharacterSet": ["", "ISO 2022 IR 87"]},
            {"PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう"},
        ),
        ({"StudyDescription": "x" * 80}, {"StudyDescription": None}),
        ({"SliceThickness": None}, {}),
    ],
    ids=lambda value: "-".join(value) or "nothing" if isinstance(value, dict) else None,
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_is_missing_or_broken_and_identifies_nobody_is_left_empty(tmp_path, changes, expected):
    files = objects(tmp_path, small(**changes))

    assert sorted(name for name, made in files.items() if made) == ["dicom-capture", "dicom-map", "dicom-sr"]
    for made in files.values():
        for file in made:
            dataset = dcmread(file)
            for keyword, value in expected.items():
                assert dataset.get(keyword) == value, keyword
            assert complaints(file) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"StudyInstanceUID": None}, "states no StudyInstanceUID"),
        ({"SeriesInstanceUID": None}, "states no SeriesInstanceUID"),
        ({"SOPInstanceUID": None}, "states no SOPInstanceUID"),
        ({"StudyInstanceUID": "../../etc/passwd"}, "StudyInstanceUID is no unique identifier"),
        ({"PatientID": "9" * 3000}, "PatientID is not valid"),
        ({"PatientID": "12\\34"}, "PatientID is not valid"),
        ({"PatientID": "a\x00b"}, "PatientID is not valid"),
        ({"PatientName": "N" * 70}, "PatientName is not valid"),
        ({"PatientName": "A^B^C^D^E^F^G"}, "PatientName is not valid"),
        ({"AccessionNumber": "A" * 17}, "AccessionNumber is not valid"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_cannot_be_copied_and_identifies_is_refused_by_name(tmp_path, caplog, changes, said):
    path = saved(small(**changes), tmp_path / "in" / "image.dcm")
    caplog.clear()

    with caplog.at_level(logging.DEBUG), pytest.raises(WriterError, match=f"image.dcm: .*{said}") as error:
        written(tmp_path / "out", *answered(studies.Sides(), path))

    assert not list((tmp_path / "out").rglob("*.dcm"))
    for value in filter(None, changes.values()):
        assert value not in str(error.value)
        assert value not in caplog.text


@pytest.mark.parametrize("name", ["Doe^Jane", "Single", "Müller^Jörg"])
def test_no_identifier_reaches_a_log(tmp_path, caplog, name):
    dataset = small(PatientName=name, PatientID="P-17-secret", SpecificCharacterSet="ISO_IR 192")

    with caplog.at_level(logging.DEBUG):
        objects(tmp_path, dataset)

    assert name not in caplog.text
    assert "P-17-secret" not in caplog.text


def test_one_broken_header_costs_only_its_own_object(tmp_path):
    folder = tmp_path / "in"
    studies.ct(folder)
    saved(small(StudyInstanceUID=None), folder / "no-study.dcm")
    session, found = answered(studies.Sides(), folder)

    with pytest.raises(WriterError, match=r"one answer could not be written, the others are: .*no-study.dcm"):
        written(tmp_path / "out", session, found, ["dicom-sr"])

    assert [file.name for file in (tmp_path / "out").rglob("*.dcm")] == ["000001.dcm"]


def test_slices_of_two_patients_are_no_volume_to_write_about(tmp_path):
    folder = studies.oblique(tmp_path)
    session, found = answered(studies.of_volumes(studies.Spots)(), folder)
    last = sorted(folder.iterdir())[-1]
    dataset = dcmread(last)
    dataset.PatientID = "another"
    dataset.save_as(last)  # after it was read: reading keeps patients apart

    with pytest.raises(WriterError, match="is of another patient"):
        written(tmp_path / "out", session, found, ["dicom-map"])


def test_names_of_models_and_labels_may_be_any_text(tmp_path):
    class Odd(studies.Outlines):
        name = "模型 \\ with a name that is much longer than the sixty-four characters of a Long String"

        def __init__(self, options=None, labels=None):
            super().__init__(options, medplug.Labels(names=("läsion\\1 " + "x" * 90, "腫瘍")))

    session, found = answered(Odd(), studies.ct(tmp_path))

    files = written(tmp_path / "out", session, found)

    assert sum(map(len, files.values())) == 4
    assert [complaints(file) for made in files.values() for file in made] == [[]] * 4


@pytest.mark.parametrize("source", ["picture", "array"])
def test_a_case_that_is_no_dicom_gets_no_object_and_the_run_says_so_once(tmp_path, source):
    from PIL import Image as Picture

    pixels = np.random.default_rng(0).integers(0, 256, (40, 40)).astype(np.uint8)
    for name in ("a", "b"):
        Picture.fromarray(pixels).save(tmp_path / f"{name}.png")
    given = [str(tmp_path / "a.png"), str(tmp_path / "b.png")] if source == "picture" else [pixels, pixels]

    summary = medplug.run(
        medplug.model_folder.fresh(studies.Sides()),
        given,
        tmp_path / "out",
        write=("json", "dicom-sr", "dicom-map", "dicom-capture"),
        explanations=True,
        device="cpu",
    )

    assert summary.answered == 2
    assert summary.notes == (
        "DICOM: 2 answers have no object: the source is no DICOM, and only a study has a place for one",
    )
    assert not list((tmp_path / "out").rglob("*.dcm"))


def test_what_an_answer_does_not_hold_is_missed_in_a_sentence(tmp_path):
    class Empty(studies.Outlines):
        def decode(self, output, batch):
            found = super().decode(output, batch)
            return [
                medplug.Segmentation(labels=one.labels, probabilities=one.probabilities * [[[1]], [[0]], [[0]]])
                for one in found
            ]

    loaded = medplug.model_folder.fresh(Empty())

    summary = medplug.run(loaded, str(studies.ct(tmp_path)), tmp_path / "out", write=("dicom-seg",), device="cpu")

    assert summary.notes == ("dicom-seg: 1 answer has no object: nothing is outlined",)


def test_a_file_that_holds_another_instance_by_now_gets_no_object(tmp_path):
    path = saved(small(), tmp_path / "in" / "image.dcm")
    session, found = answered(studies.Sides(), path)
    saved(small(PatientID="OTHER", SOPInstanceUID="1.2.3.4"), path)

    with pytest.raises(WriterError, match=r"in/image\.dcm: holds another instance than the one that was analysed"):
        written(tmp_path / "out", session, found, ["dicom-sr"])

    assert not list(tmp_path.rglob("out/**/*.dcm"))


@pytest.mark.parametrize("stated", ["YES", "NO", None])
def test_a_capture_says_of_burned_in_names_what_its_source_says(tmp_path, stated):
    [capture] = objects(tmp_path, small(BurnedInAnnotation=stated))["dicom-capture"]

    assert dcmread(capture).get("BurnedInAnnotation") == stated


def test_lossy_compression_is_told_on_with_every_ratio_and_method(tmp_path):
    methods = ["ISO_10918_1", "ISO_15444_1"]
    lossy = {
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": [12.5, 9],
        "LossyImageCompressionMethod": methods,
    }

    files = objects(tmp_path, small(**lossy))

    for name in ("dicom-map", "dicom-capture"):
        [file] = files[name]
        made = dcmread(file)
        assert (made.LossyImageCompression, list(made.LossyImageCompressionRatio)) == ("01", [12.5, 9])
        assert list(made.LossyImageCompressionMethod) == methods
        assert complaints(file) == []


def test_a_lossy_transfer_syntax_is_told_on_where_the_header_is_silent(tmp_path):
    source = small(LossyImageCompression=None)
    picture = np.clip(source.pixel_array // 8, 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Picture.fromarray(picture).save(stream, "JPEG")
    source.BitsAllocated = source.BitsStored = 8
    source.HighBit, source.PixelRepresentation = 7, 0
    source.PixelData = encapsulate([stream.getvalue()])
    source["PixelData"].VR = "OB"
    source.file_meta.TransferSyntaxUID = JPEGBaseline8Bit

    files = objects(tmp_path, source)

    assert {dcmread(files[name][0]).LossyImageCompression for name in ("dicom-map", "dicom-capture")} == {"01"}


def test_codes_of_a_deidentification_are_told_on_in_words(tmp_path):
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "113100", "DCM"
    code.CodeMeaning = "Basic Application Confidentiality Profile"
    source = small(PatientIdentityRemoved="YES", DeidentificationMethodCodeSequence=[code])

    [report] = objects(tmp_path, source)["dicom-sr"]

    made = dcmread(report)
    assert (made.PatientIdentityRemoved, made.DeidentificationMethod) == ("YES", code.CodeMeaning)
    assert complaints(report) == []
