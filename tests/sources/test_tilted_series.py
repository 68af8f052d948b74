"""Tilted stacks and uneven gaps, corrected by choice: everything comes back at the millimetres where it was."""

import numpy as np
import pytest

from medplug import Preprocessing, Range, Spacing, sources
from medplug.case import Case, Unit
from medplug.errors import CallError
from medplug.pipeline import Pipeline
from medplug.plan import restore

CENTRE, RADIUS = np.array([4.0, -3.0, 30.0]), 14.0
GAPS = [2.5] * 12 + [1.0] + [2.0] * 15


def sphere(write_dicom, heights, degrees=0.0, pixel=1.0, **elements):
    """Slices of 1000 within a sphere and 0 outside, of a gantry turned about the x axis while the table moves in z."""
    angle = np.radians(degrees)
    row, column = np.array([1.0, 0, 0]), np.array([0, np.cos(angle), np.sin(angle)])
    size = 64
    for index, height in enumerate(heights):
        corner = np.array([0, 0, height]) - pixel * (size - 1) / 2 * (row + column)
        r, c = np.mgrid[:size, :size] * pixel
        places = corner + r[..., None] * column + c[..., None] * row
        inside = np.linalg.norm(places - CENTRE, axis=-1) <= RADIUS
        path = write_dicom(
            f"series/{index:03}.dcm",
            np.where(inside, 1000, 0).astype(np.int16),
            ImageOrientationPatient=[*row, *column],
            ImagePositionPatient=[f"{v:.6f}" for v in corner],
            PixelSpacing=[pixel, pixel],
            **elements,
        )
    return path.parent


def spread(values, to_patient):
    """The centre and the extent (standard deviation) of what is bright, in mm along the patient's axes."""
    weights = np.clip(values, 0, None).astype(float)
    indices = np.moveaxis(np.indices(values.shape), 0, -1)
    places = indices @ to_patient[:3, :3].T + to_patient[:3, 3]
    mean = (places * weights[..., None]).sum((0, 1, 2)) / weights.sum()
    return mean, np.cov((places - mean).reshape(-1, 3), rowvar=False, aweights=weights.ravel())


@pytest.mark.parametrize("degrees", [0, 18.5, -25])
@pytest.mark.parametrize("even", [True, False])
def test_a_sphere_comes_back_as_a_sphere_where_it_was(write_dicom, degrees, even):
    heights = np.arange(31) * 2.0 if even else np.cumsum([0.0, *GAPS])
    folder = sphere(write_dicom, heights, degrees)

    [case] = sources.read(folder, Unit.SERIES, tilt="correct")

    centre, _ = spread(case.image.read()[0], case.image.to_patient)
    np.testing.assert_allclose(centre, CENTRE, atol=0.2)
    prepared = Pipeline(Preprocessing(values=Range(0, 1000), geometry=(Spacing((1.5, 1.5, 1.5)),))).prepare(case)
    matrix = prepared.grid.to_patient
    np.testing.assert_allclose(matrix[:3, :3].T @ matrix[:3, :3], np.eye(3) * 1.5**2, atol=0.01)
    assert prepared.grid.spacing == pytest.approx((1.5, 1.5, 1.5), rel=0.01)
    found = prepared.arrays["image"][0]
    centre, covariance = spread(found, matrix)
    np.testing.assert_allclose(centre, CENTRE, atol=0.2)
    np.testing.assert_allclose(covariance, np.eye(3) * RADIUS**2 / 5, atol=0.05 * RADIUS**2 / 5)
    assert found.sum() * 1.5**3 == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.03)
    back = restore(prepared.grid, (found > 0.5)[None])[0] > 0.5
    stored = case.image.read()[0] > 500
    assert 2 * (back & stored).sum() / (back.sum() + stored.sum()) > 0.93


def test_a_tilted_stack_keeps_its_slices_and_their_pixels(write_dicom):
    folder = sphere(write_dicom, np.arange(21) * 3.0, 18.5)

    [case] = sources.read(folder, Unit.SERIES, tilt="correct")

    assert case.image.shape == (21, 64, 64)
    assert [frame.path for frame in case.image.frames] == sorted(case.reference.files)
    assert not case.reference.resampled
    assert case.image.spacing == pytest.approx((3 * np.cos(np.radians(18.5)), 1, 1))


def test_slices_between_uneven_ones_belong_to_no_file(write_dicom):
    folder = sphere(write_dicom, np.cumsum([0.0, *GAPS]))

    [case] = sources.read(folder, Unit.SERIES, tilt="correct")

    assert case.image.shape == (62, 64, 64)
    assert case.image.spacing == pytest.approx((1, 1, 1))
    assert case.image.frames == ()
    assert len(case.reference.files) == len(GAPS) + 1
    assert case.reference.resampled


def test_between_two_slices_values_are_mixed_by_distance_and_padding_is_not(write_series):
    folder = write_series([(0, 0, 0), (0, 0, 2), (0, 0, 3)])
    [case] = sources.read(folder, Unit.SERIES, tilt="correct")
    assert case.image.read()[0, :, 0, 0].tolist() == [0, 0, 1, 2]  # 0.5 is rounded to even

    folder = write_series([(0, 0, 0), (0, 0, 4), (0, 0, 5)], "padded", PixelPaddingValue=1, SeriesInstanceUID="1.2.9")
    [case] = sources.read(folder, Unit.SERIES, tilt="correct")
    assert case.image.read()[0, :, 0, 0].tolist() == [0, 0, 1, 1, 1, 2]


def test_a_regular_series_has_the_same_bits_either_way(test_data):
    folder = test_data / "dicom-series" / "mr-t1-7t-defaced"

    [plain], [corrected] = (sources.read(folder, Unit.SERIES, tilt=tilt) for tilt in ("refuse", "correct"))

    assert corrected.reference == plain.reference
    assert corrected.image.spacing == plain.image.spacing
    np.testing.assert_array_equal(corrected.image.to_patient, plain.image.to_patient)
    np.testing.assert_array_equal(corrected.image.read(), plain.image.read())


def test_a_real_tilted_series_of_uneven_gaps_is_a_volume_by_choice(test_data):
    [case] = sources.read(test_data / "dicom-series" / "ct-ge-human-tilt-varspacing", Unit.SERIES, tilt="correct")

    assert isinstance(case, Case)
    assert case.reference.resampled
    gap = 144.09 / (case.image.shape[0] - 1)
    assert case.image.spacing == pytest.approx((gap, 0.4882812, 0.4882812), rel=1e-3)
    first = case.image.to_patient @ [0, 0, 0, 1]
    last = case.image.to_patient @ [case.image.shape[0] - 1, 0, 0, 1]
    np.testing.assert_allclose(first[:3], [-125, -123.5404569, 5.8360586], atol=1e-6)
    np.testing.assert_allclose(last - first, [0, 0, 151.94, 0], atol=1e-3)


@pytest.mark.parametrize(
    ("positions", "words"),
    [
        ([(0, 0, 0), (0, 3, 1), (0, 0, 2), (0, 0, 3)], "slice 2 along the normal lies 3.00 mm beside the line"),
        ([(0, 0, 0), (0, 0, 1), (0, 0, 1), (0, 0, 3)], "several slices lie at the same place"),
        ([(0, 0, 0), (0, 0, 0.02), (0, 0, 9), (0, 0, 18)], "too uneven to be made even"),
        ([(0, 0, 0), (0, 0, 1)], "has 2 slices"),
    ],
)
def test_what_no_choice_can_mend_is_refused(write_series, positions, words):
    [rejected] = sources.read(write_series(positions), Unit.SERIES, tilt="correct")

    assert rejected.outcome.code == "geometry"
    assert words in rejected.outcome.reason


def test_another_choice_is_a_wrong_call(tmp_path):
    with pytest.raises(CallError, match="'straighten' is nothing to do with a tilted stack; refuse or correct is"):
        sources.read(tmp_path, tilt="straighten")
