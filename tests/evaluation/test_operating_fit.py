"""Temperatures and operating points: the right ones, from the right rows, with their provenance."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from told import ToldClass, ToldScore, dataset_of

from medplug.errors import CallError
from medplug.evaluation.operating_fit import fit_operating, fit_temperature, logits, tempered
from medplug.evaluation.operating_points import Aim
from medplug.evaluation.youden import youden
from medplug.model import Labels
from medplug.model_folder import Calibration, fresh
from medplug.operating import ANOMALOUS, abstaining, operate
from medplug.result import Classification
from medplug.session import Session

NAMES = ("normal", "pneumonia", "tuberculosis")


def overconfident(count, temperature, seed=0, classes=3):
    """Probabilities `temperature` times too sharp, and labels drawn from the honest ones."""
    generator = np.random.default_rng(seed)
    honest = generator.normal(0, 2, (count, classes))
    shares = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    truth = (shares.cumsum(axis=1) < generator.random((count, 1))).sum(axis=1)
    sharp = np.exp(honest * temperature - (honest * temperature).max(axis=1, keepdims=True))
    return sharp / sharp.sum(axis=1, keepdims=True), truth


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_known_temperature_is_recovered(temperature):
    stated, truth = overconfident(20_000, temperature)

    found = fit_temperature(logits(stated, True), np.eye(3)[truth], True)

    assert found == pytest.approx(temperature, rel=0.05)


def test_the_temperature_is_the_one_that_scipy_finds():
    stated, truth = overconfident(300, 2.0, seed=4)

    def loss(log_temperature):
        powers = stated ** (1 / np.exp(log_temperature))
        return -np.log(powers[np.arange(300), truth] / powers.sum(axis=1)).mean()

    expected = np.exp(minimize_scalar(loss, bounds=(-2, 2), method="bounded", options={"xatol": 1e-8}).x)

    assert fit_temperature(logits(stated, True), np.eye(3)[truth], True) == pytest.approx(expected, rel=1e-4)


def test_labels_that_do_not_shut_each_other_out_share_a_temperature_and_ignore_what_is_unknown():
    generator = np.random.default_rng(1)
    honest = generator.normal(0, 2, (20_000, 2))
    present = (generator.random(honest.shape) < 1 / (1 + np.exp(-honest))).astype(float)
    present[::3, 0] = np.nan

    found = fit_temperature(logits(1 / (1 + np.exp(-2 * honest)), False), present, False)

    assert found == pytest.approx(2.0, rel=0.05)


def test_rows_that_are_all_answered_rightly_give_no_temperature():
    stated = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])

    assert fit_temperature(logits(stated, True), np.eye(2)[[0, 1, 0]], True) is None
    assert fit_temperature(logits(stated, True), np.eye(2)[[0, 0, 0]], True) is None


@pytest.mark.parametrize("exclusive", [True, False])
def test_many_rows_are_tempered_as_service_tempers_one(exclusive):
    stated = np.array([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0], [1e-12, 0.5, 0.5 - 1e-12]])

    together = tempered(stated, 1.7, exclusive)

    for row, expected in zip(stated, together, strict=True):
        raw = Classification(probabilities=dict(zip(NAMES, row.tolist())), exclusive=exclusive)
        one = operate(raw, Calibration(temperature=1.7, split="val", rows=3), ())
        assert list(one.probabilities.values()) == pytest.approx(expected, rel=1e-9, abs=1e-20)


def test_youden_is_the_best_of_all_thresholds():
    generator = np.random.default_rng(2)
    for _ in range(30):
        scores = generator.integers(0, 12, 40) / 12
        positive = generator.random(40) < 0.2 + 0.6 * scores

        point = youden(scores, positive, "x")

        best = max(
            (scores[positive] >= t).mean() + (scores[~positive] < t).mean() for t in [*np.unique(scores), np.inf]
        )
        assert best > 1
        told = scores >= point.value
        assert point.sensitivity + point.specificity == pytest.approx(best)
        assert point.sensitivity == pytest.approx(told[positive].mean())
        assert point.specificity == pytest.approx((~told)[~positive].mean())


def test_a_threshold_stands_midway_between_the_two_kinds():
    point = youden(np.array([0.1, 0.2, 0.6, 0.9]), np.array([False, False, True, True]), "x")

    assert point.value == pytest.approx(0.4)
    assert (point.how, point.split, point.rows) == ("youden", "val", 4)


def test_scores_without_a_number_between_them_are_still_told_apart():
    low = 0.3
    point = youden(np.array([low, np.nextafter(low, 1)]), np.array([False, True]), "x")

    assert point.value == np.nextafter(low, 1)


def test_scores_that_are_no_better_than_chance_give_no_threshold():
    upside_down = np.array([0.9, 0.8, 0.2, 0.1])

    assert youden(upside_down, np.array([False, False, True, True]), "x") is None
    assert youden(np.ones(4), np.array([False, False, True, True]), "x") is None
    assert youden(upside_down, np.zeros(4, bool), "x") is None


def test_a_temperature_at_the_end_of_the_range_is_none():
    nearly_even = np.array([[0.501, 0.499], [0.499, 0.501], [0.501, 0.499]] * 20)
    present = np.eye(2)[[0, 1, 1] + [0, 1, 0] * 19]

    assert fit_temperature(logits(nearly_even, True), present, True) is None


def test_a_model_is_calibrated_and_given_thresholds_that_service_applies():
    stated, truth = overconfident(2000, 2.5, seed=7)
    loaded = fresh(ToldClass(labels=Labels(names=NAMES)))
    validation = dataset_of(stated, truth, NAMES, split="val")

    fitted = fit_operating(loaded, validation, "cpu")

    assert fitted.calibration.temperature == pytest.approx(2.5, rel=0.1)
    assert (fitted.calibration.split, fitted.calibration.rows) == ("val", 2000)
    assert [one.label for one in fitted.thresholds] == list(NAMES)
    answers = [one.prediction for one in Session(fitted, "cpu").run(list(validation.cases))]
    for index, point in enumerate(fitted.thresholds):
        told = np.array([point.label in answer.positive for answer in answers])
        assert told[truth == index].mean() == pytest.approx(point.sensitivity)
        assert (~told)[truth != index].mean() == pytest.approx(point.specificity)
        assert (point.how, point.split, point.rows) == ("youden", "val", 2000)


def test_what_was_fitted_before_does_not_leak_into_the_new_fit():
    stated, truth = overconfident(500, 2.0)
    validation = dataset_of(stated, truth, NAMES, split="val")
    once = fit_operating(fresh(ToldClass(labels=Labels(names=NAMES))), validation, "cpu")

    twice = fit_operating(once, validation, "cpu")

    assert twice.calibration == once.calibration
    assert twice.thresholds == once.thresholds


@pytest.mark.parametrize("split", ["test", "train", ["val"] * 19 + ["test"]])
def test_rows_that_are_not_for_validation_are_refused(split):
    stated, truth = overconfident(20, 2.0)

    with pytest.raises(CallError, match="validation rows only"):
        fit_operating(fresh(ToldClass(labels=Labels(names=NAMES))), dataset_of(stated, truth, NAMES, split=split))


def test_too_few_rows_or_one_kind_of_rows_give_nothing_and_a_reason():
    stated, truth = overconfident(60, 2.0)
    loaded = fresh(ToldClass(labels=Labels(names=NAMES)))
    said = []

    few = fit_operating(loaded, dataset_of(stated[:9], truth[:9], NAMES, split="val"), "cpu", say=said.append)
    one_kind = fit_operating(loaded, dataset_of(stated, 0 * truth, NAMES, split="val"), "cpu", say=said.append)

    assert few.calibration is None
    assert few.thresholds == one_kind.thresholds == ()
    assert one_kind.calibration is None
    assert said[0] == "no operating points: 9 validation rows, and 10 are wanted"
    assert [line.partition(":")[0] for line in said[1:]] == [
        "no calibration",
        *(f"no operating point for {name}" for name in NAMES),
    ]


def test_an_anomaly_is_what_lies_above_the_best_threshold_between_normal_and_other_rows():
    generator = np.random.default_rng(3)
    truth = np.array([0] * 50 + [1] * 30)
    scores = np.where(truth > 0, generator.normal(3, 1, 80), generator.normal(0, 1, 80)).reshape(80, 1)
    validation = dataset_of(scores, truth, ("healthy", "sick"), split="val")

    fitted = fit_operating(fresh(ToldScore()), validation, "cpu", normal="healthy")

    [point] = fitted.thresholds
    assert (point.label, point.how, point.rows) == (ANOMALOUS, "youden", 80)
    answers = [one.prediction.anomalous for one in Session(fitted, "cpu").run(list(validation.cases))]
    assert np.mean(answers[50:]) == pytest.approx(point.sensitivity)
    assert 1 - np.mean(answers[:50]) == pytest.approx(point.specificity)


def test_without_anomalous_validation_rows_the_threshold_is_a_percentile_of_the_normal_ones():
    scores = np.arange(101.0).reshape(101, 1)
    validation = dataset_of(scores, np.zeros(101, int), ("healthy", "sick"), split="val")

    [named] = fit_operating(fresh(ToldScore()), validation, "cpu", normal="healthy").thresholds
    [unnamed] = fit_operating(fresh(ToldScore()), validation, "cpu").thresholds

    assert (named.value, named.how) == (95.0, "95th percentile of healthy rows")
    assert (unnamed.value, unnamed.how) == (95.0, "95th percentile of all rows")
    assert named.sensitivity is None


def test_a_score_that_finds_nothing_gives_no_threshold_and_a_reason():
    truth = np.array([0] * 10 + [1] * 10)
    scores = np.where(truth > 0, 0.0, 1.0)
    said = []

    anomaly = dataset_of(scores.reshape(20, 1), truth, ("healthy", "sick"), split="val")
    fitted = fit_operating(fresh(ToldScore()), anomaly, "cpu", normal="healthy", say=said.append)

    assert fitted.thresholds == ()
    assert said == ["no operating point: the score does not tell what is not healthy from healthy rows"]


def test_anomalous_rows_alone_give_no_threshold():
    validation = dataset_of(np.ones((12, 1)), np.ones(12, int), ("healthy", "sick"), split="val")
    said = []

    fitted = fit_operating(fresh(ToldScore()), validation, "cpu", normal="healthy", say=said.append)

    assert fitted.thresholds == ()
    assert said == [
        "no operating point: 0 validation rows are healthy and 12 are not; wanted are 5 of either kind, "
        "or 10 that are healthy"
    ]


@pytest.mark.parametrize(("few", "fitted"), [(1, 0), (4, 0), (5, 2)])
def test_a_threshold_wants_five_rows_of_either_kind(few, fitted):
    truth = np.array([1] * few + [0] * (100 - few))
    stated = np.where(truth[:, None] == np.arange(2), 0.9, 0.1)
    said = []

    found = fit_operating(
        fresh(ToldClass(labels=Labels(names=("well", "ill")))),
        dataset_of(stated, truth, ("well", "ill"), split="val"),
        "cpu",
        say=said.append,
    )

    assert len(found.thresholds) == fitted
    wanted = f"no operating point for ill: {few} validation rows have it and {100 - few} do not; wanted are 10 rows"
    assert any(line.startswith(wanted) for line in said) == (not fitted)


def test_a_handful_of_anomalous_rows_leaves_the_percentile_of_the_normal_ones():
    scores = np.append(np.arange(101.0), [500.0, 600.0]).reshape(103, 1)
    truth = np.array([0] * 101 + [1] * 2)
    validation = dataset_of(scores, truth, ("healthy", "sick"), split="val")
    said = []

    [point] = fit_operating(fresh(ToldScore()), validation, "cpu", normal="healthy", say=said.append).thresholds

    assert (point.value, point.how, point.rows) == (95.0, "95th percentile of healthy rows", 101)
    assert point.sensitivity is None
    assert said == ["2 validation rows are not healthy, too few to choose a threshold by: healthy rows alone do"]


def test_every_aim_is_stored_and_the_one_that_is_asked_for_is_in_force():
    stated, truth = overconfident(2000, 2.0, seed=5)
    loaded, validation = fresh(ToldClass(labels=Labels(names=NAMES))), dataset_of(stated, truth, NAMES, split="val")

    fitted = fit_operating(loaded, validation, "cpu", aim=Aim("specificity", 0.8), coverage=0.9)

    assert {one.how for one in fitted.operating_points} == {
        *("youden", "sensitivity 0.95", "sensitivity 0.90", "specificity 0.95", "specificity 0.90", "specificity 0.80")
    }
    assert [(one.label, one.how) for one in fitted.thresholds] == [(name, "specificity 0.80") for name in NAMES]
    assert set(fitted.thresholds) <= set(fitted.operating_points)
    limit = fitted.abstention
    assert (limit.coverage, limit.rows, limit.split, limit.in_force) == (0.9, 2000, "val", False)
    answers = [one.prediction for one in Session(abstaining(fitted), "cpu").run(list(validation.cases))]
    assert np.mean([answer.abstained for answer in answers]) == pytest.approx(0.1)
    for answer in answers:
        assert (answer.label is None) == (answer.positive is None) == answer.abstained
        assert (max(answer.probabilities.values()) < limit.confidence) == answer.abstained


def test_where_the_aim_cannot_be_kept_youdens_point_is_in_force_and_it_is_said_why():
    stated, truth = overconfident(60, 2.0, seed=1)
    said = []

    fitted = fit_operating(
        fresh(ToldClass(labels=Labels(names=NAMES))),
        dataset_of(stated, truth, NAMES, split="val"),
        "cpu",
        aim=Aim("specificity", 0.99),
        say=said.append,
    )

    assert {one.how for one in fitted.thresholds} == {"youden"}
    assert all("299 are wanted to promise specificity 0.99" in line for line in said)


def test_an_anomaly_has_points_of_every_aim_and_of_specificity_where_only_normal_rows_are_known():
    generator = np.random.default_rng(3)
    truth = np.arange(400) % 2
    scores = generator.normal(2.0 * truth, 1.0).reshape(-1, 1)

    both = fit_operating(
        fresh(ToldScore()), dataset_of(scores, truth, ("well", "ill"), split="val"), "cpu", normal="well"
    )
    normal = fit_operating(
        fresh(ToldScore()),
        dataset_of(scores[::2], truth[::2], ("well", "ill"), split="val"),
        "cpu",
        normal="well",
        aim=Aim("specificity", 0.9),
    )

    assert len(both.operating_points) == 5
    assert [one.how for one in both.thresholds] == ["youden"]
    assert [one.how for one in normal.operating_points] == [
        "95th percentile of well rows",
        "specificity 0.95",
        "specificity 0.90",
    ]
    [forced] = normal.thresholds
    assert forced.how == "specificity 0.90"
    assert 0.90 < forced.specificity < 0.97
