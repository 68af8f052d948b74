"""The picture of a capture: the image as a viewer shows it, what was found drawn over it, and words below."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from ..case import Image
from ..plan import plan
from ..preprocessing import Display, Percentiles, Preprocessing, Range, Resize
from ..tone import looks_at_pixels, percentile_range
from .pictures import inferno, label_colour

SHORTEST, LONGEST = 640, 1024
"""The longest side of the image in a capture, in pixels: small images are enlarged, so that words fit below."""
_GAP = 10
_DIM = (148, 163, 184)
_WHITE = (241, 245, 249)
_WARN = (251, 191, 36)
_GROUND, _TROUGH, _BAR = (15, 23, 42), (51, 65, 85), (56, 189, 248)


@dataclass(frozen=True)
class Line:
    """A line of words; `colour` puts a patch of a label's colour before it, `bar` a bar from 0 to 1 behind it.

    `warns` writes it in the colour of the notice.
    """

    text: str
    colour: tuple[int, int, int] | None = None
    bar: float | None = None
    mark: float | None = None
    warns: bool = False


@dataclass(frozen=True, eq=False)
class Overlay:
    """What is drawn over a plane: a mask of labels from 1, or a map with the ends of its scale and its caption."""

    mask: NDArray[np.uint8] | None = None
    map: NDArray[np.float32] | None = None
    low: float = 0.0
    high: float = 1.0
    caption: str = ""


def grey_planes(image: Image, slices: Sequence[int]) -> list[NDArray[np.uint8]]:
    """Return planes of an image as [rows, columns, 3] in the size of a capture, by the same kernel as inference."""
    pixels = image.read()
    values: Display | Range = Display(fallback=Percentiles())
    if looks_at_pixels(values, image):  # of the whole volume: its slices stay comparable
        low, high = percentile_range(Percentiles(), image, pixels)
        values = Range(low, high if high > low else low + 1)
    preprocessing = Preprocessing(
        values=values, channels="rgb" if image.channels == 3 else "grey", geometry=(Resize(size_of(image)),)
    )
    if len(image.shape) == 2:
        return [_bytes(plan(preprocessing, image, pixels).run(pixels))]
    plane = replace(image, shape=image.shape[1:], to_patient=None, spacing=image.spacing and image.spacing[1:])
    return [_bytes(plan(preprocessing, plane, pixels[:, index]).run(pixels[:, index])) for index in slices]


def _bytes(plane: NDArray[np.float32]) -> NDArray[np.uint8]:
    stored = np.rint(np.clip(plane, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(np.repeat(stored, 3, axis=0) if len(stored) == 1 else stored, 0, -1))


def size_of(image: Image) -> tuple[int, int]:
    """(rows, columns) of a plane in a capture: in its true proportion, its longest side from 640 to 1024 pixels."""
    rows, columns = image.shape[-2:]
    spacing = image.spacing or image.imager_spacing
    aspect = spacing[-2] / spacing[-1] if spacing else 1.0
    tall, wide = rows * aspect, float(columns)
    scale = np.clip(max(tall, wide), SHORTEST, LONGEST) / max(tall, wide)
    return max(1, round(tall * scale)), max(1, round(wide * scale))


def capture(plane: NDArray[np.uint8], overlay: Overlay, title: str, lines: Sequence[Line]) -> NDArray[np.uint8]:
    """Return a capture [rows, columns, 3]: the plane under its overlay, the title, the lines and the notice."""
    drawn = plane
    if overlay.map is not None:
        drawn = _heated(plane, overlay.map, overlay.low, overlay.high)
    if overlay.mask is not None:
        drawn = _outlined(plane, overlay.mask)
    rows, columns = drawn.shape[:2]
    width = max(columns, SHORTEST)
    panel = _panel(width, overlay, title, lines)
    whole = np.zeros((rows + len(panel), width, 3), np.uint8)
    left = (width - columns) // 2
    whole[:rows, left : left + columns] = drawn
    whole[rows:] = panel
    return whole


def _heated(plane: NDArray[np.uint8], heat: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    """The plane with a map over it: the higher, the denser, so that low values leave the image as it is."""
    size = (plane.shape[1], plane.shape[0])
    values = (np.nan_to_num(heat) - low) / max(high - low, 1e-12)
    level = np.asarray(Picture.fromarray(values.astype(np.float32)).resize(size, Picture.Resampling.BILINEAR))
    level = np.clip(level, 0, 1)
    alpha = (0.65 * level**1.5 * (level > 0.02))[
        ..., None
    ]  # half way up the scale, three quarters of the image are still seen
    mixed: NDArray[np.uint8] = np.rint(plane * (1 - alpha) + inferno(level) * alpha).astype(np.uint8)
    return mixed


def _outlined(plane: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The plane with a label's colour around each region, and a breath of it inside."""
    size = (plane.shape[1], plane.shape[0])
    large = np.asarray(Picture.fromarray(mask).resize(size, Picture.Resampling.NEAREST))
    rows, columns = large.shape
    framed = np.pad(large, 2)
    inner = np.ones(large.shape, bool)
    for row, column in ((0, 2), (4, 2), (2, 0), (2, 4), (1, 1), (1, 3), (3, 1), (3, 3)):
        inner &= framed[row : row + rows, column : column + columns] == large
    colours = np.zeros((256, 3), np.float32)
    colours[1:] = [label_colour(index) for index in range(255)]
    alpha = np.where(large == 0, 0.0, np.where(inner, 0.22, 1.0))[..., None]
    mixed: NDArray[np.uint8] = np.rint(plane * (1 - alpha) + colours[large] * alpha).astype(np.uint8)
    return mixed


def _panel(width: int, overlay: Overlay, title: str, lines: Sequence[Line]) -> NDArray[np.uint8]:
    """The words: title, a line each, the scale of a map, and that it is not for diagnosis."""
    size = width // 38  # as large in every viewer, which fits the width to its window
    pen = _Pen(width, size, 2 + len(lines) + (overlay.map is not None))
    pen.text(title, _WHITE)
    for line in lines:
        pen.line(line)
    if overlay.map is not None:
        pen.scale(overlay)
    pen.text("AI result, not for diagnosis", _WARN)
    return np.asarray(pen.picture)


class _Pen:
    """Writes line under line."""

    def __init__(self, width: int, size: int, lines: int) -> None:
        self._font = ImageFont.load_default(size)
        self._size, self._step, self._top = size, size * 3 // 2, _GAP
        self.picture = Picture.new("RGB", (width, 2 * _GAP + lines * self._step), _GROUND)
        self._draw = ImageDraw.Draw(self.picture)

    def text(self, text: str, fill: tuple[int, int, int]) -> None:
        """Write words alone."""
        self._write(text, _GAP, self.picture.width - _GAP, fill)
        self._top += self._step

    def line(self, line: Line) -> None:
        """Write a line with its patch of colour and its bar."""
        left, right = _GAP, self.picture.width - _GAP
        top, bottom = self._top + self._size // 4, self._top + self._size
        if line.colour is not None:
            self._draw.rectangle((left, top, left + bottom - top, bottom), fill=line.colour)
            left += self._size + 6
        if line.bar is not None:
            start = self.picture.width // 2
            length = right - start
            self._draw.rectangle((start, top, right, bottom), fill=_TROUGH)
            self._draw.rectangle((start, top, start + round(length * min(max(line.bar, 0), 1)), bottom), fill=_BAR)
            if line.mark is not None:
                at = start + round(length * min(max(line.mark, 0), 1))
                self._draw.line((at, top - 3, at, bottom + 3), fill=_WHITE, width=2)
            right = start - _GAP
        self._write(line.text, left, right, _WARN if line.warns else _WHITE)
        self._top += self._step

    def scale(self, overlay: Overlay) -> None:
        """Draw the colours of a map between the ends of its scale."""
        top, height, width = self._top + self._size // 4, self._size * 3 // 4, self._size * 8
        left = _GAP + self._write(f"{overlay.low:.3g}", _GAP, self.picture.width, _DIM) + _GAP
        ramp = np.broadcast_to(inferno(np.linspace(0, 1, width))[None], (height, width, 3))
        self.picture.paste(Picture.fromarray(np.ascontiguousarray(ramp)), (left, top))
        left += width + _GAP
        left += self._write(f"{overlay.high:.3g}", left, self.picture.width, _DIM) + 2 * _GAP
        self._write(overlay.caption, left, self.picture.width - _GAP, _DIM)
        self._top += self._step

    def _write(self, text: str, left: int, right: int, fill: tuple[int, int, int]) -> int:
        """Write what finds room between two columns; return its width."""
        # The font that comes with Pillow draws ASCII: letters lose their accents, and other scripts are not drawn.
        bare = "".join(
            c for c in unicodedata.normalize("NFKD", text.replace("ß", "ss")) if not unicodedata.combining(c)
        )
        plain = "".join(c if " " <= c <= "~" else "?" for c in bare)
        while plain and self._font.getlength(plain) > right - left:
            plain = f"{plain[:-4].rstrip()}..." if len(plain) > 4 else ""
        self._draw.text((left, self._top), plain, fill=fill, font=self._font)
        return round(self._font.getlength(plain))
