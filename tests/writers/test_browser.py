"""A real browser opens the reports: nothing runs in them, and their style and pictures are there."""

import shutil
import subprocess
from dataclasses import replace as changed

import numpy as np
import pytest
from markupsafe import Markup
from PIL import Image as Picture
from writers.runs import Halves, answers, write

import medplug
from medplug.sources import from_array
from medplug.writers import HtmlReport
from medplug.writers.html_page import Section, page, write_page

SCRIPT = "<script>document.title='pwned'</script>"


@pytest.fixture
def chromium(tmp_path):
    """Run headless Chromium on a file; returns what it printed."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no chromium on PATH")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"]
    options += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]

    def run(file, *more):
        command = [found, *options, f"--user-data-dir={tmp_path / 'profile'}", *more, file.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=90, check=True).stdout

    return run


def test_a_hostile_name_runs_nothing(tmp_path, chromium):
    hostile = f"{SCRIPT}<img src=x onerror=\"document.title='pwned'\">"
    image = changed(from_array(np.full((8, 8), 9, np.uint8)).image, view=hostile)
    model = Halves(labels=medplug.Labels(names=(hostile, "right")))
    case = medplug.Case(medplug.CaseReference(source=hostile), {"image": image})
    write(HtmlReport, tmp_path, *answers(model, case))

    dom = chromium(tmp_path / "report.html", "--dump-dom")

    assert "<title>halves: classification" in dom
    assert "&lt;script&gt;document.title='pwned'&lt;/script&gt;" in dom


def test_the_policy_stops_even_a_script_that_was_not_escaped(tmp_path, chromium):
    leaky = [Section("Leak", Markup(SCRIPT))]
    write_page(tmp_path / "with.html", "fine", leaky)
    (tmp_path / "without.html").write_text(page("fine", leaky).replace("Content-Security-Policy", "x"))

    assert "<title>fine" in chromium(tmp_path / "with.html", "--dump-dom")
    assert "<title>pwned" in chromium(tmp_path / "without.html", "--dump-dom")


def test_style_and_pictures_pass_the_policy(tmp_path, chromium):
    write(HtmlReport, tmp_path, *answers(Halves(), np.full((60, 60), 128, np.uint8), explanations=True))

    chromium(tmp_path / "report.html", "--window-size=900,1000", f"--screenshot={tmp_path / 'shot.png'}")

    with Picture.open(tmp_path / "shot.png") as picture:
        seen = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    colours, counts = np.unique(seen, axis=0, return_counts=True)
    shown = dict(zip(map(tuple, colours.tolist()), counts.tolist()))
    assert shown[(250, 249, 246)] > 300_000  # the paper, so the style was applied
    assert shown[(128, 128, 128)] > 50_000  # the picture itself
