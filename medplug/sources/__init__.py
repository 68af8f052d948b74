"""Sources: whatever holds images becomes cases, or refusals that say why not."""

from .arrays import from_array
from .collector import AnySource, OnRead, Source
from .dicom_geometry import Tilt
from .reader import read, read_labelled
from .table import TableOptions

__all__ = ["AnySource", "OnRead", "Source", "TableOptions", "Tilt", "from_array", "read", "read_labelled"]
