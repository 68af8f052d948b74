"""Real DICOM files in every common transfer syntax, against what an independent decoder makes of them."""

import csv
import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from medplug import sources
from medplug.case import Case, Unit
from medplug.errors import SourceError
from medplug.result import Refused, Rejected
from medplug.sources.dicom_header import read_with_pixels
from medplug.sources.dicom_pixels import decode_stored
from medplug.sources.refusal import reading

EXTENDED_12_BIT = "1.2.840.10008.1.2.4.51"
READ_SYNTAXES = {  # PS3.5 A and PS3.6 A
    *("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"),
    *("1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50", EXTENDED_12_BIT),  # RLE, JPEG baseline and extended
    *("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"),  # JPEG lossless
    *("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"),  # JPEG-LS
    *("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.203"),  # JPEG 2000 and HTJ2K
}
UNREAD_SYNTAXES = {"1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55"}


@pytest.fixture(scope="module")
def dicom_files(test_data: Path) -> tuple[Path, list[dict[str, str]]]:
    folder = test_data / "dicom-files"
    with (folder / "manifest.csv").open(newline="") as stream:
        return folder, list(csv.DictReader(stream))


def little_endian(pixels: np.ndarray[Any, Any]) -> bytes:
    return np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<")).tobytes()


def test_stored_pixels_are_those_of_the_oracle(dicom_files):
    folder, rows = dicom_files
    checked, refusals = {"hash": 0, "statistics": 0}, []
    for row in rows:
        if not row["oracle_shape"]:
            continue
        path = folder / row["file"]
        try:
            with reading(str(path)):
                pixels = decode_stored(read_with_pixels(str(path)))
        except SourceError as error:
            refusals.append((error.code, "pip install 'medplug[codecs]'" in str(error)))
            continue
        if row["oracle_pixel_sha256"] and row["lossy"] == "0":
            assert hashlib.sha256(little_endian(pixels)).hexdigest() == row["oracle_pixel_sha256"], row["file"]
            checked["hash"] += 1
        else:
            assert statistics(pixels, row, path) == pytest.approx(
                [float(row[f"oracle_{name}"]) for name in ("min", "max", "mean")], abs=2
            ), row["file"]
            checked["statistics"] += 1
    has_codecs = importlib.util.find_spec("imagecodecs") is not None
    assert set(refusals) <= (set() if has_codecs else {("decoder", True)})
    assert sum(checked.values()) + len(refusals) == 149
    assert checked["hash"] > 80


def statistics(pixels, row, path):
    """Of the stored values; the oracle of 12-bit JPEG has the rescale and MONOCHROME1's inversion applied."""
    values = pixels.astype(np.float64)
    if row["transfer_syntax"] == EXTENDED_12_BIT and not row["oracle_pixel_sha256"]:
        [case] = sources.read(path)
        slope, intercept = case.image.values.rescale
        values = values * slope + intercept
        if row["photometric"] == "MONOCHROME1":
            values = 2 ** int(row["bits_stored"]) - 1 - values
    return [values.min(), values.max(), values.mean()]


def test_every_file_is_read_as_its_header_says_or_refused_by_name(dicom_files):
    folder, rows = dicom_files
    refusals, named = {}, []
    for row in rows:
        path = str(folder / row["file"])
        found = list(sources.read(path, Unit.FRAME))
        if isinstance(found[0], Rejected):
            assert path in found[0].outcome.reason
            refusals[row["file"]] = found[0].outcome.code
            continue
        image = found[0].image
        assert len(found) == int(row["frames"] or 1)
        assert image.shape == (int(row["rows"]), int(row["cols"]))
        try:
            pixels = image.read()
        except SourceError as error:
            named.append(path in str(error))
            refusals[row["file"]] = error.code
            continue
        assert pixels.shape == (image.channels, *image.shape)
        assert pixels.dtype == image.dtype
    assert all(named)
    without_oracle = {row["file"] for row in rows if not row["oracle_shape"]}
    unexpected = set(refusals) - without_oracle - {"files/pydicom-data/SC_rgb_32bit_2frame.dcm"}  # more than 16 bits
    has_codecs = importlib.util.find_spec("imagecodecs") is not None
    assert {refusals[file] for file in unexpected} <= (set() if has_codecs else {"decoder"})
    read = {row["transfer_syntax"] for row in rows if row["file"] not in refusals}
    assert not has_codecs or read >= READ_SYNTAXES


def test_what_has_no_oracle_and_is_read_all_the_same_is_one_picture_however_it_is_stored(dicom_files):
    """Two interleaves of JPEG-LS, which the oracle's decoder cannot read."""
    pytest.importorskip("imagecodecs")
    folder, _ = dicom_files

    by_plane, by_line = (next(sources.read(folder / f"files/pydicom-data/JLSL_RGB_ILV{n}.dcm")).image for n in (0, 1))

    pixels = by_plane.read()
    assert len(np.unique(pixels)) > 200
    np.testing.assert_array_equal(by_line.read(), pixels)


def test_a_transfer_syntax_that_nothing_reads_is_refused_by_name_and_promises_no_package(dicom_files):
    folder, rows = dicom_files
    unread = [row for row in rows if row["transfer_syntax"] in UNREAD_SYNTAXES]
    assert len(unread) == 2
    for row in unread:
        [rejected] = sources.read(folder / row["file"])

        assert rejected.outcome.code == "decoder"
        assert row["transfer_syntax"] in rejected.outcome.reason
        assert "pip install" not in rejected.outcome.reason


def test_a_missing_decoder_is_refused_with_the_package_that_brings_it(dicom_files, monkeypatch):
    from medplug.sources import decoders, dicom_instance

    dicom_instance._described_alike.cache_clear()  # what could be decoded once can be decoded
    monkeypatch.setattr(decoders, "_register_imagecodecs", lambda: False)
    folder, _ = dicom_files

    [rejected] = sources.read(folder / "files/dicom-test-files/MR1_JPLY.dcm")

    assert rejected.outcome.code == "decoder"
    assert "JPEG Extended" in rejected.outcome.reason
    assert "pip install 'medplug[codecs]'" in rejected.outcome.reason


def test_colour_is_rgb_whatever_the_file_stores(dicom_files):
    folder, _ = dicom_files
    stored_as_rgb = folder / "files/dicom-test-files/US1_UNC.dcm"
    lossless_ybr = folder / "files/dicom-test-files/US1_J2KR.dcm"

    [rgb], [ybr] = sources.read(stored_as_rgb), sources.read(lossless_ybr)

    assert ybr.image.photometric == rgb.image.photometric == "RGB"
    assert ybr.image.values.full_range == (0, 255)
    np.testing.assert_array_equal(ybr.image.read(), rgb.image.read())


def test_ybr_full_becomes_the_same_rgb_as_pydicom_makes():
    from pydicom import dcmread
    from pydicom.pixels.processing import convert_color_space
    from pydicom.pixels.utils import pixel_array

    path = get_testdata_file("SC_ybr_full_422_uncompressed.dcm", download=False)

    [case] = sources.read(path)

    stored = pixel_array(dcmread(path), raw=True)
    expected = convert_color_space(stored, "YBR_FULL", "RGB")
    assert not np.array_equal(stored, expected)
    np.testing.assert_array_equal(case.image.read(), np.moveaxis(expected, -1, 0))


def test_a_palette_gives_the_same_colours_in_both_byte_orders(dicom_files):
    folder, _ = dicom_files
    big_endian = folder / "files/pydicom-data/OBXXXX1A_expb.dcm"
    little_endian_frames = folder / "files/pydicom-data/OBXXXX1A_rle_2frame.dcm"

    [big], [little, _] = sources.read(big_endian), sources.read(little_endian_frames, Unit.FRAME)

    assert (big.image.channels, big.image.dtype, big.image.photometric) == (3, np.uint16, "RGB")
    assert len(np.unique(big.image.read())) > 10
    np.testing.assert_array_equal(big.image.read(), little.image.read())


def test_a_ct_slice_says_what_its_header_says():
    path = get_testdata_file("CT_small.dcm", download=False)

    [case] = sources.read(path)

    image = case.image
    assert isinstance(case, Case)
    assert case.reference.source == path
    assert case.reference.sop_class_uid == "1.2.840.10008.5.1.4.1.1.2"
    assert (image.modality, image.photometric, image.bits, image.dtype) == ("CT", "MONOCHROME2", 16, np.int16)
    assert image.values.rescale == (1.0, -1024.0)
    assert image.values.full_range is None
    assert image.spacing == (0.661468, 0.661468)
    assert image.stored_range == (-32768, 32767)
    np.testing.assert_allclose(image.to_patient[:3, 3], [-158.135803, -179.035797, -75.699997])
    assert case.patient is not None
    assert case.patient not in repr(case.reference)


def test_every_file_that_pydicom_brings_is_read_or_refused_by_name():
    folder = Path(get_testdata_file("CT_small.dcm", download=False)).parent
    read, named = 0, []
    for found in sources.read(folder):
        source = found.reference.source
        if isinstance(found, Rejected):
            assert found.outcome.reason.startswith(f"{source}: ")
            continue
        try:
            assert found.image.read().shape == (found.image.channels, *found.image.shape)
            read += 1
        except SourceError as error:
            named.append(str(error).startswith(f"{source}: "))
    assert all(named)
    assert read > 60


def test_a_report_is_refused_when_named_and_skipped_when_found(dicom_files):
    folder, _ = dicom_files
    report = folder / "files/highdicom/sr_document.dcm"

    [named] = sources.read(report)
    found = [case for case in sources.read(report.parent) if case.reference.source == str(report)]

    assert named.outcome.code == "not-an-image"
    assert not isinstance(found[0].outcome, Refused)
