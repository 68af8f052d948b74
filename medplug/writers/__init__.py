"""Writers: answers become files. A plugin brings more of them through `medplug_register_writers`."""

from .generated_dicom import GeneratedDicom
from .generated_png import GeneratedPng
from .html_report import HtmlReport
from .json_lines import JsonLines, read_results
from .writer import Writer

__all__ = ["GeneratedDicom", "GeneratedPng", "HtmlReport", "JsonLines", "Writer", "builtin", "read_results"]


def builtin() -> dict[str, type[Writer]]:
    """Return medplug's own writers by the name that `--write` gives them."""
    return {writer.name: writer for writer in (JsonLines, HtmlReport, GeneratedPng, GeneratedDicom)}
