"""Generated images as PNG files, with a contact sheet."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from PIL import Image as Picture

from ..model import Task
from ..model_folder import LoadedModel, write_whole
from ..session import Answer
from .pictures import png
from .staging import Staging
from .synthetic import NOTICE, SHEET, contact_sheet, generated, slices, tile
from .writer import Writer

CONTACT_SHEET = "contact-sheet.png"


class GeneratedPng(Writer):
    """Writes `images/<number>.png`, one a slice of a volume, and `contact-sheet.png` of the first hundred."""

    name: ClassVar[str] = "png"

    @classmethod
    def suits(cls, task: Task) -> bool:
        """Generated images alone."""
        return task is Task.GENERATION

    @classmethod
    def clear(cls, folder: Path) -> None:
        """Remove the images and the contact sheet."""
        _staging(folder).clear()
        (folder / CONTACT_SHEET).unlink(missing_ok=True)

    def __init__(self, folder: Path, loaded: LoadedModel) -> None:
        super().__init__(folder, loaded)
        self._images = _staging(self.folder)
        self._tiles: list[Picture.Image] = []
        self._count = 0

    def write(self, answer: Answer) -> None:
        """Write one image; it says in its own description what it is."""
        self._count += 1
        if answer.result.refused:
            return
        made = generated(answer.result)
        text = {"Description": NOTICE, "Source": f"seed {made.seed}, image {made.index}"}
        if made.label is not None:
            text["Label"] = made.label
        planes = slices(made.image)
        for number, plane in enumerate(planes, start=1):
            kind = f"slice-{number:04d}" if len(planes) > 1 else ""
            self._images.put(self._images.file(self._count, kind), png(Picture.fromarray(plane), text))
        if len(self._tiles) < SHEET:
            self._tiles.append(tile(made.image))

    def close(self) -> None:
        """Publish the images and the contact sheet."""
        self._images.publish()
        if self._tiles:
            write_whole(self.folder / CONTACT_SHEET, contact_sheet(self._tiles))

    def discard(self) -> None:
        """Remove what was begun."""
        self._images.discard()


def _staging(folder: Path) -> Staging:
    return Staging(folder, "images", ".png")
