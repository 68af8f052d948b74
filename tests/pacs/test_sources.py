"""A study that a real Orthanc keeps is read as its files would be."""

import gc
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pacs.parts import MEDPLUG, environment, study
from pydicom import dcmread
from pydicom.data import get_testdata_file

from medplug import CallError, Case, Refused, Unit
from medplug.pacs import send
from medplug.sources import read
from medplug.sources.refusal import quiet

WAYS = ["dimse_url", "web_url"]


@pytest.fixture(params=WAYS)
def url(request, orthanc) -> str:
    """Orthanc, by each way that it speaks."""
    return getattr(orthanc, request.param)


def put(orthanc, *paths: str | Path) -> None:
    assert {one.refused for one in send(paths, orthanc.dimse_url)} == {None}


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "SC_rgb_rle_2frame.dcm"])
def test_a_study_has_the_pixels_of_its_files_in_any_transfer_syntax(orthanc, url, name):
    path = get_testdata_file(name)
    dataset = dcmread(path)
    put(orthanc, path)

    [case] = read(f"{url}/{dataset.StudyInstanceUID}")

    [expected] = read(path)
    assert case.reference.source == (
        f"{url}/{dataset.StudyInstanceUID}/{dataset.SeriesInstanceUID}/{dataset.SOPInstanceUID}"
    )
    assert case.reference.sop_instance_uid == dataset.SOPInstanceUID
    np.testing.assert_array_equal(case.image.read(), expected.image.read())
    kept = dcmread(case.image.frames[0].path)
    assert kept.file_meta.TransferSyntaxUID == dataset.file_meta.TransferSyntaxUID


def test_a_series_is_one_volume_under_its_own_name(orthanc, url, tmp_path):
    uid = study(tmp_path, slices=4)
    put(orthanc, tmp_path)
    series = dcmread(tmp_path / "0000.dcm").SeriesInstanceUID

    for wanted in (f"{url}/{uid}", f"{url}/{uid}/{series}", f"{url}/studies/{uid}/series/{series}"):
        [case] = read(wanted, Unit.SERIES)

        assert case.reference.source == f"{url}/{uid}/{series}"
        assert case.image.shape == (4, 128, 128)


def test_a_study_is_found_by_its_keys_and_no_result_names_them(orthanc, url, tmp_path):
    uid = study(tmp_path)
    dataset = dcmread(tmp_path / "0000.dcm")
    dataset.AccessionNumber, dataset.PatientID = "ACC-7", "SECRET-9"
    dataset.save_as(tmp_path / "0000.dcm")
    put(orthanc, tmp_path, get_testdata_file("MR_small.dcm"))

    for keys in ("AccessionNumber=ACC-7", "PatientID=SECRET-9", f"StudyInstanceUID={uid}&PatientID=SECRET-9"):
        [case] = read(f"{url}?{keys}")
        assert case.reference.study_instance_uid == uid
        assert "SECRET" not in repr(case.reference)
    [rejected] = read(f"{url}?PatientID=SECRET-8")
    assert rejected.outcome.reason.endswith("has no study with this PatientID")
    assert "SECRET" not in repr(rejected)


def test_files_stay_as_long_as_a_case_does_and_no_longer(orthanc, url, tmp_path):
    uid = study(tmp_path, slices=3)
    put(orthanc, tmp_path)

    [volume] = read(f"{url}/{uid}", Unit.SERIES)
    gc.collect()
    folder = Path(volume.image.frames[0].path).parent
    assert volume.image.read().shape == (1, 3, 128, 128)
    assert folder.is_dir()

    del volume
    gc.collect()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("dimse://ORTHANC@127.0.0.1:{dicom}/1.2.3", "has no study with this StudyInstanceUID"),
        ("dicomweb://127.0.0.1:{http}/dicom-web/1.2.3", "has no study with this StudyInstanceUID"),
        ("dimse://NOBODY@127.0.0.1:{dicom}/1.2.3", "rejects the association: Called AE title not recognised"),
        ("dimse://ORTHANC@127.0.0.1:{dicom}/1.2.3?calling=STRANGER", "broke off when STRANGER asked it for STUDY"),
        ("dimse://ORTHANC@127.0.0.1:1/1.2.3", "cannot be reached"),
        ("dimse://ORTHANC@no.such.host.invalid:104/1.2.3", "no host with this name is known"),
        ("dicomweb://127.0.0.1:1/dicom-web/1.2.3", "cannot be reached"),
        ("dicomweb://127.0.0.1:{http}/elsewhere/1.2.3", "answers with HTTP status 404"),
    ],
)
def test_a_study_that_does_not_come_is_one_refusal(orthanc, url, reason):
    url = url.format(dicom=orthanc.dicom, http=orthanc.http)

    [rejected] = read(url)

    assert isinstance(rejected.outcome, Refused)
    assert rejected.outcome.code == "unreadable"
    assert reason in rejected.outcome.reason
    assert rejected.reference.source == url.partition("?")[0]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("dimse://PACS@127.0.0.1:104", "names no study"),
        ("dimse://PACS@127.0.0.1:104/latest", "/latest is no UID"),
        ("dimse://PACS@127.0.0.1:104/1.2/1.3/1.4", "has 3 UIDs"),
        ("dimse://PACS@127.0.0.1:104?PatientID=*", "PatientID has a wildcard"),
        ("dimse://PACS@127.0.0.1:104?PatientName=SECRET", "'PatientName' is not known"),
        ("dimse://PACS@127.0.0.1:104?SeriesInstanceUID=1.2", "a series needs its StudyInstanceUID"),
        ("dimse://PACS@127.0.0.1:104/1.2?StudyInstanceUID=1.3", "StudyInstanceUID is there twice"),
    ],
)
def test_an_address_without_a_study_is_a_wrong_call(url, message):
    with pytest.raises(CallError) as caught:
        list(read(url))

    assert message in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_what_is_no_image_is_skipped_as_in_a_folder(orthanc, url):
    path = get_testdata_file("test-SR.dcm")
    put(orthanc, path)

    [found] = read(f"{url}/{dcmread(path).StudyInstanceUID}")

    assert not isinstance(found, Case)
    assert "is DICOM without an image" in found.outcome.reason


def test_medplug_run_answers_a_study_by_its_address(orthanc, url, site, tmp_path):
    uid = study(tmp_path / "study", slices=2)
    put(orthanc, tmp_path / "study")

    ran = subprocess.run(
        [*MEDPLUG, "run", str(site.parent / "bright"), f"{url}/{uid}", "-o", "out", "--write", "json"],
        **{"cwd": tmp_path, "env": environment(site)},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert ran.returncode == 0, ran.stderr
    lines = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert [line["prediction"]["type"] for line in lines] == ["segmentation"] * 2
    assert all(line["case"]["source"].startswith(f"{url}/{uid}/") for line in lines)


def test_uids_of_old_devices_are_read_and_whatever_else_has_no_uid_is_missing(orthanc, url, tmp_path):
    """Components with leading zeros are against PS3.5 9.1, and frequent."""
    uid = study(tmp_path, slices=4)
    for name, instance in (("0000.dcm", "1.2.3.04"), ("0001.dcm", "1.2.3.a")):
        dataset = dcmread(tmp_path / name)
        with quiet():
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = instance
            dataset.save_as(tmp_path / name)
    put(orthanc, tmp_path)

    found = list(read(f"{url}/{uid}"))

    cases = [one for one in found if isinstance(one, Case)]
    assert len(cases) == 3
    assert f"{url}/{uid}/{dataset.SeriesInstanceUID}/1.2.3.04" in [case.reference.source for case in cases]
    [missing] = [one for one in found if not isinstance(one, Case)]
    assert missing.outcome.reason.endswith("/(no UID): its archive does not give it")


def test_a_study_with_leading_zeros_in_its_uid_is_read_by_it(orthanc, url, tmp_path):
    with quiet():
        study(tmp_path, uid="1.2.003.4")
        put(orthanc, tmp_path)

        [case] = read(f"{url}/1.2.003.4")

    assert case.image.shape[-2:] == (128, 128)
