"""Bootstrap intervals: they cover what they should, and patients are drawn whole."""

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap

from medplug.evaluation.bootstrap import draws, estimate
from medplug.evaluation.scores import mean


def interval(values, clusters=None, resamples=1000, seed=0):
    clusters = np.arange(len(values)) if clusters is None else clusters
    return estimate(lambda weights: {"mean": mean(values, weights)}, clusters, resamples, seed)["mean"]


def test_the_interval_is_that_of_scipy():
    values = np.random.default_rng(0).exponential(size=80)

    ours = interval(values, resamples=20_000)

    theirs = scipy_bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert ours.value == pytest.approx(values.mean())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)


def test_nineteen_of_twenty_intervals_hold_the_truth():
    generator = np.random.default_rng(2)
    held = 0
    for seed in range(300):
        found = interval(generator.normal(size=60), resamples=300, seed=seed)
        held += found.low <= 0 <= found.high

    assert 0.90 <= held / 300 <= 0.98


def test_rows_that_stand_twice_do_not_make_an_interval_narrower_when_patients_are_drawn():
    values = np.random.default_rng(3).normal(size=50)
    four_times, patient = np.repeat(values, 4), np.repeat(np.arange(50), 4)

    honest, by_row, by_patient = interval(values), interval(four_times), interval(four_times, patient)

    width = honest.high - honest.low
    assert by_row.high - by_row.low == pytest.approx(width / 2, rel=0.15)
    assert by_patient.high - by_patient.low == pytest.approx(width, rel=1e-9)


def test_every_draw_takes_whole_patients_and_as_many_as_there_are():
    patient = np.array([7, 7, 7, 3, 9, 9])

    weights = np.concatenate(list(draws(patient, 50, seed=0)))

    assert weights.shape == (50, 6)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 4] == weights[:, 5]).all()
    assert (weights[:, [0, 3, 4]].sum(axis=1) == 3).all()
    assert len(np.unique(weights, axis=0)) > 5


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    values = np.random.default_rng(4).normal(size=30)

    assert interval(values, seed=1) == interval(values, seed=1)
    assert interval(values, seed=1) != interval(values, seed=2)


def test_one_patient_alone_gives_a_value_without_an_interval():
    found = interval(np.arange(5.0), np.zeros(5, int))

    assert (found.value, found.low, found.high) == (2.0, None, None)


def test_a_statistic_that_most_draws_cannot_have_gets_no_interval_and_one_that_is_no_number_is_left_out():
    def statistics(weights):
        lucky = np.where(np.arange(len(weights)) % 3 == 0, 1.0, np.nan)
        return {"lucky": lucky, "absent": np.full(len(weights), np.nan)}

    found = estimate(statistics, np.arange(9), 300, 0)

    assert list(found) == ["lucky"]
    assert (found["lucky"].low, found["lucky"].high) == (None, None)
