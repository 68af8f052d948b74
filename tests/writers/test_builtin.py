"""What the writers cost that are not used, and what is said where their library is missing."""

import subprocess
import sys

import pytest
from writers import studies

import medplug
from medplug.errors import CallError
from medplug.writers import builtin, read_results
from medplug.writers.dicom_writer import DicomWriter


def test_a_run_imports_no_library_that_its_writers_do_not_need():
    code = "import sys; from medplug.writers import builtin; builtin(); print(*sys.modules)"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)

    assert {"highdicom", "pydicom", "sqlite3"} & set(ran.stdout.split()) <= {"sqlite3"}


@pytest.mark.parametrize("name", ["dicom-sr", "dicom-seg", "dicom-seg-fractional", "dicom-map"])
def test_without_highdicom_a_writer_says_what_to_install(tmp_path, monkeypatch, name):
    monkeypatch.setattr("importlib.util.find_spec", lambda module: None)
    loaded = medplug.model_folder.fresh(studies.Outlines())

    with pytest.raises(CallError, match=rf"'{name}' needs highdicom: pip install 'medplug\[dicom\]'"):
        builtin()[name](tmp_path, loaded)


def test_each_task_has_its_dicom_writers():
    own = [writer for writer in builtin().values() if issubclass(writer, DicomWriter)]

    suited = {task.value: {writer.name for writer in own if writer.suits(task)} for task in medplug.Task}

    both = {"dicom-sr", "dicom-capture"}
    assert suited == {
        "classification": {*both, "dicom-map"},
        "anomaly": {*both, "dicom-map"},
        "segmentation": {*both, "dicom-seg", "dicom-seg-fractional"},
        "regression": both,
        "generation": set(),
    }


def test_a_run_writes_what_is_named_and_a_second_one_removes_what_it_does_not(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDPLUG_STATE", str(tmp_path / "state"))
    source = studies.ct(tmp_path)
    loaded = medplug.model_folder.fresh(studies.Outlines())
    out = tmp_path / "out"

    names = ("json", "dicom-seg", "dicom-seg-fractional", "dicom-sr")
    first = medplug.run(loaded, str(source), out, write=names, device="cpu")
    files = {str(file.relative_to(out)) for file in out.rglob("*.dcm")}
    [read] = read_results(out)
    medplug.run(loaded, str(source), out, write=("json", "dicom-capture"), device="cpu", overwrite=True)

    assert first.notes == ()
    assert read.prediction.probabilities.shape == (3, *read.prediction.mask.shape)
    assert files == {f"{name}/000001.dcm" for name in names[1:]}
    assert [str(file.relative_to(out)) for file in out.rglob("*.dcm")] == ["dicom-capture/000001.dcm"]
