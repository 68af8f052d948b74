"""The same answer is the same object: its UID and its bytes, whoever writes it and how often."""

import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from writers import studies
from writers.studies import answered, written

import medplug
from medplug.errors import WriterError
from medplug.writers import dicom_identity
from medplug.writers.object_record import ObjectRecord

TESTS = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    folder = tmp_path / "state"
    monkeypatch.setenv("MEDPLUG_STATE", str(folder))
    return folder


def contents(files):
    return {(name, file.name): file.read_bytes() for name, made in files.items() for file in made}


def uids(files):
    return {str(dcmread(file, stop_before_pixels=True).SOPInstanceUID) for made in files.values() for file in made}


@pytest.mark.parametrize("make", ["segmentation", "classification", "anomaly"])
def test_two_runs_write_the_same_bytes(tmp_path, make):
    source = studies.oblique(tmp_path) if make != "classification" else studies.cr(tmp_path)
    model = studies.TASKS[make] if make == "classification" else studies.of_volumes(studies.TASKS[make])

    runs = [written(tmp_path / name, *answered(model(), source)) for name in ("first", "second")]

    assert contents(runs[0]) == contents(runs[1])
    assert len(contents(runs[0])) >= 3


def test_what_else_is_in_the_run_changes_nothing(tmp_path):
    alone, together = tmp_path / "alone", tmp_path / "together"
    together.mkdir()
    first = studies.ct(alone)
    studies.cr(together)  # sorted before the CT
    shutil.copy(first, together / "ct.dcm")

    runs = [
        written(tmp_path / f"{folder.name}-out", *answered(studies.Outlines(), folder)) for folder in (alone, together)
    ]

    assert set(contents(runs[0]).values()) < set(contents(runs[1]).values())
    assert uids(runs[0]) < uids(runs[1])


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from writers import studies
session, found = studies.answered(studies.Outlines(), Path(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
studies.written(Path(sys.argv[3]), session, found, ["dicom-seg", "dicom-sr"])
"""


def test_two_processes_at_once_write_the_same_bytes(tmp_path, state):
    source = studies.ct(tmp_path)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(TESTS), str(source), str(tmp_path / name)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("first", "second")
    ]
    for one in started:
        assert one.stdout.readline() == "ready\n"
    for one in started:
        one.stdin.write("\n")
        one.stdin.flush()
    for one in started:
        one.communicate(timeout=120)
        assert one.returncode == 0

    for name in ("dicom-seg", "dicom-sr"):
        first, second = ((tmp_path / run / name / "000001.dcm").read_bytes() for run in ("first", "second"))
        assert first == second


def test_on_another_machine_an_object_is_another_and_its_series_the_same(tmp_path, monkeypatch):
    source = studies.ct(tmp_path)
    made = []
    for name in ("here", "there"):
        monkeypatch.setenv("MEDPLUG_STATE", str(tmp_path / name))
        [file] = written(tmp_path / f"{name}-out", *answered(studies.Outlines(), source), ["dicom-seg"])["dicom-seg"]
        made.append(dcmread(file))

    assert made[0].SOPInstanceUID != made[1].SOPInstanceUID  # its bytes differ: it was made at another moment
    assert made[0].SeriesInstanceUID == made[1].SeriesInstanceUID
    assert made[0].SegmentSequence[0].TrackingUID == made[1].SegmentSequence[0].TrackingUID


def test_another_preprocessing_or_version_is_another_series(tmp_path):
    class Newer(studies.Outlines):
        version = "2.0"

    class Other(studies.Outlines):
        def preprocessing(self):
            return medplug.Preprocessing(values=medplug.Window(center=40, width=400))

    source = studies.ct(tmp_path)
    found = set()
    for number, model in enumerate((studies.Outlines, Newer, Other)):
        files = written(tmp_path / str(number), *answered(model(), source), ["dicom-sr"])
        found.add(str(dcmread(files["dicom-sr"][0]).SeriesInstanceUID))

    assert len(found) == 3


def test_the_dates_of_an_object_are_those_of_its_first_making(tmp_path):
    files = written(tmp_path / "out", *answered(studies.Outlines(), studies.ct(tmp_path)))

    for made in files.values():
        for file in made:
            dataset = dcmread(file)
            first = datetime.strptime(dataset.ContentDate + dataset.ContentTime, "%Y%m%d%H%M%S.%f")
            assert 0 <= (datetime.now() - first).total_seconds() < 300
            assert (dataset.InstanceCreationDate, dataset.InstanceCreationTime) == (
                dataset.ContentDate,
                dataset.ContentTime,
            )


def test_a_file_is_encoded_once_and_is_what_encoding_it_again_gives(tmp_path, monkeypatch):
    encode, made, encodings = dicom_identity.encoded, [], []
    monkeypatch.setattr(dicom_identity, "encoded", lambda dataset: encodings.append(1) or encode(dataset))

    def watched(dataset, record):
        content = dicom_identity.finished(dataset, record)
        made.append((content, encode(dataset)))
        return content

    for module in ("dicom_seg", "dicom_sr", "dicom_capture"):
        monkeypatch.setattr(f"medplug.writers.{module}.finished", watched)
    written(tmp_path / "out", *answered(studies.Outlines(), studies.ct(tmp_path)))

    assert len(made) == len(encodings) == 4
    for patched, again in made:
        assert patched == again


def test_one_digest_has_one_moment(tmp_path):
    first = ObjectRecord(tmp_path).moment("a", datetime(2026, 1, 2, 3, 4, 5, 678901))

    assert ObjectRecord(tmp_path).moment("a") == first
    assert ObjectRecord(tmp_path).moment("b") != first


def test_processes_that_ask_at_once_get_one_moment(tmp_path):
    script = (
        "import sys; from pathlib import Path; from medplug.writers.object_record import ObjectRecord;"
        "record = ObjectRecord(Path(sys.argv[1]));"
        "print(*[record.moment(str(n)).isoformat() for n in range(50)])"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]

    said = {one.communicate(timeout=120)[0] for one in started}

    assert len(said) == 1
    assert len(set(said.pop().split())) == 50


def test_a_record_that_is_none_is_named_with_the_way_out(tmp_path, state):
    source = studies.ct(tmp_path)
    state.mkdir()
    (state / "objects.sqlite").write_bytes(b"no database at all, but long enough to be taken for one" * 20)

    with pytest.raises(WriterError, match=r"objects\.sqlite cannot be used: file is not a database.*MEDPLUG_STATE"):
        written(tmp_path / "out", *answered(studies.Outlines(), source), ["dicom-seg"])


def test_the_state_folder_is_for_its_owner_alone(state):
    ObjectRecord().moment("a")

    assert state.stat().st_mode & 0o077 == 0
