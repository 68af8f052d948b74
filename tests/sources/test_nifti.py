"""NIfTI: values as they are scaled, and every index at the place in the patient that its affine says."""

import gzip
import zipfile

import numpy as np
import pytest

from medplug import sources
from medplug.case import Case, Unit
from medplug.errors import SourceError
from medplug.tone import to_modality

nibabel = pytest.importorskip("nibabel")
TURN = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])


@pytest.fixture
def write(tmp_path):
    """Write a volume [i, j, k] with an affine of 2 x 3 x 4 mm, turned; keywords set fields of the header."""

    def made(values, name="a.nii", affine=None, **fields):
        if affine is None:
            affine = np.eye(4)
            affine[:3, :3] = TURN @ np.diag([2.0, 3.0, 4.0])
            affine[:3, 3] = 10, 20, 30
        image = nibabel.Nifti1Image(values, affine, dtype=values.dtype)
        for field, value in fields.items():
            image.header[field] = value
        nibabel.save(image, tmp_path / name)
        return tmp_path / name

    return made


def volume(shape=(5, 4, 3), dtype=np.int16):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_an_index_is_slice_row_column_and_lies_where_the_affine_says(write, name):
    values = volume()
    path = write(values, name)

    [case] = sources.read(path)

    image = case.image
    assert image.shape == (3, 4, 5)
    assert image.spacing == pytest.approx((4, 3, 2))
    np.testing.assert_array_equal(image.read()[0], values.transpose(2, 1, 0))
    ras = nibabel.load(path).affine @ [4, 1, 2, 1]
    np.testing.assert_allclose(image.to_patient @ [2, 1, 4, 1], ras * [-1, -1, 1, 1], atol=1e-5)


def test_places_are_those_that_simpleitk_finds(write):
    itk = pytest.importorskip("SimpleITK")
    path = write(volume())

    [case] = sources.read(path)

    place = itk.ReadImage(str(path)).TransformIndexToPhysicalPoint((4, 1, 2))
    np.testing.assert_allclose((case.image.to_patient @ [2, 1, 4, 1])[:3], place, atol=1e-4)


@pytest.mark.parametrize(
    ("stored", "read_as"),
    [
        *[(name, name) for name in ("uint8", "int8", "uint16", "int16", "float32")],
        *[(name, "float32") for name in ("int32", "uint32", "int64", "float64")],
    ],
)
def test_values_keep_their_type_where_a_kernel_takes_it(write, stored, read_as):
    values = volume(dtype=stored)

    [case] = sources.read(write(values))

    assert case.image.dtype == read_as
    assert case.image.read().dtype == read_as
    np.testing.assert_array_equal(case.image.read()[0].T, values)


def test_slope_and_intercept_are_the_modality_transform(write, tmp_path):
    path = write(volume())
    stored = bytearray(path.read_bytes())
    stored[112:120] = np.array([0.5, -100], "<f4").tobytes()  # scl_slope and scl_inter, NIfTI-1
    path.write_bytes(stored)

    [case] = sources.read(path)

    assert case.image.values.rescale == (0.5, -100)
    found = to_modality(case.image.values, case.image.read()[0].astype(float))
    np.testing.assert_allclose(found.T, nibabel.load(path).get_fdata())


def test_a_declared_display_range_is_one(write):
    assert next(sources.read(write(volume(), cal_min=3, cal_max=40))).image.values.full_range == (3, 40)
    assert next(sources.read(write(volume()))).image.values.full_range is None


@pytest.mark.parametrize(("units", "millimetres"), [(0, 1), (1, 1000), (2, 1), (3, 0.001)])
def test_millimetres_whatever_the_unit(write, units, millimetres):
    image = next(sources.read(write(volume(), xyzt_units=units))).image

    assert image.spacing == pytest.approx((4 * millimetres, 3 * millimetres, 2 * millimetres))
    np.testing.assert_allclose(image.to_patient[:3, 3], np.array([-10, -20, 30]) * millimetres, rtol=1e-5)


def test_a_place_that_nobody_states_is_not_made_up(write):
    path = write(volume())
    stored = bytearray(path.read_bytes())
    stored[252:256] = bytes(4)  # qform_code and sform_code: unknown
    path.write_bytes(stored)

    image = next(sources.read(path)).image

    assert image.to_patient is None
    assert image.spacing == pytest.approx((4, 3, 2))


def test_one_slice_is_a_flat_image(write):
    [case] = sources.read(write(volume((5, 4, 1))))

    assert (case.image.shape, case.image.spacing) == ((4, 5), pytest.approx((3, 2)))
    np.testing.assert_array_equal(case.image.read()[0], volume((5, 4)).T)


def test_several_volumes_are_read_one_by_one_or_refused(write):
    values = volume((5, 4, 3, 2))
    path = write(values)

    [refused] = sources.read(path)
    cases = list(sources.read(path, Unit.FRAME))

    assert refused.outcome.code == "dimensions"
    assert refused.outcome.reason == f"{path}: has 2 volumes; read it one by one, with the unit 'frame'"
    assert [case.reference.source for case in cases] == [f"{path}:frame/1", f"{path}:frame/2"]
    for index, case in enumerate(cases):
        np.testing.assert_array_equal(case.image.read()[0], values[..., index].T)


def sheared(axis, by):
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    affine[0, axis] = by
    return affine


@pytest.mark.parametrize(
    ("values", "how", "code", "words"),
    [
        (volume(dtype=np.complex64), {}, "values", "complex64"),
        (np.zeros((5, 4, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")]), {}, "values", "colours"),
        (volume(), {"affine": sheared(1, 1.0)}, "geometry", "sheared within the slices"),
        (volume(), {"affine": sheared(2, 1.0)}, "geometry", "tilted by 14.0 degrees"),
    ],
)
def test_what_is_not_read_is_refused_with_the_reason(write, values, how, code, words):
    [rejected] = sources.read(write(values, **how))

    assert rejected.outcome.code == code
    assert words in rejected.outcome.reason


def test_a_tilted_volume_is_read_by_choice(write):
    [case] = sources.read(write(volume(), affine=sheared(2, 1.0)), tilt="correct")

    assert isinstance(case, Case)
    assert case.image.spacing == pytest.approx((4, 3, 2))


def test_integers_that_a_float_would_round_are_refused(write):
    [case] = sources.read(write(np.full((5, 4, 3), 2**24 + 1, np.int32)))

    with pytest.raises(SourceError, match="integers above 2"):
        case.image.read()


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("kept", [10, 100, 360, 400])
def test_a_file_that_is_cut_short_is_refused_by_name(write, name, kept):
    path = write(volume(dtype=np.float32), name)
    path.write_bytes(path.read_bytes()[:kept] if name == "a.nii" else path.read_bytes()[: kept // 4])

    [found] = sources.read(path)

    if isinstance(found, Case):
        with pytest.raises(SourceError, match=str(path)):
            found.image.read()
    else:
        assert str(path) in found.outcome.reason


def test_a_size_that_a_few_bytes_claim_is_refused_before_it_fills_the_memory(write, tmp_path):
    path = write(volume())
    stored = bytearray(path.read_bytes())
    stored[40:48] = np.array([3, 32767, 32767, 32767], "<i2").tobytes()  # dim
    path.write_bytes(stored)
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(bytes(stored)))

    for one in (path, tmp_path / "b.nii.gz"):
        [rejected] = sources.read(one)
        assert (rejected.outcome.code, "more than is read" in rejected.outcome.reason) == ("unreadable", True)


def test_extensions_that_a_few_bytes_claim_are_refused(write, tmp_path):
    stored = bytearray(write(volume()).read_bytes())
    stored[108:112] = np.array([2.0**31], "<f4").tobytes()  # vox_offset
    path = tmp_path / "b.nii.gz"
    path.write_bytes(gzip.compress(bytes(stored)))

    [rejected] = sources.read(path)

    assert "more than 16 MiB of header extensions" in rejected.outcome.reason


def test_nifti_2_and_the_other_byte_order_are_read(tmp_path):
    affine = np.diag([-2.0, -2.0, 2.0, 1.0])
    nibabel.save(nibabel.Nifti2Image(volume(), affine, dtype=np.int16), tmp_path / "two.nii")
    swapped = nibabel.Nifti1Image(volume(), affine, dtype=np.int16)
    nibabel.save(nibabel.Nifti1Image(volume(), affine, swapped.header.as_byteswapped(">")), tmp_path / "big.nii")

    two, big = sources.read([tmp_path / "two.nii", tmp_path / "big.nii"])

    np.testing.assert_array_equal(two.image.read()[0].T, volume())
    np.testing.assert_array_equal(big.image.read()[0].T, volume())


def test_nifti_in_an_archive_is_read(write, tmp_path):
    path = write(volume(), "a.nii.gz")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as made:
        made.write(path, "deep/a.nii.gz")

    [case] = sources.read(tmp_path / "b.zip")

    assert case.reference.source == f"{tmp_path}/b.zip:deep/a.nii.gz"
    np.testing.assert_array_equal(case.image.read()[0].T, volume())


def test_without_nibabel_the_package_is_named(write, monkeypatch):
    path = write(volume())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    [rejected] = sources.read(path)

    assert rejected.outcome.code == "decoder"
    assert "pip install 'medplug[nifti]'" in rejected.outcome.reason
