"""Results as DICOM objects: valid, beside their study, and saying what the result says."""

import dataclasses

import highdicom as hd
import msgspec
import numpy as np
import pytest
from pydicom import dcmread
from writers import studies
from writers.studies import SOURCES, TASKS, answered, complaints, source_and_model, written

import medplug
from medplug.model import Code
from medplug.model_folder import Abstention, Threshold
from medplug.result import Novelty

EVERY = [(source, task) for source in SOURCES for task in TASKS if task != "regression"] + [("ct", "regression")]
KINDS = {
    "segmentation": {"dicom-sr", "dicom-seg", "dicom-seg-fractional", "dicom-capture"},
    "classification": {"dicom-sr", "dicom-map", "dicom-capture"},
    "anomaly": {"dicom-sr", "dicom-map", "dicom-capture"},
    "regression": {"dicom-sr", "dicom-capture"},
}


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDPLUG_STATE", str(tmp_path / "state"))


@pytest.mark.parametrize(("source", "task"), EVERY)
def test_every_object_is_valid_and_stands_in_the_study_of_its_source(tmp_path, test_data, source, task):
    path, model = source_and_model(source, task, tmp_path / "in", test_data)
    session, found = answered(model, path)

    files = written(tmp_path / "out", session, found)

    first = next(iter(sorted(path.iterdir()))) if path.is_dir() else path
    header = dcmread(first, stop_before_pixels=True)
    assert {name for name, made in files.items() if made} == KINDS[task]
    series = {}
    for name, made in files.items():
        for file in made:
            assert complaints(file) == []
            dataset = dcmread(file)
            for keyword in (
                "StudyInstanceUID",
                "PatientID",
                "PatientName",
                "PatientSex",
                "StudyDate",
                "AccessionNumber",
            ):
                assert str(dataset.get(keyword)) == str(header.get(keyword, "")), keyword
            assert dangling_dimensions(dataset) == []
            series.setdefault(str(dataset.SeriesInstanceUID), set()).add(name)
    assert str(header.SeriesInstanceUID) not in series
    assert sorted(map(len, series.values())) == [1] * len(KINDS[task])  # a series for each kind


def dangling_dimensions(dataset):
    """Dimensions whose attribute no frame has, which the validator overlooks."""
    shared = dataset.get("SharedFunctionalGroupsSequence")
    return [
        index.DimensionIndexPointer
        for index in dataset.get("DimensionIndexSequence", ())
        for item in dataset.PerFrameFunctionalGroupsSequence
        if index.DimensionIndexPointer
        not in (item if index.FunctionalGroupPointer in item else shared[0])[index.FunctionalGroupPointer][0]
    ]


@pytest.mark.parametrize("source", SOURCES)
def test_a_segmentation_read_back_is_the_mask_on_the_frames_that_it_was_drawn_on(tmp_path, test_data, source):
    path, model = source_and_model(source, "segmentation", tmp_path / "in", test_data)
    session, found = answered(model, path)

    files = written(tmp_path / "out", session, found)["dicom-seg"]

    assert len(files) == len(found)
    for file, answer in zip(files, found):
        read = hd.seg.segread(file)
        frames = read_frames(answer)
        for index, (instance, frame) in enumerate(frames):
            mask = np.atleast_3d(answer.result.prediction.mask.T).T[index]
            assert np.array_equal(segments_of(read, instance, frame, mask.shape), mask), (file, index)
        assert [one.SegmentLabel for one in read.SegmentSequence] == ["bright", "dark"]
        assert all("RecommendedDisplayCIELabValue" in one for one in read.SegmentSequence)
        places = [p is not None for p in (answer.case.image.to_patient, read.get("FrameOfReferenceUID"))]
        assert places[0] == places[1]


def read_frames(answer):
    """SOP Instance UID and frame of each slice of an answer's image."""
    return [
        (str(dcmread(one.path, stop_before_pixels=True).SOPInstanceUID), one.frame) for one in answer.case.image.frames
    ]


def segments_of(read, instance, frame, shape):
    """The labels that the frames of a segmentation, derived from one source frame, draw: by their own references."""
    drawn = np.zeros(shape, np.uint8)
    for number, item in enumerate(read.PerFrameFunctionalGroupsSequence, start=1):
        [source] = item.DerivationImageSequence[0].SourceImageSequence
        if (str(source.ReferencedSOPInstanceUID), source.get("ReferencedFrameNumber")) == (instance, frame):
            shared = read.SharedFunctionalGroupsSequence[0]
            segment = (item if "SegmentIdentificationSequence" in item else shared).SegmentIdentificationSequence[0]
            drawn[read.get_stored_frame(number) > 0] = segment.ReferencedSegmentNumber
    return drawn


def test_a_fractional_segmentation_holds_the_probabilities(tmp_path, test_data):
    path, model = source_and_model("oblique series", "segmentation", tmp_path / "in", test_data)
    session, [answer] = answered(model, path)

    [file] = written(tmp_path / "out", session, [answer])["dicom-seg-fractional"]

    read = hd.seg.segread(file)
    assert read.SegmentationFractionalType == "PROBABILITY"
    uids = [instance for instance, _ in read_frames(answer)]
    values = read.get_pixels_by_source_instance(uids)
    expected = np.moveaxis(answer.result.prediction.probabilities[1:], 0, -1)
    assert np.abs(values - expected).max() <= 0.5 / 255 + 1e-6


def test_without_the_wish_no_probabilities_are_kept(tmp_path, test_data):
    path, model = source_and_model("ct", "segmentation", tmp_path / "in", test_data)

    [result] = medplug.Session(model, device="cpu").run(str(path))

    assert result.prediction.probabilities is None


@pytest.mark.parametrize("source", ["ct", "cr", "oblique series", "volume of angiography", "enhanced volume"])
def test_a_map_read_back_holds_the_very_values(tmp_path, test_data, source):
    path, model = source_and_model(source, "anomaly", tmp_path / "in", test_data)
    session, [answer] = answered(model, path)

    [file] = written(tmp_path / "out", session, [answer])["dicom-map"]

    read = hd.imread(file)
    assert read.pixel_array.dtype == np.float32  # decoded by pydicom: highdicom alone asks floats for their sign
    values = np.atleast_3d(answer.result.prediction.map.T).T
    for number, item in enumerate(read.PerFrameFunctionalGroupsSequence, start=1):
        [one] = item.DerivationImageSequence[0].SourceImageSequence
        index = read_frames(answer).index((str(one.ReferencedSOPInstanceUID), one.get("ReferencedFrameNumber")))
        assert np.array_equal(read.get_frame(number, apply_real_world_transform=True), values[index])
        if answer.case.image.to_patient is not None:
            position = [float(v) for v in item.PlanePositionSequence[0].ImagePositionPatient]
            assert position == pytest.approx(answer.case.image.to_patient[:3] @ [index, 0, 0, 1], abs=1e-4)


def thresholded(session, **values):
    """The session's model with operating points."""
    limits = tuple(Threshold(label=name, value=value, how="x", split="val", rows=9) for name, value in values.items())
    return session.loaded.__class__(**{**vars(session.loaded), "thresholds": limits})


def test_a_report_gives_each_label_its_code_probability_verdict_and_frame(tmp_path, test_data):
    class Coded(studies.Sides):
        def __init__(self, options=None, labels=None):
            code = Code("60046008", "SCT", "Pleural effusion")
            super().__init__(options, medplug.Labels(names=("effusion", "Größe \\ 大"), codes={"effusion": code}))

    [path] = [studies.ct(tmp_path)]
    loaded = thresholded(medplug.Session(Coded(), device="cpu"), effusion=0.2)
    session = medplug.Session(loaded, device="cpu")
    [answer] = session.answers(str(path))

    [file] = written(tmp_path / "out", session, [answer])["dicom-sr"]

    assert complaints(file) == []
    report = hd.sr.srread(file)
    coded, private = report.content.get_image_measurement_groups()
    effusion = hd.sr.CodedConcept("60046008", "SCT", "Pleural effusion")
    assert (coded.finding_type, private.finding_type) == (effusion, None)
    for group, value in zip((coded, private), answer.result.prediction.probabilities.values()):
        [measured] = group.get_measurements()
        assert measured.name.meaning == "Probability"
        assert measured.value == pytest.approx(value, abs=1e-12)
        assert group.tracking_identifier.startswith("halves: ")
        assert group.source_images[0].referenced_sop_instance_uid == dcmread(path).SOPInstanceUID
    [verdict] = coded.get_qualitative_evaluations()
    assert (verdict.name, verdict.value.meaning) == (effusion, "Present")
    [undecided] = private.get_qualitative_evaluations()
    assert (undecided.name.scheme_designator, undecided.name.meaning) == ("99MEDPLUG", "Größe   大")
    assert undecided.value.meaning == "Undetermined"  # it has no operating point
    algorithm = {str(item.ConceptNameCodeSequence[0].CodeMeaning): item.TextValue for item in texts(report)}
    assert algorithm["Algorithm Name"] == "halves"
    assert algorithm["Algorithm Version"] == "1.0"
    said = [item.TextValue for item in texts(report)]
    assert f"preprocessing: {session.loaded.preprocessing.plan_id}" in said
    assert "weights SHA-256: none stored" in said


@pytest.mark.parametrize(("score", "verdict"), [(4.25, "Present"), (1.5, "Absent")])
def test_a_report_says_whether_the_image_is_unlike_what_the_model_was_trained_on(tmp_path, score, verdict):
    session = medplug.Session(studies.Sides(), device="cpu")
    [answer] = session.answers(str(studies.ct(tmp_path)))
    novelty = Novelty(score=score, limit=2.75, novel=score > 2.75)
    answer = dataclasses.replace(answer, result=msgspec.structs.replace(answer.result, novelty=novelty))

    [file] = written(tmp_path / "out", session, [answer])["dicom-sr"]

    assert complaints(file) == []
    *_, group = hd.sr.srread(file).content.get_image_measurement_groups()
    [said] = group.get_qualitative_evaluations()
    assert (said.name.meaning, said.value.meaning) == ("unlike what the model was trained on", verdict)
    assert [(one.name.meaning, one.value) for one in group.get_measurements()] == [
        ("novelty", score),
        ("novelty limit", 2.75),
    ]


def texts(dataset):
    for item in dataset.get("ContentSequence", ()):
        if item.ValueType == "TEXT":
            yield item
        yield from texts(item)


def test_a_model_that_abstains_leaves_every_finding_undetermined(tmp_path):
    path = studies.ct(tmp_path)
    loaded = thresholded(medplug.Session(studies.Sides(), device="cpu"), left=0.0, right=0.0)
    limit = Abstention(confidence=1.0, coverage=0.5, split="val", rows=9, in_force=True)
    session = medplug.Session(loaded.__class__(**{**vars(loaded), "abstention": limit}), device="cpu")
    [answer] = session.answers(str(path))
    assert answer.result.prediction.abstained

    [file] = written(tmp_path / "out", session, [answer])["dicom-sr"]

    assert complaints(file) == []
    for group in hd.sr.srread(file).content.get_image_measurement_groups():
        assert group.finding_type is None
        assert [one.value.meaning for one in group.get_qualitative_evaluations()] == ["Undetermined"]


def test_a_label_below_its_operating_point_is_absent(tmp_path):
    path = studies.ct(tmp_path)
    session = medplug.Session(thresholded(medplug.Session(studies.Sides(), device="cpu"), left=0.99), device="cpu")

    [file] = written(tmp_path / "out", session, list(session.answers(str(path))))["dicom-sr"]

    left, _ = hd.sr.srread(file).content.get_image_measurement_groups()
    assert [one.value.meaning for one in left.get_qualitative_evaluations()] == ["Absent"]


@pytest.mark.parametrize("source", ["ct", "cr", "oblique series", "frames of angiography"])
def test_a_report_points_to_the_segment_and_gives_its_size(tmp_path, test_data, source):
    path, model = source_and_model(source, "segmentation", tmp_path / "in", test_data)
    session, found = answered(model, path)

    files = written(tmp_path / "out", session, found)

    for report, segmentation, answer in zip(files["dicom-sr"], files["dicom-seg"], found):
        content, stored = hd.sr.srread(report).content, dcmread(segmentation)
        volume = len(answer.case.image.shape) == 3
        groups = (
            content.get_volumetric_roi_measurement_groups() if volume else content.get_planar_roi_measurement_groups()
        )
        assert len(groups) == 2
        for number, group in enumerate(groups, start=1):
            covered = int((answer.result.prediction.mask == number).sum())
            spacing = answer.case.image.spacing
            [measured] = group.get_measurements()
            assert measured.value == pytest.approx(covered * (np.prod(spacing) if spacing else 1))
            assert measured.unit.value == ({2: "mm2", 3: "mm3"}[len(spacing)] if spacing else "{pixels}")
            item = group.referenced_segment if volume else group.referenced_segmentation_frame
            referred = item[0].ReferencedSOPSequence[0]
            assert referred.ReferencedSOPInstanceUID == stored.SOPInstanceUID
            if volume:
                assert referred.ReferencedSegmentNumber == number
            else:
                frame = stored.PerFrameFunctionalGroupsSequence[referred.ReferencedFrameNumber - 1]
                assert frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number
            assert group.tracking_uid == stored.SegmentSequence[number - 1].TrackingUID
        assert str(stored.SOPInstanceUID) in {str(one[2]) for one in hd.sr.srread(report).get_evidence()}


def test_a_report_without_a_segmentation_refers_to_the_images_alone(tmp_path, test_data):
    path, model = source_and_model("ct", "segmentation", tmp_path / "in", test_data)
    session, found = answered(model, path)

    [file] = written(tmp_path / "out", session, found, ["dicom-sr"])["dicom-sr"]

    report = hd.sr.srread(file)
    assert len(report.content.get_image_measurement_groups()) == 2
    assert {str(one[2]) for one in report.get_evidence()} == {str(dcmread(path).SOPInstanceUID)}


def test_scores_and_values_stand_in_the_report(tmp_path):
    path = studies.ct(tmp_path)
    for name, model in (("anomaly", studies.Spots()), ("regression", studies.Bright())):
        session, [answer] = answered(model, path)
        [file] = written(tmp_path / name, session, [answer])["dicom-sr"]
        [group] = hd.sr.srread(file).content.get_image_measurement_groups()
        [measured] = group.get_measurements()
        prediction = answer.result.prediction
        expected = prediction.score if name == "anomaly" else prediction.values["brightness"]
        assert measured.value == pytest.approx(expected, abs=1e-12)


def test_a_refusal_gets_no_object(tmp_path):
    class Chest(studies.Sides):
        def contract(self):
            return medplug.InputContract(modality=medplug.Constraint(("CR",)))

    session, found = answered(Chest(), studies.ct(tmp_path))

    files = written(tmp_path / "out", session, found)

    assert found[0].result.refused
    assert not any(files.values())


def test_an_image_in_which_nothing_is_outlined_gets_a_report_and_a_capture_and_no_segmentation(tmp_path):
    class Nothing(studies.Outlines):
        def decode(self, output, batch):
            predictions = super().decode(output, batch)
            for one in predictions:
                one.probabilities[1:] = 0
                one.probabilities[0] = 1
            return predictions

    session, found = answered(Nothing(), studies.ct(tmp_path))

    files = written(tmp_path / "out", session, found)

    assert [name for name, made in files.items() if made] == ["dicom-sr", "dicom-seg-fractional", "dicom-capture"]
    groups = hd.sr.srread(files["dicom-sr"][0]).content.get_image_measurement_groups()
    assert [group.get_measurements()[0].value for group in groups] == [0, 0]


@pytest.mark.parametrize("file", ["dicom-test-files/RG3_J2KR.dcm", "fo-dicom/GH133.dcm", "highdicom/dx_image.dcm"])
def test_real_projections_give_valid_objects(tmp_path, test_data, file):
    session, found = answered(studies.Sides(), test_data / "dicom-files" / "files" / file)

    files = written(tmp_path, session, found)

    assert sum(map(len, files.values())) == 3
    assert [complaints(one) for made in files.values() for one in made] == [[]] * 3


def test_nothing_is_invented_for_an_image_without_a_place(tmp_path, test_data):
    path, model = source_and_model("cr", "segmentation", tmp_path / "in", test_data)
    session, found = answered(model, path)
    segmentation = dcmread(written(tmp_path / "out", session, found)["dicom-seg"][0])
    session, found = answered(studies.Spots(), path)
    heat = dcmread(written(tmp_path / "out", session, found)["dicom-map"][0])

    for keyword in ("FrameOfReferenceUID", "PositionReferenceIndicator"):
        assert keyword not in segmentation
    assert list(segmentation.SharedFunctionalGroupsSequence[0].keys()) == []
    assert not any("PlanePositionSequence" in item for item in segmentation.PerFrameFunctionalGroupsSequence)
    assert len(heat.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]) == 0  # the detector's is not the body's
    assert heat.FrameOfReferenceUID.startswith("2.25.")


def test_positions_without_a_frame_of_reference_hold_within_their_series(tmp_path):
    frames = []
    for number in (1, 2):
        dataset = studies.small(FrameOfReferenceUID=None, SOPInstanceUID=f"1.2.3.{number}")
        path = studies.saved(dataset, tmp_path / "in" / f"{number}.dcm")
        [file] = written(tmp_path / str(number), *answered(studies.Outlines(), path), ["dicom-seg"])["dicom-seg"]
        assert complaints(file) == []
        frames.append(str(dcmread(file).FrameOfReferenceUID))

    assert len(set(frames)) == 1
