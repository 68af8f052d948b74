"""Scores under weights, against torchmetrics, scipy, and rows that are written out as often as they weigh."""

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu
from torchmetrics.functional.classification import (
    binary_auroc,
    binary_calibration_error,
    binary_roc,
    multiclass_calibration_error,
)
from torchmetrics.functional.regression import r2_score

from medplug.evaluation import scores

ONES = np.ones((1, 200))


def rows(seed, count=200, levels=None):
    """Scores, with ties where `levels` says so, and which rows are positive."""
    generator = np.random.default_rng(seed)
    positive = generator.random(count) < 0.3
    drawn = np.clip(generator.random(count) * 0.7 + 0.3 * positive, 0, 1)
    return (drawn if levels is None else np.round(drawn * levels) / levels), positive


@pytest.mark.parametrize("levels", [None, 20, 3, 1])
def test_the_area_is_that_of_torchmetrics_and_of_the_rank_test(levels):
    stated, positive = rows(0, levels=levels)

    [area] = scores.area(stated, positive, ONES)

    assert area == pytest.approx(float(binary_auroc(torch.tensor(stated), torch.tensor(positive).long())), abs=1e-6)
    won = mannwhitneyu(stated[positive], stated[~positive]).statistic
    assert area == pytest.approx(won / (positive.sum() * (~positive).sum()))


def test_a_weight_counts_as_so_many_rows():
    stated, positive = rows(1, levels=15)
    generator = np.random.default_rng(2)
    weights = generator.integers(0, 4, (5, 200)).astype(float)
    value, other = generator.normal(size=200), generator.normal(size=200)

    def written_out(score, draw, *columns):
        repeated = [np.repeat(column, weights[draw].astype(int)) for column in columns]
        return score(*repeated, np.ones((1, len(repeated[0]))))[0]

    for score, columns in (
        (scores.area, (stated, positive)),
        (scores.share, (positive, stated > 0.4)),
        (scores.mean, (value,)),
        (scores.calibration_error, (stated, positive)),
        (scores.explained, (value, other)),
    ):
        together = score(*columns, weights)
        assert together == pytest.approx([written_out(score, draw, *columns) for draw in range(5)])


def test_the_calibration_error_is_that_of_torchmetrics():
    stated, positive = rows(3)
    [error] = scores.calibration_error(stated, positive, ONES)
    logits = np.random.default_rng(4).normal(size=(200, 4)) * 2
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.random.default_rng(5).integers(0, 4, 200)

    [of_labels] = scores.calibration_error(shares.max(axis=1), shares.argmax(axis=1) == truth, ONES)

    # torchmetrics calls the lower side sure of "no"; only where every row says "yes" do both mean the same.
    high = stated > 0.5
    [sure] = scores.calibration_error(stated[high], positive[high], ONES[:, high])
    twin = binary_calibration_error(torch.tensor(stated[high]), torch.tensor(positive[high]).long(), n_bins=15)
    assert sure == pytest.approx(float(twin), abs=1e-6)
    assert 0 < error < 1
    twin = multiclass_calibration_error(torch.tensor(shares), torch.tensor(truth), num_classes=4, n_bins=15)
    assert of_labels == pytest.approx(float(twin), abs=1e-6)


def test_the_coefficient_of_determination_is_that_of_torchmetrics():
    generator = np.random.default_rng(6)
    truth = generator.normal(size=200)
    told = truth + generator.normal(size=200)

    [found] = scores.explained(truth, told, ONES)

    assert found == pytest.approx(float(r2_score(torch.tensor(told), torch.tensor(truth))), abs=1e-6)


def test_what_cannot_be_had_is_not_a_number():
    stated, _ = rows(7)
    nobody, everybody = np.zeros(200, bool), np.ones(200, bool)

    assert np.isnan(scores.area(stated, nobody, ONES)).all()
    assert np.isnan(scores.area(stated, everybody, ONES)).all()
    assert np.isnan(scores.area(stated[:0], everybody[:0], ONES[:, :0])).all()
    assert np.isnan(scores.share(everybody, nobody, ONES)).all()
    assert np.isnan(scores.mean(np.full(200, np.nan), ONES)).all()
    assert np.isnan(scores.explained(np.ones(200), stated, ONES)).all()


@pytest.mark.parametrize("levels", [None, 5])
def test_the_roc_curve_has_the_corners_of_torchmetrics_and_the_same_area(levels):
    stated, positive = rows(8, levels=levels)

    x, y = scores.roc_curve(stated, positive)

    fall_out, sensitivity, _ = binary_roc(torch.tensor(stated), torch.tensor(positive).long())
    corners = {(round(a, 5), round(b, 5)) for a, b in zip(fall_out.tolist(), sensitivity.tolist(), strict=True)}
    assert {(round(a, 5), round(b, 5)) for a, b in zip(x.tolist(), y.tolist(), strict=True)} <= corners
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(y, x) == pytest.approx(scores.area(stated, positive, ONES)[0])


def test_a_long_roc_curve_is_thinned_and_keeps_its_ends():
    stated, positive = rows(9, count=20_000)

    x, y = scores.roc_curve(stated, positive, points=100)

    assert 90 <= len(x) <= 100
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(y, x) == pytest.approx(scores.area(stated, positive, np.ones((1, 20_000)))[0], abs=0.01)


def test_the_calibration_curve_is_what_was_stated_against_what_was_seen():
    stated = np.array([0.05, 0.05, 0.55, 0.57, 1.0])
    right = np.array([False, True, True, True, True])

    x, y = scores.calibration_curve(stated, right)

    assert x == pytest.approx([0.05, 0.56, 1.0])
    assert y == pytest.approx([0.5, 1.0, 1.0])
