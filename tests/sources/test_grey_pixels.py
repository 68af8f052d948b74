"""Grey pixels that lie in a file as they do in memory are read without parsing it once more."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from medplug import sources
from medplug.case import Unit
from medplug.errors import SourceError
from medplug.sources import dicom_pixels
from medplug.sources.dicom_instance import read_instance
from medplug.sources.walk import files_below


@pytest.fixture
def parsed(monkeypatch):
    """The files that were parsed again for their pixels."""
    found = []

    def counted(path):
        found.append(path)
        return again(path)

    again = dicom_pixels.read_with_pixels
    monkeypatch.setattr(dicom_pixels, "read_with_pixels", counted)
    return found


def test_every_grey_file_gives_what_pydicom_makes_of_it(test_data):
    compared = 0
    brought = Path(get_testdata_file("CT_small.dcm", download=False)).parent
    for path in map(str, [*files_below(test_data / "dicom-files"), *files_below(brought)]):
        try:
            instance = read_instance(path, path)
        except SourceError:
            continue
        if instance.file.grey is None:
            continue
        decoded = replace(instance.file, grey=None)
        image = instance.image
        shapes = {None: (instance.file.frames, *image.shape)} if instance.file.frames > 1 else {0: image.shape}
        if instance.file.frames > 1:
            shapes |= {0: image.shape, instance.file.frames - 1: image.shape}
        for frame, shape in shapes.items():
            expected = decoded.reader(frame, shape, 1, image.dtype)()
            np.testing.assert_array_equal(instance.file.reader(frame, shape, 1, image.dtype)(), expected)
            compared += 1
    assert compared > 40


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
@pytest.mark.parametrize("bits", [None, 7])
def test_bits_above_those_stored_are_no_part_of_a_value(write_dicom, parsed, dtype, bits):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 10), np.uint8).view(dtype)
    path = write_dicom("a.dcm", pixels, **({} if bits is None else {"BitsStored": bits, "HighBit": bits - 1}))

    [case] = sources.read(path)

    made = case.image.read()[0]
    shift = 0 if bits is None else 8 * pixels.itemsize - bits
    np.testing.assert_array_equal(made, pixels << shift >> shift)
    assert made.dtype == pixels.dtype
    assert not parsed


def test_one_frame_is_read_without_the_others(write_dicom, parsed):
    pixels = np.arange(3 * 4 * 6, dtype=np.uint16).reshape(3, 4, 6)
    path = write_dicom("a.dcm", pixels, NumberOfFrames=3)

    frames = list(sources.read(path, Unit.FRAME))

    np.testing.assert_array_equal(np.concatenate([case.image.read() for case in frames]), pixels)
    assert not parsed


@pytest.mark.parametrize(
    ("name", "again"),
    [
        ("MR_small.dcm", False),
        ("MR_small_bigendian.dcm", True),
        ("MR_small_RLE.dcm", True),
    ],
)
def test_pixels_that_lie_otherwise_are_decoded(parsed, name, again):
    [case] = sources.read(get_testdata_file(name, download=False))

    pixels = case.image.read()

    expected = pydicom.dcmread(get_testdata_file(name, download=False)).pixel_array
    np.testing.assert_array_equal(pixels[0], expected.reshape(pixels[0].shape))
    assert bool(parsed) is again


def test_deflated_pixels_are_decoded(write_dicom, parsed):
    path = write_dicom("a.dcm")
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)

    [case] = sources.read(path)

    np.testing.assert_array_equal(case.image.read(), np.arange(20).reshape(1, 4, 5))
    assert parsed


def test_a_file_that_has_changed_since_is_read_anew(write_dicom, parsed):
    path = write_dicom("a.dcm")
    [case] = sources.read(path)
    write_dicom("a.dcm", np.arange(20, dtype=np.uint16)[::-1].reshape(4, 5), PatientID="a longer one than before")

    np.testing.assert_array_equal(case.image.read(), np.arange(20)[::-1].reshape(1, 4, 5))
    assert parsed == [str(path)]


@pytest.mark.parametrize("change", ["cut short", "gone", "another shape"])
def test_a_file_that_was_spoilt_since_is_refused_by_name(write_dicom, change):
    path = write_dicom("a.dcm")
    [case] = sources.read(path)
    if change == "cut short":
        path.write_bytes(path.read_bytes()[:-6])
    elif change == "gone":
        path.unlink()
    else:
        write_dicom("a.dcm", np.zeros((5, 4), np.uint16))

    with pytest.raises(SourceError, match=r"a\.dcm"):
        case.image.read()


def test_a_compressed_file_that_is_cut_short_is_refused_as_such(tmp_path):
    whole = Path(get_testdata_file("MR_small_RLE.dcm", download=False)).read_bytes()
    path = tmp_path / "a.dcm"
    path.write_bytes(whole[: len(whole) * 2 // 3])

    [case] = sources.read(path)

    with pytest.raises(SourceError, match=r"a\.dcm: ends before its pixels do: it is cut short"):
        case.image.read()


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", [None, RLELossless, JPEG2000Lossless])
def test_an_overlay_in_the_high_bits_is_no_part_of_the_image(write_dicom, signed, syntax):
    """PS3.5 8.1.1 of old: Overlay Bit Position 12 in pixels of 12 bits."""
    values = np.arange(64 * 64).reshape(64, 64) % 4096 - 2048 * signed
    overlay = (np.indices((64, 64)).sum(axis=0) % 2).astype(np.uint16) << 12
    stored = (values & 0xFFF).astype(np.uint16) | overlay
    path = write_dicom("a.dcm", stored, BitsStored=12, HighBit=11, PixelRepresentation=int(signed))
    dataset = pydicom.dcmread(path)
    for element, vr, value in ((0x10, "US", 64), (0x11, "US", 64), (0x40, "CS", "G"), (0x100, "US", 16)):
        dataset.add_new(0x60000000 | element, vr, value)
    dataset.add_new(0x60000050, "SS", [1, 1])
    dataset.add_new(0x60000102, "US", 12)
    if syntax is not None:
        dataset.compress(syntax)
    dataset.save_as(path)

    [case] = sources.read(path)

    np.testing.assert_array_equal(case.image.read()[0], values)
