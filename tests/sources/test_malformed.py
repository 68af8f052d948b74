"""Broken and hostile DICOM: an answer or a refusal that names the file, within bounds of memory and time."""

import json
import os
import subprocess
import sys
import tracemalloc
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import DeflatedExplicitVRLittleEndian

from medplug import sources
from medplug.errors import SourceError
from medplug.sources import dicom_header


def test_malformed_files_are_answered_or_refused_by_name_in_bounded_memory(test_data):
    folder = test_data / "dicom-malformed" / "files"
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

    child = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("malformed_child.py")), str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        check=False,
    )

    assert child.returncode == 0, child.stderr[-2000:]
    *lines, peak = [json.loads(line) for line in child.stdout.splitlines()]
    every_file = {str(path) for path in folder.rglob("*") if path.is_file()}
    assert {source for source, _, _ in lines} == every_file
    assert len(lines) == len(every_file)
    assert all(outcome == "read" or reason.startswith(f"{source}: ") for source, outcome, reason in lines)
    assert all(reason.isprintable() and len(reason) < len(source) + 300 for source, _, reason in lines)
    outcomes = Counter(outcome for _, outcome, _ in lines)
    assert outcomes["read"] > 100
    assert outcomes["Refused"] > 80
    assert peak < 512 << 10  # KiB


def test_frames_that_the_header_denies_are_refused(write_dicom):
    path = write_dicom("more.dcm", np.zeros((3, 4, 5), np.uint16), NumberOfFrames=2)

    [rejected] = sources.read(path)

    assert rejected.outcome.reason == f"{path}: holds pixels for 3 frames and declares 2"


@pytest.mark.parametrize(
    ("elements", "code", "words"),
    [
        ({"NumberOfFrames": 0}, "unreadable", "NumberOfFrames is '0'"),
        ({"NumberOfFrames": 2**31 - 1}, "unreadable", "more than 2048 MiB"),
        ({"Rows": 40}, "unreadable", "cut short"),
        ({"HighBit": 11}, "unreadable", "HighBit 11"),
        ({"BitsStored": 17, "HighBit": 16}, "unreadable", "17 bits stored in 16"),
        ({"PhotometricInterpretation": "HSV"}, "photometric", "'HSV'"),
        ({"PhotometricInterpretation": "RGB"}, "unreadable", "RGB takes 3"),
        ({"PhotometricInterpretation": None}, "photometric", "PhotometricInterpretation"),
        ({"PixelRepresentation": None}, "unreadable", "PixelRepresentation"),
        ({"RescaleSlope": 0, "RescaleIntercept": 1}, "values", "RescaleSlope '0.0'"),
        ({"RescaleSlope": 2}, "values", "RescaleSlope '2.0'"),
        ({"PixelData": None}, "unreadable", "without pixels"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused_with_what_is_wrong(write_dicom, elements, code, words):
    path = write_dicom("odd.dcm", **elements)

    [rejected] = sources.read(path)

    assert rejected.outcome.code == code
    assert words in rejected.outcome.reason


def test_a_deflation_bomb_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(dicom_header, "_MAX_INFLATED_BYTES", 4 << 20)
    dataset = dcmread(get_testdata_file("image_dfl.dcm", download=False))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = tmp_path / "bomb.dcm"
    dataset.save_as(path)
    meta = path.read_bytes()[: 132 + 12 + int(dataset.file_meta.FileMetaInformationGroupLength)]
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = bytes(1 << 20)
    path.write_bytes(meta + b"".join(deflater.compress(zeros) for _ in range(64)) + deflater.flush())

    tracemalloc.start()
    [rejected] = sources.read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 16 << 20
    assert "inflates to more than 4 MiB" in rejected.outcome.reason


def test_a_length_that_the_file_does_not_hold_takes_no_memory(write_dicom):
    path = write_dicom("long.dcm", PixelData=None)
    claim = b"\x09\x00\x10\x00UN\0\0" + (2**31 - 1).to_bytes(4, "little")
    path.write_bytes(path.read_bytes() + claim)

    tracemalloc.start()
    [rejected] = sources.read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert rejected.outcome.code == "unreadable"
    assert peak < 64 << 20


def test_a_compressed_frame_of_another_size_than_the_header_says_is_not_decoded(tmp_path):
    dataset = dcmread(get_testdata_file("JPEG2000.dcm", download=False))
    dataset.Rows = dataset.Rows - 1
    path = tmp_path / "other-size.dcm"
    dataset.save_as(path)
    [case] = sources.read(path)

    with pytest.raises(SourceError, match="a compressed frame is 1024 x 256, the header says 1023 x 256"):
        case.image.read()


def test_identifiers_from_a_hostile_header_do_not_reach_the_reference(write_dicom):
    path = write_dicom("x.dcm", Modality="C\x1b[31m", PatientID="../../etc")

    [case] = sources.read(path)

    assert case.image.modality == "C?[31M"
    assert "etc" not in repr(case.reference)
