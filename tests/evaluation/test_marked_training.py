"""A training set in which one class bears a mark in the corner, from its pictures to the report."""

import numpy as np
import pytest
import torch
from learners import install, write_csv
from writers.pages import Page

from medplug.evaluation import evaluate
from medplug.training import train
from medplug.writers.reports import evaluation_report


@pytest.fixture
def learners(tmp_path_factory, monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.syspath_prepend(str(install(tmp_path_factory.mktemp("site"))))
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("marked", [True, False])
def test_a_corner_mark_on_one_class_stands_in_red_in_the_report(tmp_path, learners, marked):
    generator = np.random.default_rng(0)
    rows = []
    for row in range(120):
        image = generator.integers(0, 120, (32, 32))
        if marked and row % 2:
            image[1:4, 1:4] = 250
        split = "train" if row < 70 else "val" if row < 80 else "test"
        rows.append({"label": "sick" if row % 2 else "well", "split": split, "pixels": image})
    trained = train("sides", write_csv(tmp_path / "data", rows), tmp_path / "m", steps=10, device="cpu")

    found = evaluate(trained.path, device="cpu", resamples=200)
    page = Page(evaluation_report(found, tmp_path))

    red = [part.partition("</p>")[0] for part in page.source.split('<p class="alarm">')[1:]]
    assert red == list(found.warnings)
    guessed = [text for text in red if "the label can be guessed from the border of the image" in text]
    assert len(guessed) == marked
    assert "What trivial models reach" in page.text
    assert "The border of the image alone (test rows)" in page.text
    assert "brightness: darkest quarter (mean grey " in page.text
