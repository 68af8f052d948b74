"""What a header says about its values, against pydicom's own functions."""

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi

from medplug import Display, Percentiles, Preprocessing, Window, sources
from medplug.case import Unit, VoiWindow
from medplug.errors import SourceError
from medplug.pipeline import Pipeline
from medplug.tone import percentile_range


def looked_up(table, values):
    """C.11.1 and C.11.2 as they are written: the slow twin of whoever uses a `LookupTable`."""
    return table.entries[np.clip(values.astype(int) - table.first, 0, len(table.entries) - 1)]


def lut_item(entries, first, bits=16, vr_bytes=False):
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries) % 2**16, first, bits])
    if vr_bytes:
        item.add_new("LUTData", "OW", np.asarray(entries, "<u2").tobytes())
    else:
        item.add_new("LUTData", "US", list(map(int, entries)))
    return item


def as_unsigned(item):
    """Write the signed first value as US, which many do."""
    count, first, bits = item.LUTDescriptor
    item["LUTDescriptor"].VR = "US"
    item["LUTDescriptor"].value = [count, first % 2**16, bits]
    return item


def only(found):
    [case] = found
    return case


@pytest.mark.parametrize("vr_bytes", [False, True])
@pytest.mark.parametrize("first", [3, -5])
def test_a_modality_lut_means_what_pydicom_makes_of_it(write_dicom, first, vr_bytes):
    pixels = np.arange(-10, 10, dtype=np.int16).reshape(4, 5)
    entries = np.array([100, 7, 65535, 9, 31])
    path = write_dicom("m.dcm", pixels, ModalityLUTSequence=[lut_item(entries, first, vr_bytes=vr_bytes)])

    image = only(sources.read(path)).image

    expected = apply_modality_lut(pixels, dcmread(path))
    np.testing.assert_array_equal(looked_up(image.values.modality_lut, pixels), expected)
    assert image.values.modality_lut.maximum == 65535
    assert image.values.rescale == (1, 0)


def test_a_negative_first_value_written_as_unsigned_is_negative_all_the_same(write_dicom):
    pixels = np.arange(-10, 10, dtype=np.int16).reshape(4, 5)
    path = write_dicom("m.dcm", pixels, ModalityLUTSequence=[as_unsigned(lut_item([5, 6, 7], -5))])

    assert only(sources.read(path)).image.values.modality_lut.first == -5


def test_a_voi_lut_means_what_pydicom_makes_of_it(write_dicom):
    pixels = np.arange(20, dtype=np.uint16).reshape(4, 5)
    path = write_dicom("v.dcm", pixels, VOILUTSequence=[lut_item(np.arange(12)[::-1] ** 2, 4, bits=12)])

    values = only(sources.read(path)).image.values

    np.testing.assert_array_equal(looked_up(values.voi_lut, pixels), apply_voi(pixels, dcmread(path)))
    assert values.voi_lut.maximum == 4095


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (lut_item([1, 2, 3], 0, bits=24), "24 bits"),
        (lut_item([1, 2, 300], 0, bits=8), "above its own maximum of 255"),
    ],
)
def test_a_lut_that_contradicts_itself_is_refused(write_dicom, item, words):
    [rejected] = sources.read(write_dicom("m.dcm", ModalityLUTSequence=[item]))

    assert rejected.outcome.code == "values"
    assert words in rejected.outcome.reason


def test_several_windows_are_kept_with_their_function(write_dicom):
    path = write_dicom("w.dcm", WindowCenter=[40, 300.5], WindowWidth=[80, 2000], VOILUTFunction="SIGMOID")

    values = only(sources.read(path)).image.values

    assert values.windows == (VoiWindow(40, 80, "SIGMOID"), VoiWindow(300.5, 2000, "SIGMOID"))


@pytest.mark.parametrize(
    "elements",
    [
        {"WindowCenter": 40, "WindowWidth": 0},
        {"WindowCenter": 40, "WindowWidth": 0.5},
        {"WindowCenter": 40, "WindowWidth": -1, "VOILUTFunction": "LINEAR_EXACT"},
        {"WindowCenter": 40, "WindowWidth": 80, "VOILUTFunction": "CUBIC"},
        {"WindowCenter": [40, 50], "WindowWidth": 80},
        {"WindowCenter": 40},
    ],
)
def test_a_window_that_the_standard_forbids_is_no_window(write_dicom, elements):
    assert only(sources.read(write_dicom("w.dcm", **elements))).image.values.windows == ()


def test_linear_exact_takes_a_width_below_one(write_dicom):
    path = write_dicom("w.dcm", WindowCenter=0.5, WindowWidth=0.5, VOILUTFunction="LINEAR_EXACT")

    assert only(sources.read(path)).image.values.windows == (VoiWindow(0.5, 0.5, "LINEAR_EXACT"),)


@pytest.mark.parametrize(
    ("elements", "inverted"),
    [
        ({}, False),
        ({"PhotometricInterpretation": "MONOCHROME1"}, True),
        ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}, True),
        ({"PresentationLUTShape": "INVERSE"}, True),
        ({"PresentationLUTShape": "IDENTITY"}, False),
    ],
)
def test_the_lowest_value_is_white_where_the_header_says_so(write_dicom, elements, inverted):
    assert only(sources.read(write_dicom("i.dcm", **elements))).image.values.inverted is inverted


def test_stored_range_is_that_of_the_bits_stored(write_dicom):
    signed = write_dicom("s.dcm", np.zeros((4, 5), np.int16), BitsStored=12, HighBit=11)
    unsigned = write_dicom("u.dcm", np.zeros((4, 5), np.uint8), BitsStored=7, HighBit=6)

    images = [only(sources.read(path)).image for path in (signed, unsigned)]

    assert [image.stored_range for image in images] == [(-2048, 2047), (0, 127)]
    assert [(image.bits, image.dtype) for image in images] == [(12, np.int16), (7, np.uint8)]


def test_unused_high_bits_do_not_change_a_signed_value(write_dicom):
    pixels = np.array([[-2048, -1, 0, 2047]], np.int16) & 0x0FFF  # the sign is not carried into the unused bits
    path = write_dicom("s.dcm", pixels.astype(np.int16), BitsStored=12, HighBit=11)

    np.testing.assert_array_equal(only(sources.read(path)).image.read(), [[[-2048, -1, 0, 2047]]])


def test_32_bit_integers_are_read_where_they_fit_into_16_bits(write_dicom):
    small = np.arange(20, dtype=np.uint32).reshape(4, 5)
    large = small + 65530
    fitting, overflowing = write_dicom("a.dcm", small), write_dicom("b.dcm", large)

    pixels = only(sources.read(fitting)).image.read()

    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels[0], small)
    with pytest.raises(SourceError, match="values from 65530 to 65549, which do not fit into uint16"):
        only(sources.read(overflowing)).image.read()


def test_code_strings_are_upper_case_and_absent_ones_are_none(write_dicom):
    image = only(sources.read(write_dicom("c.dcm", Modality="dx", BodyPartExamined="", ViewPosition="pa"))).image

    assert (image.modality, image.body_part, image.view) == ("DX", None, "PA")


@pytest.mark.parametrize(
    ("pixels", "elements", "padding"),
    [
        (np.int16, {}, None),
        (np.int16, {"PixelPaddingValue": -2000}, (-2000, -2000)),
        (np.int16, {"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -1024}, (-2000, -1024)),
        (np.uint16, {"PixelPaddingValue": 4095, "PixelPaddingRangeLimit": 4000}, (4000, 4095)),
        (np.uint8, {"PixelPaddingValue": 255}, (255, 255)),
        (np.uint16, {"PixelPaddingRangeLimit": 4000}, None),
    ],
)
def test_padding_is_a_range_of_stored_values(write_dicom, pixels, elements, padding):
    [case] = sources.read(write_dicom("a.dcm", np.zeros((4, 5), pixels), **elements))

    assert case.image.values.padding == padding


def test_padding_whose_sign_was_mistaken_is_understood(write_dicom):
    """63536 is -2000 in 16 bits: US written for SS, as explicit VR lets a writer do."""
    path = write_dicom("a.dcm", np.zeros((4, 5), np.int16), PixelPaddingValue=-2000)
    stored = path.read_bytes()
    path.write_bytes(stored.replace(b"\x28\x00\x20\x01SS", b"\x28\x00\x20\x01US"))

    [case] = sources.read(path)

    assert stored != path.read_bytes()
    assert case.image.values.padding == (-2000, -2000)


def test_padding_in_a_file_is_shown_black_though_monochrome1_turns_values_round(write_dicom):
    pixels = np.full((4, 5), 100, np.uint16)
    pixels[:, :2], pixels[3, 4] = 0, 4000
    path = write_dicom("a.dcm", pixels, PixelPaddingValue=0, PhotometricInterpretation="MONOCHROME1")
    preprocessing = Preprocessing(values=Display(fallback=Percentiles(0, 100)))

    shown = Pipeline(preprocessing).prepare(next(sources.read(path))).arrays["image"][0]

    assert (shown[:, :2] == 0).all()
    assert shown[0, 2] == 1
    window = Preprocessing(values=Window(2000, 4000))
    assert (Pipeline(window).prepare(next(sources.read(path))).arrays["image"][0][:, :2] == 0).all()


@pytest.mark.parametrize(
    ("kind", "dtype", "limit", "padding"),
    [
        ("Float", np.float32, None, (np.float32(-0.1), np.float32(-0.1))),
        ("Float", np.float32, -9.5, (-9.5, np.float32(-0.1))),
        ("DoubleFloat", np.float64, None, (np.float32(-0.1), np.float32(-0.1))),
    ],
)
def test_the_padding_of_float_pixels_is_no_measurement(write_dicom, kind, dtype, limit, padding):
    pixels = np.linspace(1, 3, 20).astype(dtype).reshape(4, 5)
    pixels[0] = -0.1
    elements = {} if limit is None else {f"{kind}PixelPaddingRangeLimit": limit}
    path = write_dicom(
        "a.dcm",
        pixels.astype(np.float32),
        PixelData=None,
        BitsAllocated=8 * pixels.itemsize,
        **{f"{kind}PixelData": pixels.tobytes(), f"{kind}PixelPaddingValue": -0.1},
        **elements,
    )

    [case] = sources.read(path)

    assert case.image.values.padding == padding
    low, _ = percentile_range(Percentiles(0, 100), case.image, case.image.read())
    assert low == pytest.approx(pixels[1, 0])


def test_slices_of_different_padding_are_refused(write_series):
    folder = write_series([(0, 0, float(z)) for z in range(4)], PixelPaddingValue=[0, 0, 1, 0])

    [rejected] = sources.read(folder, Unit.SERIES)

    assert (rejected.outcome.code, "different padding" in rejected.outcome.reason) == ("values", True)
