"""DeLong's test of two areas: against its definition by pairs, and by how often it errs."""

import numpy as np
import pytest
from scipy.stats import norm, rankdata

from medplug.evaluation.delong import delong, placements
from medplug.evaluation.scores import area, midranks


def slow(first, second, positive):
    """DeLong, DeLong and Clarke-Pearson 1988, equations 3 to 6, pair by pair: difference, its variance."""

    def won(x, y):
        return 1.0 if x > y else 0.5 if x == y else 0.0

    areas, tens, ones = [], [], []
    for scores in (first, second):
        above, below = scores[positive], scores[~positive]
        pairs = np.array([[won(x, y) for y in below] for x in above])
        areas.append(pairs.mean())
        tens.append(pairs.mean(axis=1))
        ones.append(pairs.mean(axis=0))
    covariance = np.cov(tens) / len(tens[0]) + np.cov(ones) / len(ones[0])
    contrast = np.array([1, -1])
    return areas[0] - areas[1], contrast @ covariance @ contrast


def two(generator, rows=60, gap=(1.0, 0.5), grades=None):
    """Two scores of the same rows that know something in common; of so many `grades` if ties are asked for."""
    positive = np.arange(rows) % 3 == 0
    shared = generator.normal(size=rows)
    scores = [shared + generator.normal(size=rows) + each * positive for each in gap]
    return *((np.round(one * grades) if grades else one) for one in scores), positive


@pytest.mark.parametrize("grades", [None, 1, 2])
def test_it_is_the_test_of_the_definition_ties_too(grades):
    for seed in range(5):
        first, second, positive = two(np.random.default_rng(seed), grades=grades)

        found = delong(first, second, positive)

        difference, variance = slow(first, second, positive)
        assert found.difference == pytest.approx(difference, abs=1e-12)
        assert found.p == pytest.approx(2 * norm.sf(abs(difference) / np.sqrt(variance)), rel=1e-9)
        half = norm.isf(0.025) * np.sqrt(variance)
        assert (found.low, found.high) == pytest.approx((difference - half, difference + half), abs=1e-12)


def test_the_areas_are_those_of_the_evaluation_and_the_ranks_those_of_scipy():
    first, _, positive = two(np.random.default_rng(0), grades=2)

    of_positive, of_negative = placements(first, positive)

    [expected] = area(first, positive, np.ones((1, len(first))))
    assert of_positive.mean() == pytest.approx(expected)
    assert of_negative.mean() == pytest.approx(expected)
    assert (midranks(first) == rankdata(first)).all()


def test_of_models_that_are_alike_one_in_twenty_is_called_different():
    generator = np.random.default_rng(1)

    called = [delong(*two(generator, rows=150, gap=(0.8, 0.8))).p < 0.05 for _ in range(1000)]

    assert 0.03 <= np.mean(called) <= 0.07


def test_models_change_sides_when_they_are_swapped():
    first, second, positive = two(np.random.default_rng(2))

    one, other = delong(first, second, positive), delong(second, first, positive)

    assert (one.difference, one.low, one.high) == pytest.approx((-other.difference, -other.high, -other.low))
    assert one.p == pytest.approx(other.p)


def test_there_is_no_test_of_too_few_rows_nor_of_the_same_order():
    first, second, positive = two(np.random.default_rng(3))

    assert delong(first, 3 * first + 1, positive) is None
    assert delong(positive * 1.0, positive * 2.0 + 0.1 * (first > 0) * positive, positive) is None
    assert delong(first, second, np.arange(60) == 0) is None
    assert delong(positive * 1.0, np.zeros(60), positive) is None


def test_twenty_thousand_rows_are_tested_at_once():
    first, second, positive = two(np.random.default_rng(4), rows=20_000)

    assert delong(first, second, positive).p < 1e-6
