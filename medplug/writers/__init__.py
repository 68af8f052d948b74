"""Writers: answers become files. A plugin brings more of them through `medplug_register_writers`."""

from .dicom_capture import DicomCapture
from .dicom_map import DicomMap
from .dicom_seg import DicomSeg, DicomSegFractional
from .dicom_sr import DicomSr
from .generated_dicom import GeneratedDicom
from .generated_png import GeneratedPng
from .html_report import HtmlReport
from .json_lines import JsonLines, read_results
from .writer import Writer

__all__ = [
    "DicomCapture",
    "DicomMap",
    "DicomSeg",
    "DicomSegFractional",
    "DicomSr",
    "GeneratedDicom",
    "GeneratedPng",
    "HtmlReport",
    "JsonLines",
    "Writer",
    "builtin",
    "read_results",
]


def builtin() -> dict[str, type[Writer]]:
    """Return medplug's own writers by the name that `--write` gives them. None imports what only it needs."""
    writers: tuple[type[Writer], ...] = (
        *(JsonLines, HtmlReport, GeneratedPng, GeneratedDicom),
        *(DicomSr, DicomSeg, DicomSegFractional, DicomMap, DicomCapture),
    )
    return {writer.name: writer for writer in writers}
