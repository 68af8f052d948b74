"""`report.html`: a run as one self-contained file that a person reads."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from ..model_folder import LoadedModel
from ..session import Answer
from .html_page import write_page
from .html_run import PICTURES, RunSections
from .writer import Writer

REPORT = "report.html"


class HtmlReport(Writer):
    """Writes `report.html`; the first `pictures` answered cases are shown, the others stand in a table."""

    name: ClassVar[str] = "html"

    @classmethod
    def clear(cls, folder: Path) -> None:
        """Remove the report."""
        (folder / REPORT).unlink(missing_ok=True)

    def __init__(self, folder: Path, loaded: LoadedModel, pictures: int = PICTURES) -> None:
        super().__init__(folder, loaded)
        self._run = RunSections(loaded, pictures)

    def write(self, answer: Answer) -> None:
        """Take one answer and draw it."""
        self._run.add(answer)

    def close(self) -> None:
        """Write the report."""
        title = f"{self.loaded.model.name}: {self.loaded.model.task.value}"
        write_page(self.folder / REPORT, title, self._run.sections(), kind="run report", lead=self._run.lead)

    def discard(self) -> None:
        """Nothing was written yet."""
