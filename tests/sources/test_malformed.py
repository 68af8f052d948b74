"""Broken and hostile DICOM: an answer or a refusal that names the file, within bounds of memory and time."""

import json
import os
import signal
import subprocess
import sys
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import DeflatedExplicitVRLittleEndian

import medplug
from medplug import golden, model_folder, sources
from medplug.errors import SourceError
from medplug.plugins import discover
from medplug.sources import dicom_header


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder of an untrained model for flat images of any kind, which looks at their pixels."""
    offer = discover().find("cnn")
    options = offer.model.Options(size=32, width=8, depth=(1, 1))
    made = offer.model(options, medplug.Labels(names=("normal", "other")))
    values = medplug.Display(fallback=medplug.Percentiles(0.5, 99.5))
    preprocessing = medplug.Preprocessing(values=values, geometry=(medplug.Resize((32, 32)),))
    loaded = replace(model_folder.fresh(made), preprocessing=preprocessing, contract=medplug.InputContract())
    path = tmp_path_factory.mktemp("models") / "any"
    golden.save(path, loaded, model_folder.describe_plugin(made, offer.distribution, offer.distribution_version))
    return path


@pytest.fixture(scope="module")
def ran(test_data, model, tmp_path_factory):
    """What `medplug run` did with each malformed file, in a process of its own, limited to 1 GiB and 20 s."""
    folder = test_data / "dicom-malformed" / "files"
    good = get_testdata_file("CT_small.dcm", download=False)
    command = [sys.executable, str(Path(__file__).with_name("malformed_server.py"))]
    done = subprocess.run(
        [*command, *map(str, (folder, model, good, tmp_path_factory.mktemp("runs")))],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert {one["file"] for one in told} == {str(path) for path in folder.rglob("*") if path.is_file()}
    return told


def test_every_malformed_file_is_answered_or_refused_by_name_within_its_limits(ran):
    for one in ran:
        assert one["exit"] in (0, 1), one
        assert one["KiB"] < 1 << 20, one
        assert one["results"], one
        refusals = [result for result in one["results"] if result["prediction"]["type"] == "refused"]
        assert one["exit"] == bool(refusals), one
        for result in one["results"]:
            assert result["case"]["source"].startswith(one["file"]), one
            assert result["prediction"]["type"] in ("classification", "refused"), one
        for result in refusals:
            reason = result["prediction"]["reason"]
            assert reason.isprintable()
            assert len(reason) < len(one["file"]) + 300
    named = sum(one["file"] in str([result["prediction"].get("reason") for result in one["results"]]) for one in ran)
    answered = sum(one["exit"] == 0 for one in ran)
    assert answered > 90
    assert named > 80


def test_no_malformed_file_makes_another_file_than_its_results(ran):
    assert {tuple(one["files"]) for one in ran} == {("out/results.jsonl",)}


def test_a_process_that_takes_more_than_its_limits_would_be_seen(tmp_path):
    """The limits of the test above bite: in memory by an error, in time by the end of the process."""
    server = str(Path(__file__).parent)
    program = f"import sys; sys.path.insert(0, {server!r}); import malformed_server as m; m.SECONDS = 1; m.limit(); "

    memory = subprocess.run([sys.executable, "-c", program + "bytes(1 << 30)"], capture_output=True, check=False)
    time = subprocess.run([sys.executable, "-c", program + "\nwhile True: pass"], check=False, timeout=30)

    assert b"MemoryError" in memory.stderr
    assert time.returncode == -signal.SIGALRM


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
