"""Generated images as 8-bit pictures, and the one way in which every file says that they show no patient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from ..errors import CallError
from ..result import Generated, Result
from .pictures import png

NOTICE = "SYNTHETIC IMAGE - NOT A PATIENT"
SHEET = 100
"""How many images a contact sheet shows at most."""
_TILE, _GAP, _STRIP = 128, 4, 24


def generated(result: Result) -> Generated:
    """Return the result's generated image; `CallError` when it is something else."""
    if not isinstance(result.prediction, Generated):
        raise CallError(f"{result.case.source} is no generated image")
    return result.prediction


def slices(image: NDArray[np.float32]) -> list[NDArray[np.uint8]]:
    """Return [channels, (slices,) rows, columns], 0 to 1, as 8-bit [rows, columns] or [rows, columns, 3] by slice."""
    if len(image) not in (1, 3) or image.ndim not in (3, 4):
        raise CallError(f"a generated image of shape {image.shape}: want 1 or 3 channels of 2 or 3 dimensions")
    stored = np.rint(np.clip(np.nan_to_num(image), 0, 1) * 255).astype(np.uint8)
    planes = np.moveaxis(stored if image.ndim == 4 else stored[:, None], 0, -1)
    return [plane[..., 0] if len(image) == 1 else plane for plane in planes]


def tile(image: NDArray[np.float32]) -> Picture.Image:
    """Return the middle slice for a contact sheet: enlarged by whole pixels, or reduced, to at most 128."""
    planes = slices(image)
    picture = Picture.fromarray(planes[len(planes) // 2])
    longest = max(picture.size)
    if longest <= _TILE:
        times = _TILE // longest
        return picture.resize((picture.width * times, picture.height * times), Picture.Resampling.NEAREST)
    picture.thumbnail((_TILE, _TILE), Picture.Resampling.LANCZOS)
    return picture


def contact_sheet(tiles: Sequence[Picture.Image]) -> bytes:
    """Return a PNG of all tiles in rows, under a strip that says what they are."""
    columns = max(1, min(10, round((len(tiles) * 1.6) ** 0.5)))
    rows = -(-len(tiles) // columns)
    cell = [max(picture.size[axis] for picture in tiles) + _GAP for axis in (0, 1)]
    mode = "L" if all(picture.mode == "L" for picture in tiles) else "RGB"
    sheet = Picture.new(mode, (max(columns * cell[0] + _GAP, 230), rows * cell[1] + _GAP + _STRIP), "black")
    font = ImageFont.load_default(13)
    ImageDraw.Draw(sheet).text((_GAP + 2, 5), "SYNTHETIC IMAGES - NOT PATIENTS", fill="white", font=font)
    for number, picture in enumerate(tiles):
        row, column = divmod(number, columns)
        sheet.paste(picture, (_GAP + column * cell[0], _STRIP + _GAP + row * cell[1]))
    return png(sheet, {"Description": NOTICE})
