"""Series and frames: regular volumes with the right geometry, and refusals of everything else."""

import csv
import hashlib
from collections import defaultdict

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage

from medplug import Preprocessing, Range, sources
from medplug.case import Case, Unit
from medplug.pipeline import Pipeline
from medplug.result import Rejected, Skipped


def volume(folder):
    [found] = sources.read(folder, Unit.SERIES)
    assert isinstance(found, Case), found
    return found


def refusal(folder):
    [found] = sources.read(folder, Unit.SERIES)
    assert isinstance(found, Rejected), found
    return found.outcome


def test_real_series_become_volumes_with_their_spacing_and_pixels(test_data):
    folder = test_data / "dicom-series"
    slices = defaultdict(list)
    with (folder / "manifest.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            slices[row["series"]].append(row)

    found = {case.reference.source.split("/")[-2]: case for case in sources.read(folder, Unit.SERIES)}

    for name in ("ct-philips-phantom-1mm", "mr-t1-7t-defaced"):
        rows, case = slices[name], found[name]
        gap = float(rows[1]["gap_to_previous_mm"])
        pixel_spacing = tuple(float(v) for v in rows[0]["pixel_spacing"].split("\\"))
        assert case.image.spacing == pytest.approx((gap, *pixel_spacing), rel=1e-4)
        assert set(case.reference.files) == {str(folder / row["file"]) for row in rows}
        pixels = case.image.read()
        assert pixels.shape == (1, len(rows), int(rows[0]["rows"]), int(rows[0]["cols"]))
        hashes = [hashlib.sha256(np.ascontiguousarray(s, s.dtype.newbyteorder("<"))).hexdigest() for s in pixels[0]]
        assert hashes == [row["pixel_sha256"] for row in sorted(rows, key=lambda row: int(row["index"]))]
        first, last = (np.array([float(v) for v in rows[i]["position"].split("\\")]) for i in (0, -1))
        matrix = case.image.to_patient
        np.testing.assert_allclose(matrix @ [0, 0, 0, 1], [*first, 1], atol=1e-3)
        np.testing.assert_allclose(matrix @ [len(rows) - 1, 0, 0, 1], [*last, 1], atol=1e-3)
    tilted = found["ct-ge-human-tilt-varspacing"]
    assert tilted.outcome.code == "geometry"
    assert "tilted by 18.5 degrees" in tilted.outcome.reason
    assert len(tilted.reference.files) == 28


def test_real_series_of_bad_geometry_are_refused_with_the_reason(test_data):
    found = {
        case.reference.source.split("/")[-2]: case
        for case in sources.read(test_data / "dicom-bad-geometry", Unit.SERIES)
        if not isinstance(case.outcome, Skipped)
    }

    assert all(case.outcome.code == "geometry" for case in found.values())
    assert "tilted by 14.0 degrees" in found["gantrytilting_001"].outcome.reason
    assert "has 2 slices" in found["slicecount_001"].outcome.reason
    assert "uneven: 5.000 to 10.000 mm" in found["sliceincrement_001"].outcome.reason


def test_slices_are_ordered_by_position_not_by_name(write_series):
    case = volume(write_series([(0, 0, z) for z in (7.5, 0, 5, 2.5)]))

    assert case.image.read()[0, :, 0, 0].tolist() == [1, 3, 2, 0]
    assert case.image.spacing == (2.5, 0.5, 0.25)
    assert case.reference.source.endswith("series/1.2.3.4")
    assert case.patient == "patient-1"


def test_an_oblique_index_maps_to_its_place_in_the_patient(write_series):
    c, s = np.cos(0.3), np.sin(0.3)
    row, column = np.array([c, s, 0]), np.array([0, 0, -1])
    normal = np.cross(row, column)
    origin = np.array([10, -20, 30])
    folder = write_series([origin + 3 * i * normal for i in range(4)], ImageOrientationPatient=[*row, *column])

    image = volume(folder).image

    expected = origin + 2 * 3 * normal + 1 * 0.5 * column + 4 * 0.25 * row
    np.testing.assert_allclose(image.to_patient @ [2, 1, 4, 1], [*expected, 1], atol=1e-9)
    assert image.spacing == pytest.approx((3, 0.5, 0.25))


def test_directions_that_are_not_of_length_1_scale_no_distance(write_series):
    long = [1.002, 0, 0, 0, 1.002, 0]

    image = volume(write_series([(0, 0, 5.0 * n) for n in range(4)], ImageOrientationPatient=long)).image
    [first, *_] = sources.read(write_series([(0, 0, 5.0)], "one", ImageOrientationPatient=long))

    assert image.spacing == (5, 0.5, 0.25)
    np.testing.assert_allclose(np.linalg.norm(image.to_patient[:3, :3], axis=0), (5, 0.5, 0.25), rtol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(first.image.to_patient[:3, :3], axis=0), (1, 0.5, 0.25), rtol=1e-12)


def test_directions_of_few_digits_are_taken_as_they_are(write_series):
    rounded = [0.96593, 0.25882, 0, -0.25882, 0.96593, 0]

    image = volume(write_series([(0, 0, 5.0 * n) for n in range(4)], ImageOrientationPatient=rounded)).image

    assert image.to_patient[:3, 2].tolist() == [0.96593 * 0.25, 0.25882 * 0.25, 0]


def test_one_slice_maps_to_the_patient_with_its_unit_normal(write_series):
    folder = write_series([(1, 2, 3)])

    [case] = sources.read(folder)

    assert case.image.spacing == (0.5, 0.25)
    expected = [[0, 0, 0.25, 1], [0, 0.5, 0, 2], [1, 0, 0, 3], [0, 0, 0, 1]]
    np.testing.assert_allclose(case.image.to_patient, expected)


def test_rounded_positions_still_make_a_volume(write_series):
    image = volume(write_series([(0, 0, round(i * 2 / 3, 2)) for i in range(10)])).image

    assert image.spacing[0] == pytest.approx(2 / 3, abs=1e-3)


@pytest.mark.parametrize(("gap", "even"), [(3.03, False), (3.003, True)])
def test_gaps_that_differ_by_little_and_add_up_are_uneven(write_series, gap, even):
    heights = np.cumsum([0.0, *[3.0] * 40, *[gap] * 40]).round(3)
    folder = write_series([(0, 0, z) for z in heights])

    [refused], [corrected] = (sources.read(folder, Unit.SERIES, tilt=tilt) for tilt in ("refuse", "correct"))

    assert corrected.reference.resampled == (not even)
    if even:
        np.testing.assert_allclose(refused.image.to_patient[2, 0] * np.arange(81), heights, atol=0.061)
    else:
        assert "uneven: 3.000 to 3.030 mm" in refused.outcome.reason
        assert corrected.image.to_patient[2, 0] * (corrected.image.shape[0] - 1) == pytest.approx(heights[-1])


STRAIGHT = [(0.0, 0.0, float(z)) for z in range(4)]


@pytest.mark.parametrize(
    ("positions", "elements", "code", "words"),
    [
        (STRAIGHT[:2], {}, "geometry", "has 2 slices"),
        ([(0, 0, 0), (0, 0.1, 1), (0, 0.2, 2)], {}, "geometry", "tilted by 5.7 degrees"),
        (
            [(0, 0, 0), (0, 1, 1), (0, 0, 2), (0, 0, 3)],
            {},
            "geometry",
            "slice 2 along the normal is shifted by 1.00 mm",
        ),
        ([(0, 0, 0), (0, 0, 1), (0, 0, 3)], {}, "geometry", "uneven: 1.000 to 2.000 mm"),
        ([*STRAIGHT, (0, 0, 2)], {}, "geometry", "at the same place, 2.00 mm"),
        (STRAIGHT, {"ImagePositionPatient": None}, "geometry", "lacks a valid"),
        (STRAIGHT, {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "geometry", "lacks a valid"),
        (STRAIGHT, {"PixelSpacing": [0.5, 0]}, "geometry", "lacks a valid"),
        (STRAIGHT, {"PixelSpacing": [[0.5, 0.5]] * 3 + [[0.5, 0.6]]}, "geometry", "different PixelSpacing"),
        (
            STRAIGHT,
            {"ImageOrientationPatient": [[1, 0, 0, 0, 1, 0]] * 3 + [[1, 0, 0, 0, 0.9962, 0.0872]]},
            "geometry",
            "not parallel: two differ by 5.00 degrees",
        ),
        (
            STRAIGHT,
            {"RescaleIntercept": 0, "RescaleSlope": [1, 1, 2, 1], "PixelPaddingValue": 0},
            "values",
            "different rescales, and pixel padding",
        ),
        (STRAIGHT, {"RescaleIntercept": 0, "RescaleSlope": [1, 1, 1e36, 1]}, "values", "float32 cannot hold that"),
        (STRAIGHT, {"Modality": ["CT", "CT", "MR", "CT"]}, "values", "different values"),
        (
            STRAIGHT,
            {"FrameOfReferenceUID": ["1.2.7", "1.2.7", "1.2.8", "1.2.8"]},
            "geometry",
            "its slices lie in 2 frames of reference",
        ),
    ],
)
def test_slices_that_form_no_regular_volume_are_refused_with_the_reason(write_series, positions, elements, code, words):
    if elements.get("ImagePositionPatient", "") is None:
        elements = {"ImagePositionPatient": []}

    outcome = refusal(write_series(positions, **elements))

    assert outcome.code == code
    assert words in outcome.reason


def test_slices_of_different_size_are_refused(write_series, write_dicom):
    folder = write_series(STRAIGHT)
    write_dicom("series/other.dcm", np.zeros((6, 5), np.uint16))

    assert "differ in size: 4 x 5 and 6 x 5" in refusal(folder).reason


def test_a_rescale_that_all_slices_share_and_a_window_that_they_do_not(write_series):
    folder = write_series(
        STRAIGHT, RescaleSlope=2, RescaleIntercept=-1024, WindowWidth=80, WindowCenter=[40, 40, 41, 40]
    )

    values = volume(folder).image.values

    assert values.rescale == (2, -1024)
    assert values.windows == ()


@pytest.mark.parametrize("tilt", ["refuse", "correct"])
def test_slices_of_unlike_rescales_as_in_pet_are_a_volume_of_modality_values(write_series, tilt):
    slopes, intercepts = [0.1, 3.7, 0.25, 1 / 3], [0, 0, -5, 0]
    folder = write_series(
        [(0, 0, 3), (0, 0, 0), (0, 0, 1), (0, 0, 2)],
        Modality="PT",
        RescaleSlope=[f"{slope:.10g}" for slope in slopes],
        RescaleIntercept=intercepts,
        WindowCenter=2,
        WindowWidth=4,
    )

    [case] = sources.read(folder, Unit.SERIES, tilt=tilt)
    image = case.image

    expected = np.array([3.7 * 1, 0.25 * 2 - 5, 0.3333333333 * 3, 0.1 * 0], np.float32)
    assert image.dtype == image.read().dtype == np.float32
    np.testing.assert_array_equal(image.read()[0, :, 0, 0], expected)
    assert image.values.rescale == (1, 0)
    assert (image.stored_range, image.bits, image.span) == (None, 16, None)
    assert [window.center for window in image.values.windows] == [2]
    prepared = Pipeline(Preprocessing(values=Range(-5, 5))).prepare(case)
    np.testing.assert_allclose(prepared.arrays["image"][0, :, 0, 0], (expected + 5) / 10, atol=1e-6)


def test_slices_that_share_a_rescale_keep_their_stored_values(write_series):
    image = volume(write_series(STRAIGHT, Modality="PT", RescaleSlope=0.5, RescaleIntercept=0)).image

    assert (image.dtype, image.stored_range, image.values.rescale) == (np.uint16, (0, 65535), (0.5, 0))


def test_uneven_slices_of_unlike_rescales_are_mixed_as_modality_values(write_series):
    folder = write_series([(0, 0, 0), (0, 0, 2), (0, 0, 3)], RescaleSlope=[1, 10, 100], RescaleIntercept=0)

    [case] = sources.read(folder, Unit.SERIES, tilt="correct")

    assert case.image.read()[0, :, 0, 0].tolist() == [0, 5, 10, 200]


def test_series_are_kept_apart_and_every_file_appears_once(write_series, write_dicom):
    first = write_series(STRAIGHT, "a")
    write_series(STRAIGHT, "b", SeriesInstanceUID="1.2.3.5")
    damaged = first / "damaged.dcm"
    damaged.write_bytes((first / "000.dcm").read_bytes()[:600])

    found = list(sources.read(first.parent, Unit.SERIES))

    files = [file for case in found for file in (case.reference.files or (case.reference.source,))]
    assert sorted(files) == sorted(str(path) for path in first.parent.rglob("*.dcm"))
    assert sorted(case.reference.series_instance_uid for case in found if isinstance(case, Case)) == [
        "1.2.3.4",
        "1.2.3.5",
    ]
    assert len({case.reference.source for case in found}) == len(found) == 3


@pytest.mark.parametrize(
    "elements",
    [{"PatientID": ["a"] * 3 + ["b"] * 3}, {"StudyInstanceUID": ["1.2.7"] * 3 + ["1.2.8"] * 3}],
)
def test_a_series_identifier_that_patients_or_studies_share_merges_none_of_them(write_series, elements):
    one, other = sources.read(write_series([(0, 0, float(z)) for z in range(6)], **elements), Unit.SERIES)

    assert one.image.read()[0, :, 0, 0].tolist() == [0, 1, 2]
    assert other.image.read()[0, :, 0, 0].tolist() == [3, 4, 5]
    assert one.reference.source != other.reference.source
    assert [one.patient, other.patient] == (elements.get("PatientID") or ["patient-1"] * 6)[::3]


def test_a_series_of_relative_and_absolute_paths_is_one_volume(write_series, monkeypatch):
    folder = write_series(STRAIGHT)
    monkeypatch.chdir(folder)

    [case] = sources.read(["000.dcm", *(folder / f"00{i}.dcm" for i in (1, 2, 3))], Unit.SERIES)

    assert case.image.shape == (4, 4, 5)


def enhanced(write_dicom, heights, slopes=None):
    items = []
    for index, height in enumerate(heights):
        item, position, transform = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, height]
        item.PlanePositionSequence = [position]
        transform.RescaleSlope, transform.RescaleIntercept = (slopes or [1] * len(heights))[index], -1000
        item.PixelValueTransformationSequence = [transform]
        items.append(item)
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [0.5, 0.25]
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    pixels = np.repeat(np.arange(len(heights), dtype=np.uint16), 20).reshape(-1, 4, 5)
    return write_dicom(
        "enhanced.dcm",
        pixels,
        SOPClassUID=EnhancedCTImageStorage,
        NumberOfFrames=len(heights),
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=items,
    )


@pytest.mark.parametrize("unit", [Unit.INSTANCE, Unit.SERIES])
def test_enhanced_frames_become_a_volume_ordered_by_position(write_dicom, unit):
    path = enhanced(write_dicom, [4, 0, 2])

    [case] = sources.read(path, unit)

    assert case.image.spacing == (2, 0.5, 0.25)
    assert case.image.values.rescale == (1, -1000)
    assert case.image.read()[0, :, 0, 0].tolist() == [1, 2, 0]


def test_enhanced_frames_are_cases_with_their_own_place_and_meaning(write_dicom):
    path = enhanced(write_dicom, [4, 0, 1], slopes=[1, 2, 3])

    cases = list(sources.read(path, Unit.FRAME))

    assert [case.reference.frame for case in cases] == [1, 2, 3]
    assert len({case.reference.source for case in cases}) == 3
    assert [case.image.to_patient[2, 3] for case in cases] == [4, 0, 1]
    assert [case.image.values.rescale for case in cases] == [(1, -1000), (2, -1000), (3, -1000)]
    assert [int(case.image.read().max()) for case in cases] == [0, 1, 2]


def test_enhanced_frames_of_unlike_rescales_are_a_volume_of_modality_values(write_dicom):
    path = enhanced(write_dicom, [4, 0, 2], slopes=[3, 0.5, 1])

    [case] = sources.read(path)

    assert (case.image.dtype, case.image.span, case.image.values.rescale) == (np.float32, None, (1, 0))
    assert case.image.read()[0, :, 0, 0].tolist() == [1 * 0.5 - 1000, 2 * 1 - 1000, 0 * 3 - 1000]


def test_enhanced_frames_that_form_no_volume_are_refused(write_dicom):
    [rejected] = sources.read(enhanced(write_dicom, [0, 1, 3]))

    assert rejected.outcome.code == "geometry"


@pytest.mark.parametrize("per_frame", [None, []])
@pytest.mark.parametrize("frames", [1, 3])
def test_what_all_enhanced_frames_share_counts_without_groups_of_their_own(write_dicom, per_frame, frames):
    transform, measures, echo = Dataset(), Dataset(), Dataset()
    transform.RescaleSlope, transform.RescaleIntercept = 2, -100
    measures.PixelSpacing, echo.EffectiveEchoTime = [0.5, 0.25], 30.0
    shared = Dataset()
    shared.PixelValueTransformationSequence, shared.PixelMeasuresSequence = [transform], [measures]
    shared.MREchoSequence = [echo]
    empty = {} if per_frame is None else {"PerFrameFunctionalGroupsSequence": per_frame}
    path = write_dicom(
        "shared.dcm",
        np.arange(20 * frames, dtype=np.uint16).reshape(frames, 4, 5),
        SOPClassUID=EnhancedCTImageStorage,
        NumberOfFrames=frames,
        SharedFunctionalGroupsSequence=[shared],
        **empty,
    )

    cases = list(sources.read(path, Unit.FRAME))
    [whole] = sources.read(path)

    assert [case.image.values.rescale for case in cases] == [(2, -100)] * frames
    assert [case.image.spacing for case in cases] == [(0.5, 0.25)] * frames
    assert whole.image.values.rescale == (2, -100)
    assert whole.image.shape == ((4, 5) if frames == 1 else (3, 4, 5))


def test_enhanced_frames_that_share_one_place_are_no_volume(write_dicom):
    position, orientation, measures = Dataset(), Dataset(), Dataset()
    position.ImagePositionPatient, measures.PixelSpacing = [0, 0, 0], [1, 1]
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared = Dataset()
    shared.PlanePositionSequence, shared.PlaneOrientationSequence = [position], [orientation]
    shared.PixelMeasuresSequence = [measures]
    path = write_dicom(
        "shared.dcm", np.zeros((3, 4, 5), np.uint16), NumberOfFrames=3, SharedFunctionalGroupsSequence=[shared]
    )

    [rejected] = sources.read(path)

    assert "several slices lie at the same place" in rejected.outcome.reason
    assert rejected.outcome.reason.endswith("read it frame by frame")


def test_a_film_without_geometry_is_a_volume_without_spacing(write_dicom):
    pixels = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)
    path = write_dicom("film.dcm", pixels, NumberOfFrames=3, PixelSpacing=[0.5, 0.25], ImagerPixelSpacing=[1, 0.5])

    [whole] = sources.read(path)
    frames = list(sources.read(path, Unit.FRAME))

    assert (whole.image.shape, whole.image.spacing, whole.image.to_patient) == ((3, 4, 5), None, None)
    np.testing.assert_array_equal(whole.image.read()[0], pixels)
    assert whole.image.imager_spacing is None
    assert (frames[2].image.spacing, frames[2].image.imager_spacing) == ((0.5, 0.25), (1, 0.5))
    np.testing.assert_array_equal(frames[2].image.read()[0], pixels[2])
