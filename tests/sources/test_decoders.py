"""imagecodecs behind pydicom, on codestreams made to order."""

import imagecodecs
import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGExtended12Bit, JPEGLosslessSV1

from medplug import sources
from medplug.sources.dicom_header import read_with_pixels
from medplug.sources.dicom_pixels import decode_stored


def compressed(path, codestream, transfer_syntax, **elements):
    """Replace the pixels of the file by a codestream."""
    dataset = read_with_pixels(str(path))
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    dataset.PixelData = encapsulate([codestream])
    dataset["PixelData"].is_undefined_length = True
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)
    return path


def test_12_bit_colour_is_decoded_as_it_is_stored_and_refused_as_an_image(write_dicom):
    ybr = np.random.default_rng(0).integers(1000, 1200, (16, 16, 3), np.uint16)
    codestream = imagecodecs.jpeg8_encode(
        ybr, level=100, colorspace="ycbcr", outcolorspace="ycbcr", subsampling="444", bitspersample=12
    )
    path = compressed(
        write_dicom("x.dcm", np.zeros((16, 16), np.uint16), BitsStored=12, HighBit=11),
        codestream,
        JPEGExtended12Bit,
        SamplesPerPixel=3,
        PhotometricInterpretation="YBR_FULL",
        PlanarConfiguration=0,
    )

    stored = decode_stored(read_with_pixels(str(path)))
    [rejected] = sources.read(path)

    assert np.abs(stored.astype(int) - ybr).max() <= 2
    assert rejected.outcome.code == "photometric"
    assert "YBR_FULL of uint16" in rejected.outcome.reason


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_lossless_jpeg_is_read_at_the_codestreams_own_sample_size(write_dicom, dtype):
    pixels = np.arange(64, dtype=dtype).reshape(8, 8)
    path = compressed(
        write_dicom("x.dcm", np.zeros((8, 8), np.uint16), BitsStored=8, HighBit=7),
        imagecodecs.ljpeg_encode(pixels),
        JPEGLosslessSV1,
    )

    [case] = sources.read(path)

    assert case.image.dtype == np.uint16
    np.testing.assert_array_equal(case.image.read()[0], pixels)
