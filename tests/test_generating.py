"""What a session makes of a generator: labels that are asked for, and no near copies of training images."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from writers.runs import Rings, write

import medplug
from medplug import generating
from medplug.errors import CallError
from medplug.model import Labels
from medplug.model_folder import fresh
from medplug.session import Answer
from medplug.writers.generated_dicom import secondary_captures
from medplug.writers.generated_png import GeneratedPng
from medplug.writers.html_report import HtmlReport
from medplug.writers.json_lines import JsonLines

LABELS = Labels(names=("dark", "bright"))


class Recites(medplug.Generative):
    """Draws noise around the brightness of a label, and every second time or so an image that it was trained on."""

    name, version, task = "recites", "1.0", medplug.Task.GENERATION

    def __init__(self, options=None, labels=LABELS, share=0.5):
        super().__init__(options, labels)
        self.share = share
        self.trained = torch.linspace(0, 1, 64).reshape(1, 8, 8)

    @property
    def conditional(self):
        return True

    def build(self):
        return nn.Identity()

    def configure_optimizers(self, network):
        return {}

    def training_step(self, network, batch, loop):
        return {}

    def sample(self, network, count, generator, label=None):
        numbers = torch.randint(2, (count,), generator=generator)
        if label is not None:
            numbers[:] = self.labels.names.index(label)
        noise = torch.rand(count, 1, 8, 8, generator=generator) * 0.2 + 0.7 * numbers[:, None, None, None]
        recited = torch.rand(count, generator=generator) < self.share
        return {"image": torch.where(recited[:, None, None, None], self.trained, noise), "label": numbers}

    def near_copies(self, network, output):
        return (output["image"] - self.trained).abs().flatten(1).amax(1) < 0.01

    def decode(self, output, batch):
        names = [self.labels.names[int(number)] for number in output["label"]]
        return [
            medplug.Generated(image=image.numpy(), seed=0, index=0, label=name)
            for image, name in zip(output["image"], names)
        ]


def made(model, count, **options):
    return [result.prediction for result in medplug.Session(fresh(model), device="cpu").generate(count, **options)]


def test_a_training_image_is_withheld_and_another_is_drawn():
    model = Recites()

    images = made(model, 40)

    assert not any(np.allclose(one.image, model.trained.numpy()) for one in images)
    assert 10 < sum(one.withheld for one in images) < 120
    assert any(one.withheld == 0 for one in images)


def test_an_image_is_the_same_whatever_the_number_of_images_and_the_draws_before_it():
    few, many = made(Recites(), 3, seed=5), made(Recites(), 9, seed=5)

    for one, same in zip(few, many):
        assert np.array_equal(one.image, same.image)
        assert (one.label, one.withheld, one.seed, one.index) == (same.label, same.withheld, 5, same.index)
    assert sum(one.withheld for one in many) > 0
    assert len({one.image.tobytes() for one in many}) == 9


def test_what_is_drawn_again_shows_the_label_of_the_first_draw():
    never, often = made(Recites(share=0.0), 40), made(Recites(), 40)

    assert [one.label for one in never] == [one.label for one in often]
    assert all((one.image.mean() > 0.5) == (one.label == "bright") for one in often)


def test_a_label_that_is_asked_for_is_shown():
    images = made(Recites(), 12, label="bright")

    assert {one.label for one in images} == {"bright"}
    assert all(one.image.mean() > 0.5 for one in images)


def test_a_generator_that_makes_nothing_but_copies_is_refused():
    [one] = made(Recites(share=1.0), 1)

    assert one.code == "near-copy"
    assert f"each of {generating.DRAWS} draws" in one.reason


def test_a_label_that_cannot_be_shown_is_said():
    with pytest.raises(CallError, match="no label 'grey'; the model has dark, bright"):
        made(Recites(), 1, label="grey")
    with pytest.raises(CallError, match="rings was trained without exclusive labels"):
        made(Rings(), 1, label="bright")


def test_a_plugin_that_knows_no_labels_and_no_copies_generates_as_ever():
    [one] = made(Rings(), 1)

    assert (one.label, one.withheld) == (None, 0)


def answers(model, count, **options):
    session = medplug.Session(fresh(model), device="cpu")
    return session, [Answer(None, result) for result in session.generate(count, **options)]


def test_every_writer_says_the_label(tmp_path):
    session, found = answers(Recites(), 3, label="bright")
    for kind in (JsonLines, HtmlReport, GeneratedPng):
        write(kind, tmp_path, session, found)

    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert [line["prediction"]["label"] for line in lines] == ["bright"] * 3
    assert b"bright" in (tmp_path / "images" / "000001.png").read_bytes()
    assert "<strong>bright</strong>" in (tmp_path / "report.html").read_text()
    [captured] = secondary_captures(found[0].result, session.loaded)
    assert captured.DerivationDescription.endswith("image 0, to show bright")


def test_an_image_that_is_missing_leaves_the_others(tmp_path):
    class Sometimes(Recites):
        def near_copies(self, network, output):
            return output["label"] == 0

    session, found = answers(Sometimes(share=0.0), 6)
    write(GeneratedPng, tmp_path, session, found)

    missing = [answer.result.refused for answer in found]
    assert 0 < sum(missing) < 6
    written = {int(file.stem) for file in (tmp_path / "images").iterdir()}
    assert written == {place for place, gone in enumerate(missing, start=1) if not gone}
