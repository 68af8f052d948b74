"""Intervals that keep a width where a figure is 0 or 1, against their definitions and by how often they hold."""

from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import binomtest
from told import NAMES, classified, three

from medplug.evaluation.bootstrap import Estimate, estimate
from medplug.evaluation.intervals import of_area, of_mean, of_share, widened
from medplug.evaluation.tally import Share, shares


def perfect(rows=40):
    truth = np.arange(rows) % 2
    return np.where(truth[:, None] == [0, 1], 0.9, 0.1), truth


def test_a_perfect_model_has_intervals_with_a_width():
    found = classified(*perfect(), ("well", "ill"), resamples=200)

    figures = {(one.name, one.label): one for one in found.figures}
    for key in (("accuracy", None), ("balanced accuracy", None), ("macro AUC", None), ("AUC", "ill")):
        assert figures[key].value == figures[key].high == 1.0
        assert 0.7 < figures[key].low < 0.95, key
    for name in ("recall", "precision", "specificity"):
        assert (figures[name, "ill"].low, figures[name, "ill"].high) == pytest.approx((0.839, 1.0), abs=1e-3)
    assert figures["accuracy", None].low == pytest.approx(binomtest(40, 40).proportion_ci(method="wilson").low)
    assert figures["accuracy at 80 % coverage", None].low == pytest.approx(0.893, abs=1e-3)


def test_a_model_that_is_never_right_has_them_too():
    stated, truth = perfect()

    found = classified(stated[:, ::-1], truth, ("well", "ill"), resamples=200)

    for name in ("accuracy", "balanced accuracy", "macro AUC"):
        one = found.figure(name)
        assert (one.value, one.low) == (0.0, 0.0), name
        assert 0.05 < one.high < 0.3, name


def test_without_draws_there_are_no_intervals():
    assert all(one.low is None for one in classified(*perfect(), ("well", "ill"), resamples=0).figures)
    alone = classified(*perfect(), ("well", "ill"), patients=["p"] * 40, resamples=50)
    assert all(one.low is None for one in alone.figures)


def test_many_rows_of_a_patient_who_are_all_right_count_once():
    stated, truth = perfect(200)

    found = classified(stated, truth, ("well", "ill"), patients=np.repeat(np.arange(20), 10).astype(str), resamples=50)

    assert found.figure("accuracy").low == pytest.approx(binomtest(20, 20).proportion_ci(method="wilson").low)


def test_no_interval_of_a_share_is_narrower_for_an_error():
    lows = []
    for errors in range(4):
        stated, truth = perfect()
        stated[:errors] = stated[:errors, ::-1]
        lows.append(classified(stated, truth, ("well", "ill"), resamples=500).figure("accuracy").low)

    assert lows == sorted(lows, reverse=True)


def test_a_figure_of_which_nothing_is_known_has_no_interval_without_a_width():
    found = widened({("Dice", None): Estimate(1.0, 1.0, 1.0), ("IoU", None): Estimate(0.5, 0.5, 0.5)}, {}, np.arange(9))

    assert found["Dice", None] == Estimate(1.0, None, None)
    assert found["IoU", None].low == 0.5


@pytest.mark.parametrize("share", [0.9, 0.97])
def test_intervals_of_shares_hold_the_truth_where_the_bootstrap_does_not(share):
    generator = np.random.default_rng(0)
    held = {"drawn": 0, "widened": 0}
    for seed in range(300):
        hit = generator.random(40) < share
        kinds = {("accuracy", None): Share(hit, np.ones(40, bool))}
        drawn = estimate(lambda weights, kinds=kinds: shares(kinds, weights), np.arange(40), 300, seed)
        for name, one in (("drawn", drawn), ("widened", widened(drawn, kinds, np.arange(40)))):
            held[name] += one["accuracy", None].low <= share <= one["accuracy", None].high

    assert held["widened"] >= 0.93 * 300
    assert held["drawn"] < 0.93 * 300


def test_the_interval_of_an_area_is_that_of_newcombe_s_fifth_method():
    """Newcombe 2006, part 2: |theta - found| = z * se(theta), by a fine grid."""
    for area, m, n in ((1.0, 20, 20), (0.0, 9, 30), (0.81, 25, 60)):
        theta = np.linspace(0, 1, 1_000_001)[1:-1]
        half = (m + n) / 2 - 1
        variance = theta * (1 - theta) * (1 + half * ((1 - theta) / (2 - theta) + theta / (1 + theta))) / (m * n)
        within = theta[np.abs(theta - area) <= NormalDist().inv_cdf(0.975) * np.sqrt(variance)]
        assert of_area(area, m, n) == pytest.approx((within.min(), within.max()), abs=2e-6)


def test_the_interval_of_a_perfect_area_holds_when_the_truth_is_a_little_less():
    """Of scores whose true area is the lower end, a perfect area on the rows is rare."""
    low, _ = of_area(1.0, 30, 30)
    apart = np.sqrt(2) * NormalDist().inv_cdf(low)
    generator = np.random.default_rng(0)
    perfect = np.mean([generator.normal(apart, 1, 30).min() > generator.normal(0, 1, 30).max() for _ in range(2000)])

    assert perfect < 0.05


def test_the_mean_of_shares_of_different_rows_is_surer_than_each():
    ends = of_share(np.ones(20), np.arange(20))

    low, high = of_mean([1.0, 1.0], [ends, ends])

    assert high == 1.0
    assert 1 - low == pytest.approx((1 - ends[0]) / np.sqrt(2))


def test_other_figures_keep_the_intervals_of_the_draws():
    stated, truth = three()

    found = classified(stated, truth, NAMES, resamples=200)

    for name in ("macro AUC", "Brier", "log loss"):
        one = found.figure(name)
        assert one.low < one.value < one.high
    wilson = binomtest(int((stated.argmax(1) == truth).sum()), 120).proportion_ci(method="wilson")
    accuracy = found.figure("accuracy")
    assert accuracy.low <= wilson.low + 1e-9
    assert accuracy.high >= wilson.high - 1e-9
