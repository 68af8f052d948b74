"""DICOM files made to order."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid


@pytest.fixture
def write_dicom(tmp_path: Path) -> Callable[..., Path]:
    """Write a CT slice with these pixels; keywords change its elements, None deletes one."""

    def write(name: str, pixels: np.ndarray[Any, Any] | None = None, **elements: Any) -> Path:
        pixels = np.arange(20, dtype=np.uint16).reshape(4, 5) if pixels is None else pixels
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = CTImageStorage
        dataset.SOPInstanceUID = generate_uid()
        dataset.StudyInstanceUID = "1.2.3"
        dataset.SeriesInstanceUID = "1.2.3.4"
        dataset.Modality = "CT"
        dataset.PatientID = "patient-1"
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.SamplesPerPixel = 1
        dataset.Rows, dataset.Columns = pixels.shape[-2:]
        dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.itemsize
        dataset.HighBit = dataset.BitsStored - 1
        dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
        dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
        with warnings.catch_warnings(action="ignore"):  # some are invalid, and meant to be
            for keyword, value in elements.items():
                if value is None:
                    delattr(dataset, keyword)
                else:
                    setattr(dataset, keyword, value)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset.save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.fixture
def write_series(write_dicom: Callable[..., Path]) -> Callable[..., Path]:
    """Write one slice a position into a folder; slice n is filled with n. Returns the folder."""

    def write(positions: list[tuple[float, float, float]], folder: str = "series", **elements: Any) -> Path:
        for index, position in enumerate(positions):
            own = {k: v[index] if isinstance(v, list) and len(v) == len(positions) else v for k, v in elements.items()}
            geometry = {
                "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
                "ImagePositionPatient": list(position),
                "PixelSpacing": [0.5, 0.25],
            }
            path = write_dicom(f"{folder}/{index:03}.dcm", np.full((4, 5), index, np.uint16), **(geometry | own))
        return path.parent

    return write
