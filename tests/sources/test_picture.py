"""PNG, JPEG and TIFF made by real encoders."""

import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from medplug import sources
from medplug.case import Unit
from medplug.errors import SourceError
from medplug.result import Rejected

RAMP = np.arange(35, dtype=np.uint8).reshape(5, 7) * 7
DEEP = np.arange(35, dtype=np.uint16).reshape(5, 7) * 1801
COLOUR = np.stack([RAMP, 255 - RAMP, RAMP // 2], axis=-1)


def only(path, unit=Unit.INSTANCE):
    [case] = sources.read(path, unit)
    return case


def refusal(path):
    """When its header is read or when its pixels are: both name the file."""
    [found] = sources.read(path)
    if isinstance(found, Rejected):
        return found.outcome.code, found.outcome.reason
    with pytest.raises(SourceError) as caught:
        found.image.read()
    return caught.value.code, str(caught.value)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize(
    ("pixels", "bits"), [(RAMP, 8), (DEEP, 16), (COLOUR, 8)], ids=["8 bit grey", "16 bit grey", "8 bit RGB"]
)
def test_a_lossless_picture_is_read_as_it_was_written(tmp_path, pixels, bits, suffix):
    path = tmp_path / f"x.{suffix}"
    Pillow.fromarray(pixels).save(path)

    image = only(path).image

    channels = 3 if pixels.ndim == 3 else 1
    assert (image.shape, image.channels, image.bits, image.dtype) == ((5, 7), channels, bits, pixels.dtype)
    assert image.values.full_range == (0, 2**bits - 1)
    assert image.photometric == ("RGB" if channels == 3 else "MONOCHROME2")
    assert (image.modality, image.body_part, image.spacing) == (None, None, None)
    np.testing.assert_array_equal(image.read(), np.moveaxis(pixels, -1, 0) if channels == 3 else pixels[None])


def test_a_jpeg_is_read_as_pillow_reads_it(tmp_path):
    path = tmp_path / "x.jpg"
    Pillow.fromarray(RAMP).save(path, quality=95)

    np.testing.assert_array_equal(only(path).image.read()[0], np.asarray(Pillow.open(path)))


def test_16_bit_colour_keeps_its_16_bits(tmp_path):
    pixels = np.stack([DEEP, 65535 - DEEP, DEEP // 2], axis=-1)
    png, tiff = tmp_path / "x.png", tmp_path / "x.tif"
    png.write_bytes(imagecodecs.png_encode(pixels))
    tifffile.imwrite(tiff, pixels, photometric="rgb")

    for path in (png, tiff):
        image = only(path).image
        assert (image.channels, image.bits, image.values.full_range) == (3, 16, (0, 65535))
        np.testing.assert_array_equal(image.read(), np.moveaxis(pixels, -1, 0))


def test_16_bit_colour_without_its_decoder_is_refused_with_the_package(tmp_path, monkeypatch):
    path = tmp_path / "x.png"
    path.write_bytes(imagecodecs.png_encode(np.stack([DEEP] * 3, axis=-1)))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    [rejected] = sources.read(path)

    assert rejected.outcome.code == "decoder"
    assert "medplug[codecs]" in rejected.outcome.reason


def test_a_palette_picture_becomes_rgb(tmp_path):
    path = tmp_path / "x.png"
    Pillow.fromarray(COLOUR).quantize(64).save(path)

    image = only(path).image

    expected = np.asarray(Pillow.open(path).convert("RGB"))
    np.testing.assert_array_equal(image.read(), np.moveaxis(expected, -1, 0))


def test_one_bit_is_shown_in_full_from_0_to_1(tmp_path):
    path = tmp_path / "x.png"
    Pillow.fromarray(RAMP > 100).save(path)

    image = only(path).image

    assert (image.bits, image.dtype, image.values.full_range) == (1, np.uint8, (0, 1))
    np.testing.assert_array_equal(image.read()[0], RAMP > 100)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_an_opaque_alpha_channel_is_dropped_and_a_transparent_one_refused(tmp_path, mode):
    picture = Pillow.fromarray(COLOUR).convert(mode)
    opaque, transparent = tmp_path / "opaque.png", tmp_path / "transparent.png"
    picture.save(opaque)
    picture.putalpha(Pillow.fromarray(RAMP))
    picture.save(transparent)

    expected = np.asarray(Pillow.open(opaque))[..., :-1]
    np.testing.assert_array_equal(only(opaque).image.read(), np.moveaxis(expected, -1, 0))
    with pytest.raises(SourceError, match="transparent in places") as caught:
        only(transparent).image.read()
    assert caught.value.code == "channels"


def test_a_transparent_colour_without_alpha_channel_is_refused(tmp_path):
    path = tmp_path / "x.png"
    Pillow.fromarray(RAMP).save(path, transparency=0)

    with pytest.raises(SourceError, match="transparent in places"):
        only(path).image.read()


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_a_picture_is_turned_upright(tmp_path, suffix, orientation):
    path = tmp_path / f"x.{suffix}"
    exif = Pillow.Exif()
    exif[274] = orientation
    Pillow.fromarray(np.kron(RAMP, np.ones((16, 16), np.uint8))).save(path, exif=exif)

    image = only(path).image

    pixels = image.read()[0].astype(int)
    upright = np.rot90(np.kron(RAMP, np.ones((16, 16), int)), 2 if orientation == 3 else -1)
    assert image.shape == pixels.shape == upright.shape
    assert np.abs(pixels - upright).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_colour_is_turned_upright_like_8_bit_colour(tmp_path, suffix, orientation):
    """Pillow turns the 8-bit one, an independent reader of the same tag."""
    shallow, deep = tmp_path / f"shallow.{suffix}", tmp_path / f"deep.{suffix}"
    for path, pixels in ((shallow, COLOUR), (deep, COLOUR.astype(np.uint16) * 257)):
        if suffix == "tif":
            tifffile.imwrite(path, pixels, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
            continue
        exif = Pillow.Exif()
        exif[274] = orientation
        body = exif.tobytes().removeprefix(b"Exif\0\0")
        chunk = len(body).to_bytes(4, "big") + b"eXIf" + body + zlib.crc32(b"eXIf" + body).to_bytes(4, "big")
        png = imagecodecs.png_encode(pixels)
        path.write_bytes(png[:33] + chunk + png[33:])  # after IHDR

    seen, image = only(shallow).image, only(deep).image

    assert image.shape == seen.shape == ((7, 5) if orientation > 4 else (5, 7))
    np.testing.assert_array_equal(image.read(), seen.read().astype(np.uint16) * 257)


def test_pages_are_frames_and_refused_as_an_instance(tmp_path):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.stack([RAMP, RAMP + 1, RAMP + 2]), photometric="minisblack")

    [rejected] = sources.read(path)
    frames = list(sources.read(path, Unit.FRAME))

    assert rejected.outcome.code == "dimensions"
    assert "3 pages" in rejected.outcome.reason
    assert [frame.reference.frame for frame in frames] == [1, 2, 3]
    assert [frame.reference.source for frame in frames] == [f"{path}:frame/{n}" for n in (1, 2, 3)]
    np.testing.assert_array_equal(frames[2].image.read()[0], RAMP + 2)


def test_white_is_zero_is_shown_as_white_at_both_depths(tmp_path):
    shown = []
    for pixels in (RAMP, DEEP):
        path = tmp_path / f"{pixels.dtype}.tif"
        tifffile.imwrite(path, pixels, photometric="miniswhite")
        image = only(path).image
        top = image.values.full_range[1]
        read = image.read()[0].astype(float)
        shown.append((top - read if image.values.inverted else read) / top)

    np.testing.assert_allclose(shown[0], 1 - RAMP / 255)
    np.testing.assert_allclose(shown[1], 1 - DEEP / 65535)


def test_floats_and_signed_integers_keep_their_values_and_declare_no_full_range(tmp_path):
    for name, pixels in (("f", RAMP / np.float32(9)), ("s", DEEP.astype(np.int16))):
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, pixels, photometric="minisblack")

        image = only(path).image

        assert image.dtype == pixels.dtype
        assert image.values.full_range is None
        np.testing.assert_array_equal(image.read()[0], pixels)


@pytest.mark.parametrize(
    ("name", "save", "code", "words"),
    [
        ("cmyk.jpg", lambda path: Pillow.new("CMYK", (4, 4)).save(path), "photometric", "CMYK"),
        ("i32.tif", lambda path: tifffile.imwrite(path, RAMP.astype(np.int32)), "values", "32-bit"),
        ("text.png", lambda path: path.write_text("no picture"), "unreadable", "damaged"),
        ("empty.jpg", lambda path: path.touch(), "unreadable", "damaged"),
    ],
)
def test_a_picture_that_cannot_be_read_is_refused_by_name(tmp_path, name, save, code, words):
    path = tmp_path / name
    save(path)

    [rejected] = sources.read(path)

    assert rejected.outcome.code == code
    assert rejected.outcome.reason.startswith(f"{path}: ")
    assert words in rejected.outcome.reason


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_a_truncated_picture_is_refused_by_name(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    Pillow.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    code, reason = refusal(path)

    assert code == "unreadable"
    assert reason.startswith(f"{path}: ")


def test_a_picture_that_claims_a_huge_size_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "bomb.png"
    encoded = bytearray(imagecodecs.png_encode(RAMP))
    encoded[16:24] = (60000).to_bytes(4, "big") * 2
    encoded[29:33] = zlib.crc32(encoded[12:29]).to_bytes(4, "big")
    path.write_bytes(encoded)

    [rejected] = sources.read(path)

    assert rejected.outcome.code == "unreadable"
