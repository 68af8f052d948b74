"""imagecodecs as a decoding plugin of pydicom: JPEG 12 bit, JPEG lossless and JPEG-LS. Imported through `decoders`.

Unlike pydicom's own plugins it lets go of the GIL while it decodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import imagecodecs
import numpy as np

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import DecodeRunner

JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS = ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")
JPEG_LS = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")
SYNTAXES = (JPEG_EXTENDED, *JPEG_LOSSLESS, *JPEG_LS)

DECODER_DEPENDENCIES = dict.fromkeys(SYNTAXES, ("imagecodecs",))


def is_available(uid: str) -> bool:
    """Whether this build of imagecodecs has the codec for the transfer syntax; pydicom asks."""
    if uid in JPEG_LS:
        return bool(imagecodecs.JPEGLS.available)
    if uid in JPEG_LOSSLESS:
        return bool(imagecodecs.LJPEG.available)
    return uid == JPEG_EXTENDED and bool(imagecodecs.JPEG8.available)


def decode_frame(src: bytes, runner: DecodeRunner) -> bytes:
    """The raw stored values of one frame, by pixel: no colour conversion; the codestream's sample size counts."""
    uid = str(runner.transfer_syntax)
    # A codestream may be padded to even length with a null, PS3.5 A.4, which CharLS takes for damage.
    if uid in JPEG_LS:
        pixels = imagecodecs.jpegls_decode(src)
    elif uid in JPEG_LOSSLESS and runner.samples_per_pixel == 1:
        pixels = imagecodecs.ljpeg_decode(src)
    elif runner.samples_per_pixel == 1:
        pixels = imagecodecs.jpeg8_decode(src)
    else:
        # Input and output colour space alike: the samples stay as they are stored.
        pixels = imagecodecs.jpeg8_decode(src, colorspace="RGB", outcolorspace="RGB")
    runner.set_option("planar_configuration", 0)
    runner.set_option("bits_allocated", 8 * pixels.itemsize)
    return np.ascontiguousarray(pixels).tobytes()
