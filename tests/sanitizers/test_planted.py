"""A session fails unless its planted bug dies, with its own report, where the same call without the bug does not."""

import os
from pathlib import Path

import pytest
from sanitizers.planted import Bug, prove

MODULE = """
import sys

def quiet(): pass
def dies(): sys.exit("report")
def dies_of_another_cause(): sys.exit("no such library")
def only_talks(): print("report", file=sys.stderr)
"""


def proved(folder: Path, call: str, harmless: str = "quiet()") -> None:
    (folder / "stand_in.py").write_text(MODULE)
    prove(Bug(call, "report", harmless), os.environ | {"PYTHONPATH": str(folder)}, module="stand_in")


def test_a_bug_that_dies_with_its_report_is_caught(tmp_path, capsys):
    proved(tmp_path, "dies()")

    assert "planted bug dies(): caught, exit 1: report" in capsys.readouterr().out


@pytest.mark.parametrize("call", ["quiet()", "dies_of_another_cause()", "only_talks()"])
def test_a_bug_that_is_not_caught_ends_the_session(call, tmp_path):
    with pytest.raises(SystemExit, match="NOT caught"):
        proved(tmp_path, call)


def test_a_process_that_dies_without_the_bug_proves_nothing(tmp_path):
    with pytest.raises(SystemExit, match="has no bug and ended with 1"):
        proved(tmp_path, "dies()", harmless="dies()")
