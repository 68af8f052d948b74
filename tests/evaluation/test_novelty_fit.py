"""The fit of novelty: on train rows, judged by validation rows, for every task that it makes sense for."""

import numpy as np
import pytest
import torch
from learners import Duel, Rebuilder
from told import ToldClass, ToldScore, ToldValue, dataset_of

import medplug
from medplug.errors import CallError
from medplug.evaluation.novelty_fit import LEAST_ROWS, fit_novelty
from medplug.model import Labels
from medplug.model_folder import fresh
from medplug.session import Session
from medplug.sources import from_array

NAMES = ("a", "b", "c")


def rows(count, split, seed=0, names=NAMES, **more):
    """Pixels [1, 16], which are the features of a told model: its label's own place in 16, and noise."""
    generator = np.random.default_rng(seed)
    truth = np.arange(count) % len(names)
    pixels = generator.normal(size=(count, 1, 16)) + 5 * np.eye(16)[truth][:, None]
    return dataset_of(list(pixels), truth, names, split=split, modality="OT", **more)


def told(**more):
    return fresh(ToldClass(labels=Labels(names=NAMES, **more)))


def fitted(train=200, validation=100, **more):
    return fit_novelty(told(), rows(train, "train"), rows(validation, "val", seed=1), "cpu", **more)


def novelties(loaded, dataset):
    return [answer.result.novelty for answer in Session(loaded, "cpu").answer(dataset.cases)]


def test_the_limit_is_a_percentile_of_the_validation_rows():
    loaded = fitted()

    scores = [one.score for one in novelties(loaded, rows(100, "val", seed=1))]

    fit = loaded.novelty.fit
    assert fit.limit == pytest.approx(np.percentile(scores, 96), rel=1e-5)
    assert (fit.percentile, fit.split, fit.rows, fit.trained_rows) == (96.0, "val", 100, 200)


def test_rows_that_a_network_has_learned_by_heart_do_not_set_the_limit(monkeypatch):
    """Features of train rows lie ten times closer together than any others, as overfitting makes them."""
    learned = {tuple(case.image.read()[0, 0]) for case in rows(200, "train").cases}

    def features(self, network, batch):
        centre = 5 * torch.eye(16)[batch.image[:, 0, 0, :3].argmax(1)]
        known = torch.tensor([tuple(row.numpy()) in learned for row in batch.image[:, 0, 0]])[:, None]
        flat = batch.image.flatten(1)
        return torch.where(known, centre + (flat - centre) / 10, flat)

    monkeypatch.setattr(ToldClass, "features", features)

    flagged = [one.novel for one in novelties(fitted(), rows(300, "test", seed=2))]

    assert np.mean(flagged) < 0.12


def test_a_row_between_the_labels_is_novel_though_every_pixel_is_usual():
    loaded = fitted()
    between = dataset_of([np.zeros((1, 16)) + np.eye(16)[:3].mean(0) * 5], [0], NAMES, modality="OT")

    [found] = novelties(loaded, between)
    features = loaded.novelty.gaussians["features"]

    assert len(features.means) == 3
    assert found.score > 0
    assert features.unusual(torch.zeros(1, 16).double()).item() > features.unusual(features.means[:1]).item()


@pytest.mark.parametrize(
    ("model", "names", "exclusive"),
    [(ToldClass, NAMES, False), (ToldValue, ("a", "b"), True)],
)
def test_models_without_labels_that_shut_each_other_out_have_one_mean(model, names, exclusive):
    loaded = fresh(model(labels=Labels(names=names, exclusive=exclusive)))

    def some(split, seed):
        generator = np.random.default_rng(seed)
        answers, targets = generator.random((60, 1, 16)), generator.integers(0, 2, (60, len(names))).astype(float)
        return dataset_of(list(answers), targets, names, exclusive=exclusive, split=split, modality="OT")

    made = fit_novelty(loaded, some("train", 0), some("val", 1), "cpu")

    assert {part: len(one.means) for part, one in made.novelty.gaussians.items()} == {
        "features": 1,
        "thumbnail": 1,
        "statistics": 1,
    }


def test_a_model_without_features_is_measured_by_its_images_alone(monkeypatch):
    monkeypatch.setattr(ToldClass, "features", lambda *_: None)

    loaded = fitted()

    assert loaded.novelty.fit.parts == ("thumbnail", "statistics")
    assert all(one is not None for one in novelties(loaded, rows(5, "test")))


def test_a_volume_is_measured_as_a_plane_is():
    class Volumes(ToldClass):
        name = "volumes"

        def contract(self):
            return medplug.InputContract(dimensions=3, unit=medplug.Unit.SERIES)

        def decode(self, output, batch):
            return [medplug.Classification(probabilities={"a": 0.5, "b": 0.5}) for _ in output["output"]]

        def features(self, network, batch):
            return batch.image.mean((3, 4)).flatten(1)

    def volume(generator, sharp=False):
        made = generator.normal(100, 10, (12, 14, 10))
        return from_array((made + (np.indices(made.shape).sum(0) % 2 * 150 if sharp else 0)).astype(np.float32))

    def some(split, seed):
        generator = np.random.default_rng(seed)
        made = dataset_of([[0.0]] * 60, [0, 1] * 30, ("a", "b"), split=split)
        return medplug.dataset.Dataset(**{**vars(made), "cases": tuple(volume(generator) for _ in range(60))})

    loaded = fit_novelty(fresh(Volumes(labels=Labels(names=("a", "b")))), some("train", 0), some("val", 1), "cpu")

    generator = np.random.default_rng(9)
    session = Session(loaded, "cpu")
    *own, strange = session.answer([*(volume(generator) for _ in range(20)), volume(generator, sharp=True)])
    assert sum(answer.result.novelty.novel for answer in own) <= 4
    assert strange.result.novelty.novel


@pytest.mark.parametrize("model", [Rebuilder, ToldScore, Duel])
def test_anomaly_models_and_generators_have_no_measure(model):
    loaded = fresh(model())

    assert fit_novelty(loaded, rows(60, "train"), rows(60, "val"), "cpu") is not loaded
    assert fit_novelty(loaded, rows(60, "train"), rows(60, "val"), "cpu").novelty is None


def test_too_few_rows_give_no_measure_and_a_reason():
    said = []

    loaded = fitted(validation=LEAST_ROWS - 1, say=said.append)

    assert loaded.novelty is None
    assert said == [f"no novelty: 200 training and {LEAST_ROWS - 1} validation rows, and {LEAST_ROWS} are wanted"]


def test_rows_that_are_all_the_same_give_no_measure_and_a_reason():
    said = []
    same = [np.ones((1, 16))] * 30

    loaded = fit_novelty(
        told(),
        dataset_of(same, [0] * 30, NAMES, split="train", modality="OT"),
        dataset_of(same, [0] * 30, NAMES, split="val", modality="OT"),
        "cpu",
        say=said.append,
    )

    assert loaded.novelty is None
    assert said == ["no novelty: the validation rows do not differ, so no limit can be chosen by them"]


def test_rows_of_another_split_are_a_wrong_call():
    with pytest.raises(CallError, match="some train rows are others"):
        fit_novelty(told(), rows(30, "test"), rows(30, "val"), "cpu")
    with pytest.raises(CallError, match="some val rows are others"):
        fit_novelty(told(), rows(30, "train"), rows(30, "test"), "cpu")


def test_what_was_trained_on_is_not_novel_however_few_rows_span_the_space():
    """Of 30 rows in 1024 dimensions each lies along a direction of its own, in which no other row lies at all."""

    def noise(split, seed):
        answers = np.random.default_rng(seed).normal(size=(30, 32, 32))
        return dataset_of(list(answers), [0, 1, 2] * 10, NAMES, split=split, modality="OT")

    model = fresh(ToldClass(labels=Labels(names=NAMES)))
    train = noise("train", 0)

    loaded = fit_novelty(model, train, noise("val", 1), "cpu")

    assert sum(one.novel for one in novelties(loaded, train)) <= 3
    assert sum(one.novel for one in novelties(loaded, noise("test", 2))) <= 10
