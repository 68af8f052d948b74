"""Figures of generators whose quality is known, in features that are the pixels themselves."""

import base64
import dataclasses
import io

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from torch import nn

import medplug
from medplug.case import Case, CaseReference
from medplug.dataset import Dataset
from medplug.errors import CallError
from medplug.evaluation import evaluate, frechet, generation_figures, learned_from_samples
from medplug.evaluation.feature_spaces import CLASSIFIER, PIXELS, RADIOMICS
from medplug.evaluation.generation_figures import (
    AUC,
    COPIES,
    DISTANCE,
    GAIN,
    PCA,
    PCA_AUC,
    PRECISION,
    RATIO,
    REAL,
    REAL_AUC,
    REAL_COPIES,
    RECALL,
    WITHIN,
)
from medplug.model import NO_LABELS, Labels
from medplug.model_folder import fresh
from medplug.plugins import discover
from medplug.sources import from_array

torch.set_num_threads(1)


def of(found, name, whose="", space=CLASSIFIER):
    return found.figure(name, f"{space}, {whose}" if whose else space).value


class Repeats(medplug.Generative):
    """Gives back one of the images that it was made from, on a grid of 8 x 8, twice as bright with `gain` 2."""

    name, version, task = "repeats", "1.0", medplug.Task.GENERATION

    def __init__(self, images, gain=1.0, modality=None):
        super().__init__()
        self.images, self.gain, self.modality = torch.tensor(images / 255, dtype=torch.float32), gain, modality

    def contract(self):
        return medplug.InputContract(modality=self.modality and medplug.Constraint((self.modality,)))

    def preprocessing(self):
        return medplug.Preprocessing(geometry=(medplug.Resize((8, 8)),), normalize=medplug.Normalize((0.4,), (0.2,)))

    def build(self):
        return nn.Identity()

    def configure_optimizers(self, network):
        raise AssertionError("it is never trained")

    def training_step(self, network, batch, loop):
        raise AssertionError("it is never trained")

    def sample(self, network, count, generator):
        chosen = torch.randint(len(self.images), (count,), generator=generator)
        return {"image": self.images[chosen, None] * self.gain}

    def decode(self, output, batch):
        return [medplug.Generated(image=image, seed=0, index=0) for image in output["image"].numpy()]


class Pixels(medplug.Model):
    """A classifier whose features are the pixels of an 8 x 8 image as displayed."""

    name, version, task = "pixels", "1.0", medplug.Task.CLASSIFICATION

    def preprocessing(self):
        return medplug.Preprocessing(geometry=(medplug.Resize((8, 8)),))

    def build(self):
        return nn.Flatten()

    def features(self, network, batch):
        return network(batch.image)

    def decode(self, output, batch):
        raise AssertionError("only its features are wanted")


def pictures(count, seed=0):
    """Images [count, 8, 8] of one bright half, left or right: two lumps, which no Gaussian is like."""
    generator = np.random.default_rng(seed)
    images = generator.integers(20, 60, (count, 8, 8))
    left = generator.random(count) < 0.5
    images[left, :, :4] += 150
    images[~left, :, 4:] += 150
    return images.astype(np.uint8)


def dataset_of(images, splits, modality=None):
    cases = []
    for index, image in enumerate(images):
        case = from_array(image, modality=modality)
        cases.append(Case(CaseReference(source=f"row {index}"), case.images))
    return Dataset(
        cases=tuple(cases),
        labels=NO_LABELS,
        targets=np.full(len(cases), -1),
        splits=np.array(splits, dtype=np.str_),
        sha256="abc",
    )


def split(train, test):
    return ["train"] * train + ["test"] * test


def test_a_generator_of_the_very_images_lies_at_no_distance():
    image = np.tile(np.arange(0, 256, 32, dtype=np.uint8), (8, 1))
    data = dataset_of([image] * 20, split(10, 10))

    found = evaluate(Repeats(image[None]), data, features=fresh(Pixels()), device="cpu")

    assert of(found, DISTANCE) == pytest.approx(0, abs=1e-6)
    assert of(found, DISTANCE, REAL) == pytest.approx(0, abs=1e-6)
    assert (found.task, found.rows, found.refused) == ("generation", 10, 0)


def test_an_image_that_is_too_bright_lies_as_far_as_its_brightness():
    image = np.full((8, 8), 51, np.uint8)
    data = dataset_of([image] * 8, split(0, 8))

    found = evaluate(Repeats(image[None], gain=2.0), data, features=fresh(Pixels()), device="cpu")

    assert of(found, DISTANCE) == pytest.approx(64 * 0.2**2, abs=1e-5)


def test_real_images_are_reduced_to_the_generators_own_grid_before_they_are_compared():
    small = pictures(40)
    large = np.kron(small, np.ones((4, 4), np.uint8))

    at_once = evaluate(Repeats(small), dataset_of(small, split(20, 20)), features=fresh(Pixels()), device="cpu")
    reduced = evaluate(Repeats(small), dataset_of(large, split(20, 20)), features=fresh(Pixels()), device="cpu")

    assert of(at_once, DISTANCE) == pytest.approx(of(reduced, DISTANCE), rel=0.2)


def test_the_distance_is_that_of_the_pixels_and_stands_beside_a_gaussians():
    images = pictures(400)
    data = dataset_of(images, split(200, 200))

    good = evaluate(Repeats(images[:200]), data, features=fresh(Pixels()), device="cpu", samples=300)
    poor = evaluate(Repeats(images[:200], gain=1.4), data, features=fresh(Pixels()), device="cpu", samples=300)

    train, test = (part.reshape(200, 64) / 255 for part in (images[:200], images[200:]))
    assert of(good, DISTANCE, REAL) == pytest.approx(frechet.distance(frechet.fit(train), frechet.fit(test)), rel=0.05)
    assert of(good, RATIO) == pytest.approx(of(good, DISTANCE) / of(good, DISTANCE, REAL))
    assert 0.5 < of(good, RATIO) < 2
    assert of(poor, DISTANCE) > 5 * of(good, DISTANCE)
    assert of(poor, WITHIN) > 5 * of(good, WITHIN)
    assert of(good, DISTANCE, PCA) == of(poor, DISTANCE, PCA)
    assert any(
        "are no nearer to real ones than a Gaussian's" in warning and "classifier (" in warning
        for warning in poor.warnings
    )
    assert "300 generated images against 200 test rows, on the generator's own grid" in good.notes


def test_a_generator_that_repeats_one_half_is_precise_and_recalls_the_half():
    images = pictures(200)
    left = images[:100][images[:100, 0, 0] > 100]

    found = evaluate(
        Repeats(left), dataset_of(images, split(100, 100)), features=fresh(Pixels()), device="cpu", samples=100
    )

    share = (images[100:, 0, 0] > 100).mean()
    assert of(found, PRECISION) > 0.7
    assert of(found, RECALL) <= share
    assert of(found, RECALL, REAL) > of(found, RECALL) + 0.2
    recall = found.figure(RECALL, CLASSIFIER)
    assert recall.low < recall.value < recall.high


def test_a_generator_of_one_image_stands_in_red_and_one_of_real_images_does_not():
    images = pictures(400)
    data = dataset_of(images, split(200, 200))

    alone = evaluate(Repeats(images[:1]), data, features=fresh(Pixels()), device="cpu", samples=200)
    real = evaluate(Repeats(images[:200]), data, features=fresh(Pixels()), device="cpu", samples=200)

    nearer, varied = alone.warnings
    assert nearer.startswith("the generated images are no nearer to real ones than a Gaussian's")
    assert varied.startswith("hardly a real image lies among the generated (recall 0.0")
    assert not any("hardly" in warning for warning in real.warnings)
    assert not any("classifier (" in warning for warning in real.warnings)


def test_images_that_were_trained_on_are_near_copies_and_stand_beside_their_source():
    images = pictures(120)
    data = dataset_of(images, split(60, 60))

    copied = evaluate(Repeats(images[:60]), data, features=fresh(Pixels()), device="cpu", samples=40)
    new = evaluate(Repeats(pictures(60, seed=8)), data, features=fresh(Pixels()), device="cpu", samples=40)

    assert copied.figure(COPIES).value == 1
    assert new.figure(COPIES).value == new.figure(REAL_COPIES).value == 0
    assert new.figure(COPIES).high == pytest.approx(0.0876, abs=1e-4)  # Wilson's, of none among 40
    assert [one.distance for one in new.neighbours] == sorted(one.distance for one in new.neighbours)
    assert new.neighbours[0].distance > 0.5
    first = copied.neighbours[0]
    assert first.distance == pytest.approx(0, abs=1e-6)
    with Picture.open(io.BytesIO(base64.b64decode(first.picture.partition(",")[2]))) as picture:
        source = int(first.source.removeprefix("row "))
        assert np.array_equal(np.asarray(picture), images[source])


def test_near_copies_that_cannot_be_found_are_told_of(monkeypatch):
    monkeypatch.setattr(generation_figures, "MOST", 20)
    images = pictures(60)

    def notes(train):
        data = dataset_of(images[: train + 20], split(train, 20))
        return evaluate(Repeats(images), data, features=fresh(Pixels()), device="cpu", samples=20, resamples=0).notes

    said = "near copies are looked for among 20 of the 40 train rows: of the others none is found"
    assert said in notes(40)
    assert not any("looked for" in note for note in notes(20))


def test_what_labelled_images_teach_is_told_beside_a_pca_generators_and_real_ones(monkeypatch):
    monkeypatch.setattr(learned_from_samples, "_EPOCHS", 6)
    monkeypatch.setattr(learned_from_samples, "_FEW_STEPS", 5)
    monkeypatch.setattr(learned_from_samples, "DRAWS", 1)
    images = pictures(400)
    labels = (images[:, 0, 0] > 100).astype(np.int64)
    data = dataclasses.replace(
        dataset_of(images, split(200, 200)), targets=labels, labels=Labels(names=("right", "left"))
    )

    class Labelled(Repeats):
        conditional = True

        def sample(self, network, count, generator, label=None):
            chosen = torch.randint(200, (count,), generator=generator)
            return {"image": self.images[chosen, None], "label": torch.tensor(self.told)[chosen]}

        def decode(self, output, batch):
            names = ("right", "left")
            return [
                medplug.Generated(image=image, seed=0, index=0, label=names[int(number)])
                for image, number in zip(output["image"].numpy(), output["label"])
            ]

    honest, lying = Labelled(images), Labelled(images)
    honest.told, lying.told = labels, 1 - labels
    for one in (honest, lying):
        one.labels = data.labels

    right, wrong = (evaluate(one, data, features=fresh(Pixels()), device="cpu", samples=150) for one in (honest, lying))

    assert right.figure(AUC).value > 0.95
    assert wrong.figure(AUC).value < 0.05
    assert right.figure(REAL_AUC).value > 0.95 < right.figure(PCA_AUC).value + 0.05
    assert wrong.figure(GAIN).value <= 0
    assert any(note.startswith(f"no {GAIN}") for note in wrong.notes)


def test_without_labels_nothing_is_learned_and_it_is_said():
    images = pictures(40)

    found = evaluate(Repeats(images), dataset_of(images, split(20, 20)), features=fresh(Pixels()), device="cpu")

    assert {figure.name for figure in found.figures if figure.label is None} == {COPIES, REAL_COPIES}
    assert any("no classifier learns from the generated images" in note for note in found.notes)


def test_rows_that_were_trained_on_are_compared_by_halves():
    images = pictures(80)

    found = evaluate(
        Repeats(pictures(80, 4)),
        dataset_of(images, split(80, 0)),
        features=fresh(Pixels()),
        device="cpu",
        split="train",
    )

    assert found.rows == 40
    assert found.figure(REAL_COPIES).value == 0
    assert found.figure(COPIES).value == 0


def test_the_seed_decides_the_images():
    images = pictures(60)
    data = dataset_of(images, split(30, 30))

    one, same, other = (
        evaluate(Repeats(images), data, features=fresh(Pixels()), device="cpu", seed=seed) for seed in (1, 1, 2)
    )

    assert one == same
    assert of(one, DISTANCE) != of(other, DISTANCE)


def test_rows_that_the_generator_would_not_take_are_counted_and_not_compared():
    images = pictures(30)
    data = dataset_of(images, split(10, 20), modality="CR")
    strange = tuple(
        dataclasses.replace(case, images={"image": dataclasses.replace(case.image, modality="CT")})
        for case in data.cases[-5:]
    )
    data = dataclasses.replace(data, cases=data.cases[:-5] + strange)

    found = evaluate(Repeats(images, modality="CR"), data, features=fresh(Pixels()), device="cpu")

    assert (found.rows, found.refused) == (15, 5)


def test_what_cannot_be_compared_is_said():
    class Windowed(Pixels):
        def preprocessing(self):
            return medplug.Preprocessing(values=medplug.Window(center=40, width=400))

    class Sure(Pixels):
        def contract(self):
            return medplug.InputContract(modality=medplug.Constraint(("CR",), absent="refuse"))

    class Bare(Pixels):
        def features(self, network, batch):
            return None

    images = pictures(20)
    data = dataset_of(images, split(10, 10))
    for features, reason in (
        (None, "name a classifier"),
        (fresh(Windowed()), "reads values as window"),
        (fresh(Sure()), "refuses generated images: the source states no modality"),
        (fresh(Bare()), "offers no features"),
    ):
        with pytest.raises(CallError, match=reason):
            evaluate(Repeats(images), data, features=features, device="cpu")
    with pytest.raises(CallError, match="at least 4 test rows"):
        evaluate(Repeats(images), dataset_of(images, split(18, 2)), features=fresh(Pixels()), device="cpu")
    with pytest.raises(CallError, match="at least 2"):
        evaluate(Repeats(images), data, features=fresh(Pixels()), device="cpu", samples=1)


def test_the_gan_is_compared_in_the_features_of_the_cnn():
    plugins = discover(only="medplug")
    gan, cnn = plugins.find("medplug:gan").model, plugins.find("medplug:cnn").model
    generator = fresh(gan(gan.Options(size=28, width=8)))
    judge = fresh(cnn(cnn.Options(size=32, width=8, depth=(1, 1)), Labels(names=("a", "b"))))
    images = np.random.default_rng(0).integers(0, 256, (24, 28, 28)).astype(np.uint8)
    done = []

    found = evaluate(
        generator,
        dataset_of(images, split(12, 12)),
        features=judge,
        device="cpu",
        progress=lambda row, of: done.append((row, of)),
    )

    assert {figure.label for figure in found.figures} >= {CLASSIFIER, RADIOMICS, PIXELS, f"{RADIOMICS}, {PCA}"}
    assert all(of(found, DISTANCE, space=space) > 0 for space in (CLASSIFIER, RADIOMICS, PIXELS))
    assert done == [(index, 12) for index in range(1, 13)]
    assert any("in the features of cnn" in note for note in found.notes)
