"""Trivial models: what they see, what they reach, and what is said in red when a network does no better."""

import numpy as np
import pytest
from told import NAMES, ToldClass, ToldScore, dataset_of, three

from medplug.errors import CallError
from medplug.evaluation import evaluate
from medplug.evaluation.probes import PROBES, probe_features, probe_scores, shrunk
from medplug.evaluation.scores import area
from medplug.model import Labels
from medplug.model_folder import fresh
from medplug.session import Session


def noise(count, shape=(1, 40, 40), seed=0):
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)


def area_of(probabilities, truth):
    return float(area(probabilities[:, 1], truth == 1, np.ones((1, len(truth))))[0])


def brighter(images, truth):
    images[truth == 1] += 0.5
    return images


def swapped(images, truth, one, other):
    """Put the brighter half of what two places hold into one or the other: no grey value changes, only where it is."""
    for image, label in zip(images, truth):
        first, second = (image[0, place[0] : place[0] + 4, place[1] : place[1] + 4] for place in (one, other))
        values = np.sort(np.concatenate([first.ravel(), second.ravel()]))
        dark, bright = values[:16].reshape(4, 4), values[16:].reshape(4, 4)
        first[...], second[...] = (bright, dark) if label else (dark, bright)
    return images


def in_the_corner(images, truth):
    return swapped(images, truth, (0, 0), (18, 18))


def in_the_middle(images, truth):
    return swapped(images, truth, (12, 12), (22, 22))


@pytest.mark.parametrize(
    ("mark", "telling"),
    [
        (in_the_corner, {"border", "pixels"}),
        (brighter, {"border", "grey statistics", "pixels"}),
        (in_the_middle, {"pixels"}),
    ],
)
def test_each_probe_sees_what_it_is_to_see_and_nothing_else(mark, telling):
    truth = np.arange(300) % 2
    train, test = mark(noise(300), truth), mark(noise(300, seed=1), truth)

    reached = {kind: area_of(probe_scores(kind, train, truth, test), truth) for kind in PROBES}

    for kind, value in reached.items():
        assert value > 0.9 if kind in telling else value < 0.65, (kind, value)


def test_a_volume_has_a_shell_for_a_border():
    truth = np.arange(120) % 2
    volumes, others = noise(120, (1, 8, 20, 20)), noise(120, (1, 8, 20, 20), seed=1)
    for one in (volumes, others):
        one[truth == 1, :, 0] += 1

    border = area_of(probe_scores("border", volumes, truth, others), truth)

    assert probe_features("border", volumes).shape == (120, 8 * 16 * 16 - 6 * 14 * 14)
    assert border > 0.95


def test_the_same_images_give_the_same_probabilities_and_each_row_adds_up_to_one():
    truth = np.arange(90) % 3
    first, again = (probe_scores("pixels", noise(90), truth, noise(20, seed=2)) for _ in range(2))

    assert np.array_equal(first, again)
    assert first.shape == (20, 3)
    assert first.sum(axis=1) == pytest.approx(np.ones(20))


def test_a_label_that_no_train_row_has_gets_hardly_any_probability():
    scores = probe_scores("grey statistics", noise(50), np.arange(50) % 2, noise(5), labels=3)

    assert scores.shape == (5, 3)
    assert scores[:, 2].max() < 0.1


def test_an_image_smaller_than_a_probe_looks_stays_as_it_is():
    images = noise(3, (2, 10, 12))

    assert shrunk(images, (28, 28)) is images
    assert shrunk(images, (5, 28)).shape == (3, 2, 5, 12)
    assert probe_features("border", noise(3, (1, 3, 3))).shape == (3, 9)  # all of it is border
    with pytest.raises(CallError, match="no probe named 'colour'; there are border, grey statistics, pixels"):
        probe_features("colour", images)


def told(stated, truth, image, splits, names=NAMES[:2], model=ToldClass, **options):
    """An evaluation of a model that answers `stated`, whose rows show `image` [N, H, W] below the answers."""
    width = max(image.shape[2], np.shape(stated)[1])
    pixels = np.zeros((len(truth), image.shape[1] + 1, width))
    pixels[:, 0, : np.shape(stated)[1]] = stated
    pixels[:, 1:, : image.shape[2]] = image
    exclusive = options.pop("exclusive", True)
    loaded = fresh(model(labels=Labels(names=names, exclusive=exclusive)))
    dataset = dataset_of(pixels, truth, names, split=splits, exclusive=exclusive, **options)
    return evaluate(Session(loaded, "cpu"), dataset, resamples=100)


SPLITS = ["train"] * 120 + ["test"] * 80


def probed(evaluation, kind, split="test", name="macro AUC"):
    [one] = [probe for probe in evaluation.probes if (probe.kind, probe.split) == (kind, split)]
    return next(figure for figure in one.figures if figure.name == name)


def half_right(truth, seed=0):
    """Probabilities [N, 2] that say little of the truth."""
    positive = np.clip(np.random.default_rng(seed).normal(0.45 + 0.1 * truth, 0.2), 0.01, 0.99)
    return np.stack([1 - positive, positive], axis=1)


def test_a_model_that_does_no_better_than_a_probe_is_called_so_in_red():
    truth = np.arange(200) % 2
    image = noise(200, (12, 12)) + 0.4 * truth[:, None, None]

    found = told(half_right(truth), truth, image, SPLITS)

    assert {probe.kind for probe in found.probes} == set(PROBES)
    assert probed(found, "grey statistics").value > 0.9 > found.figure("macro AUC").value
    [area_, accuracy] = [warning for warning in found.warnings if "is not above" in warning]
    assert area_.startswith(f"macro AUC {found.figure('macro AUC').value:.3f} is not above what linear models reach")
    assert "grey statistics alone (" in area_
    assert accuracy.startswith("balanced accuracy ")
    figure = probed(found, "pixels", name="balanced accuracy")
    assert figure.low <= figure.value <= figure.high


def test_a_model_that_does_better_is_not_scolded():
    truth = np.arange(200) % 2
    sure = np.where(truth[:, None] == [0, 1], 0.9, 0.1)

    found = told(sure * 0 + half_right(truth), truth, noise(200, (12, 12)), SPLITS)
    good = told(sure + 1e-3 * noise(200, (2,)), truth, noise(200, (12, 12)), ["test"] * 200)

    assert [one for one in found.warnings if "guessed" in one] == []
    assert good.warnings == ()
    assert good.probes == ()
    assert any("no trivial models were tried: there are no train rows" in note for note in good.notes)


@pytest.mark.parametrize("where", ["everywhere", "train rows alone"])
def test_a_corner_mark_on_one_class_stands_in_red(where):
    truth = np.arange(200) % 2
    image = noise(200, (30, 30))
    marked = truth == 1
    if where != "everywhere":
        marked[120:] = False
    image[marked, -4:-1, -4:-1] += 3

    found = told(half_right(truth), truth, image, SPLITS)

    split = "test" if where == "everywhere" else "train"
    [warning] = [one for one in found.warnings if "border" in one and "guessed" in one]
    assert f"on the {split} rows): look for markers, masks, collimation" in warning
    assert probed(found, "border", split).value > 0.95
    if split == "train":
        assert probed(found, "border", "test").value < 0.7


def test_a_probe_that_only_remembers_patients_is_not_taken_for_one_that_can_guess():
    generator = np.random.default_rng(0)
    patients = np.arange(200) // 5
    truth = generator.integers(0, 2, 40)[patients]
    image = noise(40, (30, 30))[patients] + 0.1 * noise(200, (30, 30), seed=1)

    found = told(half_right(truth), truth, image, SPLITS, patients=[f"p{one}" for one in patients])

    assert [one for one in found.warnings if "guessed" in one] == []


def test_labels_that_are_present_each_by_itself_are_probed_one_by_one():
    truth = np.stack([np.arange(200) % 2, np.arange(200) // 2 % 2], axis=1).astype(float)
    image = noise(200, (30, 30))
    image[truth[:, 0] == 1, :2] += 1
    image[truth[:, 1] == 1, :, :2] += 1
    truth[::7, 0] = np.nan

    found = told(np.full((200, 2), 0.5), truth, image, SPLITS, exclusive=False)

    assert probed(found, "border").value > 0.95
    assert any("guessed from the border" in warning for warning in found.warnings)


def test_an_evaluation_without_probes_or_on_train_rows_has_none():
    stated, truth = three()
    loaded = fresh(ToldClass(labels=Labels(names=NAMES)))
    splits = ["train", "test"] * 60

    without = evaluate(loaded, dataset_of(stated, truth, NAMES, split=splits), probes=False, resamples=0, device="cpu")
    seen = evaluate(loaded, dataset_of(stated, truth, NAMES, split=splits), split="train", resamples=0, device="cpu")

    assert (without.probes, seen.probes) == ((), ())
    assert "no trivial models were tried: the evaluated rows are train rows" in seen.notes


def test_an_anomaly_model_without_a_known_normal_label_is_not_probed():
    truth = np.arange(200) % 2

    found = told(half_right(truth), truth, noise(200, (12, 12)), SPLITS, model=ToldScore)

    assert found.probes == ()
