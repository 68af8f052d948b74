"""`medplug bench kernels` as a shell sees it."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from medplug.bench.report import from_json


def bench(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    code = "from medplug.cli import main; main()"
    command = [sys.executable, "-P", "-c", code, "bench", "kernels", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def test_the_table_names_the_machine_and_the_files_are_written(tmp_path: Path) -> None:
    options = ("--small", "--items", "mask,ct", "--threads", "1", "--rounds", "2", "--peer", "pillow")

    ran = bench(*options, "--json", "k.json", "--svg", "k.svg", cwd=tmp_path)

    assert ran.returncode == 0, ran.stderr
    report = from_json((tmp_path / "k.json").read_bytes())
    assert report.machine.cpu in ran.stdout
    assert [item.name for item in report.items] == ["mask", "ct"]
    assert {row.library for row in report.rows} == {"medplug", "Pillow"}
    assert all(item.title in ran.stdout for item in report.items)
    assert ET.parse(tmp_path / "k.svg").getroot().tag.endswith("svg")


def test_without_peers_medplug_is_alone(tmp_path: Path) -> None:
    ran = bench("--small", "--items", "mask", "--threads", "1", "--rounds", "1", "--peer", "none", cwd=tmp_path)

    assert ran.returncode == 0, ran.stderr
    assert "medplug" in ran.stdout
    assert "torch" not in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--items", "xray"), "no work item named 'xray'; there are radiograph-512,"),
        (("--peer", "itk"), "no peer named 'itk'; there are opencv, torch,"),
        (("--threads", "one"), "write numbers, such as 1,2"),
        (("--threads", "0"), "at least one item, thread and round"),
        (("--rounds", "0"), "x>=1"),
        (("--json", "nowhere/k.json"), "nowhere is no folder"),
    ],
)
def test_a_wrong_call_is_exit_code_2_and_says_what_was_wrong(tmp_path: Path, arguments, message: str) -> None:
    ran = bench(*arguments, cwd=tmp_path)

    assert ran.returncode == 2, ran.stderr
    assert message in " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stderr
