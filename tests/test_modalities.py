"""A modality that DICOM has no term for is an error wherever a person can write one, and says what may be meant."""

import numpy as np
import pytest

import medplug
from medplug.cli import main
from medplug.dataset import DataOptions
from medplug.errors import CallError
from medplug.modalities import check_modalities, modalities
from medplug.pacs.config import read_config
from medplug.selection import Selection, selection_of


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("XR", "CR (Computed Radiography), DX (Digital Radiography), RG (Radiographic imaging)"),
        ("X-ray", "CR (Computed Radiography)"),
        ("cr", "CR (Computed Radiography)?"),
        ("MRI", "MR (Magnetic Resonance)"),
        ("PET", "PT (Positron emission tomography)"),
        ("mammography", "MG (Mammography)"),
        ("ultrasound", "US (Ultrasound)"),
        ("", "CT, MR, CR"),
    ],
)
def test_the_error_says_what_may_have_been_meant(asked, near):
    with pytest.raises(CallError, match="no modality that DICOM has a term for") as raised:
        check_modalities(["CT", asked])

    assert near in str(raised.value)


def test_terms_of_the_standard_pass_those_of_old_files_too():
    check_modalities(["CT", "MR", "CR", "DX", "MG", "US", "NM", "PT", "XA", "RF", "OT", "SM", "OP", "OPT", "ES", "ST"])

    assert len(modalities()) > 70


@pytest.mark.parametrize(
    "give",
    [
        lambda: Selection(modality=("XR",)),
        lambda: selection_of(["modality=XR"]),
        lambda: DataOptions(modality=("CR", "XR")),
        lambda: medplug.from_array(np.zeros((4, 4), np.uint8), modality="XR"),
    ],
)
def test_wherever_a_modality_is_given_it_is_checked(give):
    with pytest.raises(CallError, match="'XR' is no modality"):
        give()


@pytest.mark.parametrize(
    "command",
    [
        ["train", "cnn", ".", "-o", "model", "--modality", "CR,XR"],
        ["run", "model", ".", "--dry-run", "--select", "modality=XR"],
    ],
)
def test_a_command_ends_with_2_and_writes_nothing(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SystemExit) as ended:
        main(command)

    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "'XR' is no modality" in said
    assert "CR (Computed Radiography)" in said
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_a_listener_is_told_where(tmp_path):
    file = tmp_path / "listen.toml"
    file.write_text('state = "s"\n[[models]]\npath = "m"\n[models.select]\nmodality = ["XR"]\n')

    with pytest.raises(CallError, match=r"models\[0\]\.select.*'XR' is no modality"):
        read_config(file)
