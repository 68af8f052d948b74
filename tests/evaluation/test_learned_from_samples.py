"""A small classifier that learns from images alone: it learns what is there, and nothing that is not."""

import numpy as np
import pytest
import torch

from medplug.evaluation import learned_from_samples, scores
from medplug.evaluation.compared_images import UNKNOWN, Images
from medplug.evaluation.learned_from_samples import gained, probabilities

torch.set_num_threads(1)


def halves(count, seed, contrast=0.4):
    """Images [count, 1, 12, 12] of noise, brighter below where the label is 1."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, count)
    pixels = generator.random((count, 1, 12, 12), dtype=np.float32) * 0.5
    pixels[labels == 1, :, 6:] += contrast
    return Images(pixels, labels, tuple(f"row {row}" for row in range(count)), np.arange(count))


def area(learned, asked):
    stated = probabilities(learned, asked, 2, seed=0)[:, 1]
    return float(scores.area(stated, asked.labels == 1, np.ones((1, len(asked))))[0])


def test_it_learns_what_the_images_teach_right_or_wrong():
    learned, asked = halves(200, 0), halves(150, 1)
    wrong = Images(learned.pixels, 1 - learned.labels, learned.names, learned.patients)

    assert area(learned, asked) > 0.95
    assert area(wrong, asked) < 0.05


def test_rows_without_a_label_teach_nothing():
    learned, asked = halves(60, 0), halves(50, 1)
    more = halves(100, 3)
    unknown = Images(more.pixels, np.full(100, UNKNOWN), more.names, more.patients)
    both = Images(
        np.concatenate([learned.pixels, unknown.pixels]),
        np.concatenate([learned.labels, unknown.labels]),
        learned.names + unknown.names,
        np.arange(160),
    )

    one, other = (probabilities(rows, asked, 2, seed=0) for rows in (learned, both))

    assert np.array_equal(one, other)


def test_the_seed_decides_and_torch_is_left_as_it_was():
    learned, asked = halves(32, 0), halves(20, 1)
    before = torch.random.get_rng_state()

    one, same, other = (probabilities(learned, asked, 2, seed=seed) for seed in (1, 1, 2))

    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_every_image_is_changed_before_it_teaches(monkeypatch):
    monkeypatch.setattr(learned_from_samples, "augmented", lambda images, draws: 1 - images)

    assert area(halves(100, 0), halves(60, 1)) < 0.05  # what is bright was learned as dark


def test_three_networks_are_asked_and_no_two_seeds_share_one(monkeypatch):
    learned, asked = halves(40, 0), halves(20, 1)
    seeds = []
    answers = learned_from_samples._answers

    def listening(learned, asked, labels, seed, steps):
        seeds.append(seed)
        return answers(learned, asked, labels, seed, steps)

    monkeypatch.setattr(learned_from_samples, "_answers", listening)
    stated = [probabilities(learned, asked, 2, seed) for seed in (0, 1)]

    assert len(seeds) == len(set(seeds)) == 6
    alone = [answers(learned, asked, 2, seed, 20 * 40 // 64) for seed in seeds[:3]]
    assert np.allclose(stated[0], np.mean(alone, axis=0))


def test_images_that_teach_help_where_few_are_labelled_and_wrong_ones_harm(monkeypatch):
    monkeypatch.setattr(learned_from_samples, "LABELLED", 6)
    monkeypatch.setattr(learned_from_samples, "DRAWS", 2)
    monkeypatch.setattr(learned_from_samples, "_FEW_STEPS", 40)
    real, asked, made = halves(100, 0, 0.05), halves(200, 1, 0.05), halves(400, 2, 0.05)
    wrong = Images(made.pixels, 1 - made.labels, made.names, made.patients)

    helped, harmed = (gained(real, one, asked, 2, seed=0).mean() for one in (made, wrong))
    assert helped > harmed + 0.1
    assert helped > 0 > harmed


def test_few_rows_hold_every_label():
    labels = np.array([0] * 500 + [1] * 3 + [UNKNOWN] * 50)

    rows = learned_from_samples._few(labels, seed=0)

    assert len(rows) == len(set(rows.tolist())) == 100
    assert (labels[rows] == 1).sum() >= 2
    assert (labels[rows] != UNKNOWN).all()


@pytest.mark.parametrize("side", [12, 40, 100])
def test_larger_images_are_reduced_first(side):
    pixels = np.random.default_rng(0).random((8, 1, side, side), dtype=np.float32)
    images = Images(pixels, np.arange(8) % 2, ("",) * 8, np.arange(8))

    stated = probabilities(images, images, 2, seed=0)

    assert stated.shape == (8, 2)
    assert np.allclose(stated.sum(axis=1), 1, atol=1e-5)
