"""Secondary Capture Image Storage, PS3.3 A.8.1: 8-bit pictures in DICOM, generated or of a result."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

SOP_CLASS = "1.2.840.10008.5.1.4.1.1.7"


def new_capture(pixels: NDArray[np.uint8], conversion: str) -> FileDataset:
    """Return an instance of `pixels` [rows, columns] or [rows, columns, 3], without UIDs, dates, patient and study.

    `conversion` is the Conversion Type: WSD for what software made of an image, SYN for what shows nobody.
    """
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SOP_CLASS  # type: ignore[assignment]
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = SOP_CLASS
    # SC Equipment and SC Image, PS3.3 C.8.6.1 and C.8.6.2
    ds.ConversionType, ds.Modality = conversion, "OT"
    ds.Manufacturer = ds.SecondaryCaptureDeviceManufacturer = "medplug"
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.PatientOrientation = ""
    ds.BurnedInAnnotation, ds.LossyImageCompression = "NO", "00"
    _pixels(ds, pixels)
    return ds


def _pixels(ds: FileDataset, pixels: NDArray[np.uint8]) -> None:
    """Image Pixel module, PS3.3 C.7.6.3."""
    colour = pixels.ndim == 3
    ds.SamplesPerPixel, ds.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
    if colour:
        ds.PlanarConfiguration = 0
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    content = pixels.tobytes()
    ds.PixelData = content + b"\0" * (len(content) % 2)
    ds["PixelData"].VR = "OB"
