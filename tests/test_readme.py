"""The README is true: two commands, a plugin that runs, links that lead somewhere."""

import re
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

import medplug

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_first_shell_block_has_exactly_two_commands():
    commands = blocks("sh")[0].strip().splitlines()

    assert len(commands) == 2
    assert commands[0].endswith("medplug demo")
    assert commands[1].endswith("pytest")


def test_the_plugin_of_the_readme_answers():
    namespace = {}
    [code] = [block for block in blocks("python") if "hookimpl" in block]
    exec(compile(code, "README.md", "exec"), namespace)
    [model] = namespace["medplug_register_models"]()

    [result] = medplug.Session(model(), device="cpu").run(get_testdata_file("CT_small.dcm"))

    assert result.prediction.values["brightness"] == pytest.approx(0.4, abs=0.1)


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", README))
def test_every_link_leads_somewhere(target):
    assert (ROOT / target).exists()
