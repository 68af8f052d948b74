"""Pictures for people: cases as a viewer shows them, heat maps and outlines over them, as PNG."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL.PngImagePlugin import PngInfo

from ..case import Image
from ..errors import PreprocessingError, SourceError
from ..plan import plan
from ..preprocessing import Crop, Display, Percentiles, Preprocessing, Resize

LONGEST = 512
"""The longest side of a picture, in pixels."""
_HEAT_LONGEST = 128  # a heat map is smooth: the browser enlarges it


@dataclass(frozen=True)
class Shown:
    """A case's picture: PNG as a data URI, `size` (width, height) in pixels; `slice` counts from 1, of `slices`."""

    uri: str
    size: tuple[int, int]
    slice: int | None = None
    slices: int | None = None


def png(picture: Picture.Image, text: Mapping[str, str] | None = None) -> bytes:
    """Return a PNG file; equal pictures give equal bytes."""
    stream = io.BytesIO()
    info = PngInfo()
    for key, value in (text or {}).items():
        info.add_text(key, value)
    picture.save(stream, "PNG", optimize=True, pnginfo=info)
    return stream.getvalue()


def data_uri(content: bytes) -> str:
    """Return a PNG as a `data:` address."""
    return "data:image/png;base64," + base64.b64encode(content).decode()


def show(image: Image, longest: int = LONGEST) -> Shown:
    """Render an image as a viewer would, by the same kernel as inference; of a volume, the middle slice.

    Pixels that the source says are not square are shown in their true proportion. `SourceError` or
    `PreprocessingError` when it cannot be shown.
    """
    rows, columns = _size(image, longest)
    volume = len(image.shape) == 3
    geometry: tuple[Crop | Resize, ...] = (Resize((rows, columns)),)
    if volume:
        geometry = (Crop((1, *image.shape[1:])), Resize((1, rows, columns)))
    preprocessing = Preprocessing(
        values=Display(fallback=Percentiles()), channels="rgb" if image.channels == 3 else "grey", geometry=geometry
    )
    pixels = image.read()
    made = plan(preprocessing, image, pixels).run(pixels)
    planes = np.rint(np.clip(made[:, 0] if volume else made, 0, 1) * 255).astype(np.uint8)
    picture = Picture.fromarray(planes[0] if len(planes) == 1 else np.ascontiguousarray(np.moveaxis(planes, 0, -1)))
    middle = middle_slice(image.shape[0]) + 1 if volume else None
    return Shown(data_uri(png(picture)), (columns, rows), middle, image.shape[0] if volume else None)


def try_show(image: Image, longest: int = LONGEST) -> Shown | str:
    """As `show`, or the reason why there is no picture."""
    try:
        return show(image, longest)
    except (SourceError, PreprocessingError) as error:
        return str(error)


def middle_slice(slices: int) -> int:
    """Return the index of the slice that `show` shows, as `Crop` centres it."""
    return (slices - 1) // 2


def _size(image: Image, longest: int) -> tuple[int, int]:
    """(rows, columns) of the picture: no pixel is lost unless it would be longer than `longest`."""
    rows, columns = image.shape[-2:]
    spacing = image.spacing or image.imager_spacing
    aspect = spacing[-2] / spacing[-1] if spacing else 1.0
    tall, wide = rows * max(aspect, 1.0), columns * max(1 / aspect, 1.0)
    scale = min(longest / max(tall, wide), 1.0)
    return max(1, round(tall * scale)), max(1, round(wide * scale))


LABEL_COLOURS = np.array(
    [(45, 212, 191), (251, 146, 60), (129, 140, 248), (250, 204, 21), (244, 114, 182), (163, 230, 53)], np.uint8
)
"""Seen on black, grey and white alike; the report's template names them k0 to k5."""


def label_colour(index: int) -> tuple[int, int, int]:
    """Return the RGB of the label with this index, from 0."""
    red, green, blue = LABEL_COLOURS[index % len(LABEL_COLOURS)].tolist()
    return red, green, blue


# Points of matplotlib's "inferno", which rises evenly in lightness for every eye (CC0).
INFERNO = (
    (0, 0, 4),
    (33, 12, 74),
    (87, 16, 110),
    (138, 34, 106),
    (188, 55, 84),
    (228, 90, 49),
    (249, 142, 9),
    (249, 203, 53),
    (252, 255, 164),
)


def inferno(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return [..., 3] colours of values from 0 to 1, dark to light."""
    points = np.linspace(0, 1, len(INFERNO))
    colours = [np.interp(np.clip(values, 0, 1), points, channel) for channel in zip(*INFERNO)]
    painted: NDArray[np.uint8] = np.rint(np.stack(colours, axis=-1)).astype(np.uint8)
    return painted


def heat(array: NDArray[np.float32], low: float, high: float) -> str:
    """Return a map's colours as a PNG data URI to be laid over the picture: the higher, the lighter and denser."""
    plane = _plane(array)
    scale = min(1.0, _HEAT_LONGEST / max(plane.shape))
    size = (max(1, round(plane.shape[1] * scale)), max(1, round(plane.shape[0] * scale)))
    values = (np.nan_to_num(plane) - low) / max(high - low, 1e-12)
    small = Picture.fromarray(values.astype(np.float32)).resize(size, Picture.Resampling.BOX)
    levels = np.rint(np.clip(np.asarray(small), 0, 1) * 32) / 32  # few colours: small files
    alpha = np.rint(levels * 0.75 * 255).astype(np.uint8)
    return data_uri(png(Picture.fromarray(np.dstack([inferno(levels), alpha]))))


def outlines(mask: NDArray[np.uint8], size: tuple[int, int], colours: NDArray[np.uint8]) -> str:
    """Return the outlines of a mask's labels as a PNG data URI of `size`; label n has `colours[n - 1]`."""
    plane = np.asarray(Picture.fromarray(_plane(mask)).resize(size, Picture.Resampling.NEAREST))
    framed = np.pad(plane, 2)
    inner = np.ones(plane.shape, bool)
    rows, columns = plane.shape
    for row, column in ((0, 2), (4, 2), (2, 0), (2, 4), (1, 2), (3, 2), (2, 1), (2, 3)):
        inner &= framed[row : row + rows, column : column + columns] == plane
    palette = np.zeros((256, 4), np.uint8)
    palette[1 : len(colours) + 1, :3] = colours
    palette[1 : len(colours) + 1, 3] = 255
    drawn = palette[plane]
    drawn[inner & (plane > 0), 3] = 56  # a breath of colour inside
    return data_uri(png(Picture.fromarray(drawn)))


def grey(array: NDArray[np.float32], size: tuple[int, int]) -> str:
    """Return an array from 0 to 1, such as a reconstruction, as a grey PNG data URI of `size`."""
    picture = Picture.fromarray(np.clip(np.nan_to_num(_plane(array)), 0, 1).astype(np.float32))
    values = np.asarray(picture.resize(size, Picture.Resampling.BILINEAR))
    return data_uri(png(Picture.fromarray(np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8))))


def _plane(array: NDArray[Any]) -> NDArray[Any]:
    """The slice that `show` shows of an array on the source's grid."""
    return array[middle_slice(len(array))] if array.ndim == 3 else array
