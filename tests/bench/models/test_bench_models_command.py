"""`medplug bench models` as a shell sees it."""

import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest
from learners import install

from medplug.bench.models import trial
from medplug.bench.models.report import Measured
from medplug.cli import main as cli_main

TESTS = Path(__file__).parents[2]
COMMAND = [sys.executable, "-P", "-c", "from medplug.cli import main; main()", "bench", "models"]


def bench(*arguments, capsys):
    """Run the command in this process; return its exit code and what it said."""
    with pytest.raises(SystemExit) as ended:
        cli_main(["bench", "models", *arguments])
    told = capsys.readouterr()
    return ended.value.code, told.out, " ".join(told.err.split())


def test_a_goal_that_is_missed_is_exit_code_1_and_all_is_written(npz, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    goal = {"dataset": "sides.npz", "plugin": "sides", "figure": "macro AUC"}
    goals = tmp_path / "goals.json"
    call = ("sides.npz", "--plugin", "sides", "--seeds", "1", "--folds", "2", "--set", "recipe.steps=60", "--goals")
    files = ("--json", "m.json", "--svg", "m.svg")

    goals.write_bytes(msgspec.json.encode([{**goal, "value": 0.6}]))
    fine = bench(*call, goals.name, capsys=capsys)
    goals.write_bytes(msgspec.json.encode([{**goal, "value": 1.1}]))
    short = bench(*call, goals.name, *files, capsys=capsys)

    assert fine[0] == 0, fine
    assert "0 of 2 done: sides" in fine[2]
    assert "1 of 2 done: sides" in fine[2]
    assert "reached" in fine[1]
    assert short[0] == 1, short
    assert "MISSED" in short[1]
    [measured] = msgspec.json.decode((tmp_path / "m.json").read_bytes(), type=tuple[Measured, ...])
    assert f"{measured.find('macro AUC').value:.3f}" in short[1]
    assert ET.parse(tmp_path / "m.svg").getroot().tag.endswith("svg")
    assert (tmp_path / "bench-sides").is_dir()


def test_ctrl_c_keeps_what_is_finished_and_the_same_call_goes_on(npz, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    site = os.pathsep.join([str(TESTS), str(install(tmp_path / "site"))])
    environment = {**os.environ, "PYTHONPATH": site, "OMP_NUM_THREADS": "1"}
    call = ("sides.npz", "--plugin", "sides", "--seeds", "2", "--folds", "2", "--set", "recipe.steps=200", "-o", "out")
    running = subprocess.Popen(
        [*COMMAND, *call], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 90
    while not (found := list(tmp_path.glob(f"out/*/*/{trial.RECORD}"))):
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)

    running.send_signal(signal.SIGINT)
    _, complaint = running.communicate(timeout=60)

    assert running.returncode == 130, complaint
    assert "kept in out" in " ".join(complaint.split())
    kept = {file: file.stat().st_mtime_ns for file in tmp_path.glob(f"out/*/*/{trial.RECORD}")}
    assert set(found) <= set(kept)
    assert len(kept) < 4
    assert bench(*call, capsys=capsys)[0] == 0
    finished = {file: file.stat().st_mtime_ns for file in tmp_path.glob(f"out/*/*/{trial.RECORD}")}
    assert len(finished) == 4
    assert kept.items() <= finished.items()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("kermany",), "no file and no data set that is known: pneumoniamnist, cxr-kermany, cxr-nih"),
        (("cxr-nih",), "say where cxr-nih lies: --data DIR"),
        (("cxr-nih", "--data", "."), "cxr-nih/manifest.csv cannot be read"),
        (("cxr-nih", "--data", ".", "--label", "x"), "is known, and so are its columns"),
        (("sides.npz", "--final"), "--log"),
        (("sides.npz", "--try", "width"), "write key=value"),
        (("sides.npz", "--json", "nowhere/m.json"), "nowhere is no folder"),
    ],
)
def test_a_wrong_call_is_exit_code_2_and_says_what_was_wrong(npz, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MEDPLUG_TEST_DATA", raising=False)

    code, _, complaint = bench(*arguments, capsys=capsys)

    assert code == 2, complaint
    assert message in complaint
