"""Pictures: PNG, JPEG and TIFF, at 8 and 16 bit, grey or RGB."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..case import Case, CaseReference, Image, Pixels, Unit, ValueMeaning
from ..errors import SourceError
from .decoders import EXTRA
from .dicom_pixels import fitted
from .refusal import MAX_IMAGE_BYTES, reading

if TYPE_CHECKING:
    from PIL.Image import Image as Opened

_FORMATS = ("PNG", "JPEG", "TIFF")
_ORIENTATION, _BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 274, 258, 262, 339  # TIFF 6.0 tags
_SIGNED, _WHITE_IS_ZERO = 2, 0
_COLOUR = {"RGB", "RGBA", "RGBX", "P", "PA"}
_GREY = {"1", "L", "LA", "I;16", "I;16B", "I;16L", "I", "F"}


@dataclass(frozen=True)
class _Layout:
    """What the header of one page says."""

    shape: tuple[int, int]
    mode: str
    bits: int
    signed: bool
    inverted: bool
    deep_colour: bool
    orientation: int

    @property
    def dtype(self) -> np.dtype[Any]:
        if self.mode == "F":
            return np.dtype(np.float32)
        return np.dtype(f"{'i' if self.signed else 'u'}{1 if self.bits <= 8 else 2}")

    @property
    def channels(self) -> int:
        return 3 if self.mode in _COLOUR else 1


def picture_cases(path: str, name: str, unit: Unit) -> Iterator[Case]:
    """The cases of one picture file. Raises `SourceError`, which names the file."""
    with reading(name):
        layouts = _layouts(path)
        if len(layouts) > 1 and unit is not Unit.FRAME:
            raise SourceError("dimensions", f"has {len(layouts)} pages; read it page by page, with the unit 'frame'")
    for page, layout in enumerate(layouts):
        reference = CaseReference(source=name)
        if len(layouts) > 1:
            reference = CaseReference(source=f"{name}:frame/{page + 1}", frame=page + 1)
        yield Case(reference, {"image": _image(path, name, page, layout)})


def _image(path: str, name: str, page: int, layout: _Layout) -> Image:
    highest = 2**layout.bits - 1
    declared = layout.dtype.kind == "u"
    photometric = "MONOCHROME1" if layout.inverted else "MONOCHROME2"
    return Image(
        shape=layout.shape,
        dtype=layout.dtype,
        read=partial(_read, path, name, page, layout),
        channels=layout.channels,
        values=ValueMeaning(inverted=layout.inverted, full_range=(0.0, float(highest)) if declared else None),
        bits=layout.bits,
        stored_range=(0, highest) if declared else None if layout.mode == "F" else (-(2**15), 2**15 - 1),
        photometric="RGB" if layout.channels == 3 else photometric,
    )


def _layouts(path: str) -> list[_Layout]:
    from PIL import Image as Pillow

    with Path(path).open("rb") as stream:
        head = stream.read(33)
        with Pillow.open(stream, formats=_FORMATS) as opened:
            pages = getattr(opened, "n_frames", 1)
            if opened.format == "JPEG":  # a multi-picture file shows its first picture
                pages = 1
            layouts = []
            for page in range(pages):
                if page:
                    opened.seek(page)
                layouts.append(_layout(opened, head))
            return layouts


def _layout(opened: Opened, head: bytes) -> _Layout:
    mode = opened.mode
    if mode not in _COLOUR | _GREY:
        raise SourceError("photometric", f"has the colours {mode}; convert it to grey or RGB")
    bits, signed, inverted = {"1": 1, "F": 32}.get(mode, 8), False, False
    if opened.format == "PNG":
        # IHDR, PNG 11.2.1: bit depth; fewer than 8 bits of grey are spread over 0 to 255 when they are decoded.
        bits = 16 if head[24] == 16 else bits
    elif opened.format == "TIFF":
        tags: Any = opened.tag_v2  # type: ignore[attr-defined]
        stated = tags.get(_BITS_PER_SAMPLE, (1,))
        if mode != "F" and max(stated) > 8:
            bits = max(stated)
            signed = _SIGNED in np.atleast_1d(tags.get(_SAMPLE_FORMAT, (1,)))
            # Pillow turns 8-bit WhiteIsZero round, and leaves deeper pixels as they are stored.
            inverted = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    if bits > 16 and mode != "F":
        raise SourceError("values", f"has {bits}-bit integers; convert it to 16 bits")
    columns, rows = opened.size
    orientation = opened.getexif().get(_ORIENTATION, 1)
    if opened.format != "TIFF" and orientation in (5, 6, 7, 8):  # Pillow's TIFF reader has turned the size itself
        rows, columns = columns, rows
    deep = bits == 16 and mode in _COLOUR | {"LA"}
    if deep and importlib.util.find_spec("imagecodecs" if opened.format == "PNG" else "tifffile") is None:
        raise SourceError("decoder", f"has 16-bit colour, which Pillow would narrow to 8 bits: {EXTRA}")
    if rows * columns * 4 * (1 + (bits > 8)) > MAX_IMAGE_BYTES:
        raise SourceError("unreadable", f"claims {rows} x {columns}, more than {MAX_IMAGE_BYTES >> 20} MiB")
    return _Layout((rows, columns), mode, bits, signed, inverted, deep, orientation)


def _read(path: str, name: str, page: int, layout: _Layout) -> Pixels:
    with reading(name):
        pixels = _upright(_deep_colour(path, page), layout.orientation) if layout.deep_colour else _decoded(path, page)
        if pixels.ndim == 3 and pixels.shape[-1] in (2, 4):
            if (pixels[..., -1] != np.iinfo(pixels.dtype).max).any():
                raise SourceError("channels", "is transparent in places: what it shows depends on the background")
            pixels = pixels[..., :-1]
        if pixels.ndim == 3 and layout.channels == 1:
            pixels = pixels[..., 0]
        pixels = np.moveaxis(pixels, -1, 0) if layout.channels == 3 else pixels[np.newaxis]
        if pixels.shape != (layout.channels, *layout.shape):
            raise SourceError("unreadable", f"decodes to {pixels.shape}, which is not what its header says")
        return fitted(pixels, layout.dtype)


def _decoded(path: str, page: int) -> Pixels:
    """[rows, columns] or [rows, columns, samples]; upright, as its orientation tag says (EXIF, TIFF 6.0)."""
    from PIL import Image as Pillow
    from PIL import ImageOps

    with Path(path).open("rb") as stream, Pillow.open(stream, formats=_FORMATS) as opened:
        opened.seek(page)
        transparent = "transparency" in opened.info
        if opened.mode in ("P", "PA"):
            converted: Opened = opened.convert("RGBA" if transparent or opened.mode == "PA" else "RGB")
        elif transparent and opened.mode in ("1", "L", "RGB"):
            converted = opened.convert("RGBA" if opened.mode == "RGB" else "LA")
        elif transparent:
            raise SourceError("channels", f"names a transparent value among {opened.mode} pixels: flatten it first")
        else:
            converted = opened
        upright = ImageOps.exif_transpose(converted)
        pixels = np.asarray(upright)
        return pixels.astype(np.uint8) if pixels.dtype == bool else pixels


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turn [rows, columns, samples] as the orientation tag says (EXIF, TIFF 6.0); other values than 1 to 8 do nothing.

    From 5 on, the stored rows are the columns that are seen.
    """
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _deep_colour(path: str, page: int) -> Pixels:
    """16-bit colour, by imagecodecs (PNG) or tifffile (TIFF): Pillow narrows it to 8 bits."""
    with Path(path).open("rb") as stream:
        is_png = stream.read(4) == b"\x89PNG"
    if is_png:
        import imagecodecs

        return np.asarray(imagecodecs.png_decode(Path(path).read_bytes()))
    import tifffile

    pixels = np.asarray(tifffile.imread(path, key=page))
    planar = pixels.shape[-1] not in (3, 4)  # a plane a sample, TIFF 6.0 PlanarConfiguration 2
    return np.moveaxis(pixels, 0, -1) if planar else pixels
