"""Figures over seeds, folds and patients."""

import numpy as np
import pytest

from medplug.bench.models.figures import bounds, lower_is_better, of_pca
from medplug.bench.models.summary import Scored, paired_by_seed, summarise, summary, values

ROWS = np.arange(200)


def scored(seed, answers, fold=0, rows=ROWS, **whole):
    """A trial whose one figure is the mean of `answers`."""
    return Scored(
        seed, fold, rows, lambda weights: {"mean": weights @ answers / np.maximum(weights.sum(axis=1), 1)}, whole
    )


def answers(seed, size=200):
    return np.random.default_rng(seed).normal(size=size)


def test_the_mean_is_that_of_the_seeds_over_their_folds():
    halves = ROWS[:150], ROWS[150:]
    trials = [scored(seed, answers(seed)[half], fold, half) for seed in (0, 1) for fold, half in enumerate(halves)]

    [found] = summarise(trials, values(trials, ROWS, ROWS, 50))

    by_fold = np.array([[answers(seed)[half].mean() for half in halves] for seed in (0, 1)])
    assert found.value == pytest.approx(by_fold.mean())
    assert [one.value for one in found.seeds] == pytest.approx(by_fold.mean(axis=1))
    assert found.sd_seeds == pytest.approx(by_fold.mean(axis=1).std(ddof=1))
    assert found.sd_folds == pytest.approx(by_fold.std(axis=1, ddof=1).mean())


def test_the_interval_of_one_seed_is_that_of_the_patients():
    trials = [scored(0, answers(0))]
    few = np.arange(200) // 10 * 0 + np.repeat(np.arange(20), 10)  # patients with ten rows each

    [alone] = summarise(trials, values(trials, ROWS, ROWS, 2000))
    [clustered] = summarise(
        [scored(0, np.repeat(answers(0, 20), 10))], values([scored(0, np.repeat(answers(0, 20), 10))], ROWS, few, 2000)
    )

    half = 1.96 * answers(0).std() / np.sqrt(200)
    assert (alone.low, alone.high) == pytest.approx((alone.value - half, alone.value + half), abs=0.02)
    assert alone.covers == "patients"
    assert clustered.high - clustered.low > 2.5 * (alone.high - alone.low)


def test_seeds_that_differ_widen_the_interval_by_as_much_as_they_differ():
    shifts = (-0.3, 0.0, 0.3)
    trials = [scored(seed, answers(0) + shift) for seed, shift in enumerate(shifts)]

    [found] = summarise(trials, values(trials, ROWS, ROWS, 4000))

    variance = answers(0).var() / 200 + np.var(shifts, ddof=1) / 3  # of the patients, and of the mean of three seeds
    assert found.covers == "patients and seeds"
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(np.sqrt(variance), rel=0.12)


def test_differences_are_paired_by_patient():
    one, other = [scored(0, answers(0) + 0.01)], [scored(0, answers(0))]
    first, second = (values(each, ROWS, ROWS, 500) for each in (one, other))

    found = summary("difference", [0], first["mean"] - second["mean"])

    assert (found.value, found.low, found.high) == pytest.approx((0.01, 0.01, 0.01))


def test_rows_that_one_seed_refused_leave_the_draws_paired():
    kept = ROWS[5:]
    one, other = [scored(0, answers(0)[5:], rows=kept)], [scored(0, answers(0))]

    apart = values(one, ROWS, ROWS, 500)["mean"] - values(other, ROWS, ROWS, 500)["mean"]

    assert apart.std() < 0.2 * answers(0).std() / np.sqrt(200) * 3


def test_a_figure_not_made_of_rows_has_students_interval_over_the_seeds():
    trials = [
        Scored(seed, 0, ROWS[:0], lambda weights: {}, {"distance": value}) for seed, value in enumerate((2, 3, 4))
    ]

    [found] = summarise(trials, values(trials, ROWS, ROWS, 20))

    assert (found.value, found.low, found.high) == pytest.approx((3, 3 - 4.303 / np.sqrt(3), 3 + 4.303 / np.sqrt(3)))
    assert found.covers == "seeds"


def test_an_interval_that_draws_push_upwards_still_holds_the_figure():
    gap = lambda weights: {"gap": np.abs(weights @ (answers(3) - answers(3).mean()) / 200)}  # noqa: E731
    trials = [Scored(0, 0, ROWS, gap, {})]

    [found] = summarise(trials, values(trials, ROWS, ROWS, 500), lambda name: (0, np.inf))

    assert found.value == pytest.approx(0, abs=1e-12)
    assert found.low == 0
    assert found.high > 0.02


def test_a_generators_own_baseline_is_paired_with_it_by_seed():
    def trial(seed):
        whole = {
            "Frechet ratio (radiomics)": 5.0 + seed,
            "Frechet ratio (radiomics, PCA generator)": 17.0 + seed,
            "AUC of a classifier of generated images": 0.9,
            "AUC of a classifier of PCA images": 0.95,
        }
        return Scored(seed, 0, ROWS[:0], lambda weights: {}, whole)

    trials = [trial(seed) for seed in range(3)]
    figures = summarise(trials, values(trials, ROWS, ROWS, 20))

    baseline, margins = paired_by_seed(figures, "PCA generator", of_pca)

    assert {one.figure: one.value for one in baseline.figures} == {
        "Frechet ratio (radiomics)": 18.0,
        "AUC of a classifier of generated images": pytest.approx(0.95),
    }
    found = {one.figure: (one.value, one.low, one.high) for one in margins}
    assert found["Frechet ratio (radiomics) above PCA generator"] == pytest.approx((-12, -12, -12))
    assert found["AUC of a classifier of generated images above PCA generator"] == pytest.approx((-0.05,) * 3)
    assert lower_is_better("Frechet ratio (radiomics)")
    assert not lower_is_better("recall (radiomics)")


def test_few_seeds_have_students_quantiles_and_not_smaller_ones():
    numbers = np.arange(12.0).reshape(12, 1, 1)

    found = summary("x", range(12), numbers)

    half = 2.201 * numbers.std(ddof=1) / np.sqrt(12)  # the 97.5 % quantile for 11 degrees of freedom
    assert (found.low, found.high) == pytest.approx((5.5 - half, 5.5 + half))


def test_a_baseline_that_one_seed_lacks_is_compared_by_the_others():
    trials = [scored(seed, answers(seed), **{"AUC": 0.9 + seed / 100}) for seed in (0, 1, 2)]
    for trial in trials[1:]:
        trial.whole["AUC (PCA)"] = 0.5  # type: ignore[index]

    _, [margin] = paired_by_seed(summarise(trials, {}), "PCA", lambda name: f"{name} (PCA)")

    assert [one.seed for one in margin.seeds] == [1, 2]
    assert margin.value == pytest.approx(0.415)


def test_no_interval_leaves_what_a_figure_can_be():
    whole = [
        {"recall (pixels)": 0.9, "Frechet ratio (pixels)": 2.0, "accuracy gained at 100 labels": 0.1, "ECE": 0.01},
        {"recall (pixels)": 0.99, "Frechet ratio (pixels)": 9.0, "accuracy gained at 100 labels": -0.1, "ECE": 0.2},
    ]
    trials = [Scored(seed, 0, ROWS, lambda weights: {}, one) for seed, one in enumerate(whole)]

    found = {one.figure: (one.low, one.high) for one in summarise(trials, {}, bounds)}

    assert found["recall (pixels)"] == (pytest.approx(0.945 - 12.706 * 0.045), 1)
    assert found["Frechet ratio (pixels)"] == (0, pytest.approx(5.5 + 12.706 * 3.5))
    assert found["accuracy gained at 100 labels"] == (-1, 1)
    assert found["ECE"] == (0, 1)
    assert bounds("pointing hit above the map mirrored") == (-1, 1)
