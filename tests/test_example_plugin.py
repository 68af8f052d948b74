"""The example plugin, as a stranger has it: built into a wheel, installed, and found through its entry point."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_rescale, pixel_array

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "medplug-brightness"

RUN = """
import json, sys
from medplug.plugins import discover
host = discover(only="medplug-brightness")
listed_without_torch = "torch" not in sys.modules
import medplug
offer = host.find("brightness")
[result] = medplug.Session(offer.model(), device="cpu").run([sys.argv[1]])
print(json.dumps({
    "offer": [offer.qualified, offer.distribution_version, offer.task, offer.kind, offer.note],
    "quarantined": len(host.quarantined), "listed_without_torch": listed_without_torch,
    "values": result.prediction.values, "sop_instance_uid": result.case.sop_instance_uid,
}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has built and installed the example, without the network."""
    folder = tmp_path_factory.mktemp("example")
    source = shutil.copytree(EXAMPLE, folder / "source")
    offline = ["--no-build-isolation", "--no-deps", "--no-index", "--disable-pip-version-check"]
    target = folder / "site-packages"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", *offline, "--target", str(target), str(source)],
        check=True,
        timeout=240,
    )
    return target


def test_a_strangers_plugin_runs_through_its_entry_point(installed: Path) -> None:
    file = get_testdata_file("CT_small.dcm")
    dataset = dcmread(file)

    ran = subprocess.run(
        [sys.executable, "-c", RUN, file],
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["offer"] == ["medplug-brightness:brightness", "1.0", "regression", "fixed", None]
    assert found["quarantined"] == 0
    assert found["listed_without_torch"]
    hounsfield = apply_rescale(pixel_array(dataset), dataset)
    expected = np.clip((hounsfield + 160) / 400, 0, 1).mean()
    assert found["values"]["brightness"] == pytest.approx(expected, abs=1e-4)
    assert found["sop_instance_uid"] == dataset.SOPInstanceUID


def test_the_example_is_a_page_of_settings_and_one_module() -> None:
    settings = (EXAMPLE / "pyproject.toml").read_text()

    assert sorted(path.name for path in EXAMPLE.iterdir() if path.name != "__pycache__") == [
        "README.md",
        "medplug_brightness.py",
        "pyproject.toml",
    ]
    assert len([line for line in settings.splitlines() if line.strip()]) <= 10
    assert any(line.startswith("medplug>=") for line in tomllib.loads(settings)["project"]["dependencies"])


@pytest.mark.parametrize(
    "arguments", [("run", "brightness", "study", "-o", "out"), ("train", "brightness", "data", "-o", "out")]
)
def test_who_trains_or_runs_it_by_name_is_told_how_it_is_run(
    installed: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "medplug", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert ran.returncode == 2
    assert "`medplug.Session(Brightness()).run(SOURCE)`, with Brightness of medplug_brightness" in ran.stderr
    assert "train it first" not in ran.stderr
