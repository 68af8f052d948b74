"""Calibration slope and intercept: against a slow twin, by what is known of the probabilities, and by coverage."""

import numpy as np
import pytest
from scipy.optimize import minimize
from told import classified

from medplug.evaluation import scores
from medplug.evaluation.calibration import BY_CHANCE, INTERCEPT, SLOPE, calibration, error_by_chance, log_odds, logistic
from medplug.evaluation.questions import Question


def asked(probabilities, positive, clusters=None):
    rows = np.arange(len(positive))
    return Question("ill", probabilities, positive, rows, rows if clusters is None else clusters)


def told(odds):
    return 1 / (1 + np.exp(-odds))


def drawn(generator, rows=400, slope=1.0, intercept=0.0, patients=None):
    """Stated probabilities of which the truth is `intercept + slope *` their log-odds; rows of a patient are alike."""
    each = np.arange(rows) if patients is None else generator.integers(0, patients, rows)
    odds = generator.normal(size=rows if patients is None else patients)[each]
    luck = generator.random(rows if patients is None else patients)[each]
    return asked(told(odds), luck < told(intercept + slope * odds), each)


def both(question, intervals=True):
    found = calibration([question], intervals)
    return found[SLOPE, "ill"], found[INTERCEPT, "ill"]


def test_they_are_those_of_a_slow_search():
    question = drawn(np.random.default_rng(0), slope=0.5, intercept=-0.7)
    stated, sign = log_odds(question.scores), np.where(question.positive, 1, -1)

    def loss(place, slope=None):
        odds = place[0] + (place[1] if slope is None else slope) * stated
        return np.log1p(np.exp(-sign * odds)).sum()

    slope, intercept = both(question)

    assert slope.value == pytest.approx(minimize(loss, [0, 1], tol=1e-12).x[1], abs=1e-5)
    assert intercept.value == pytest.approx(minimize(loss, [0], args=(1.0,), tol=1e-12).x[0], abs=1e-5)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, 0.0), (2.0, 0.0), (1.0, 1.0)])
def test_they_say_what_is_wrong_with_probabilities(slope, intercept):
    found = both(drawn(np.random.default_rng(1), 20_000, slope, intercept))

    assert found[0].low < slope < found[0].high
    assert found[0].value == pytest.approx(slope, abs=0.1)
    if slope == 1.0:
        assert found[1].value == pytest.approx(intercept, abs=0.1)


@pytest.mark.parametrize("patients", [None, 120])
def test_nineteen_of_twenty_intervals_hold_the_truth_patients_drawn_whole(patients):
    generator = np.random.default_rng(2)
    held = np.zeros(2)
    for _ in range(300):
        found = both(drawn(generator, 360 if patients else 120, patients=patients))
        held += [one.low <= right <= one.high for one, right in zip(found, (1, 0))]

    assert (held / 300 >= 0.91).all(), held
    assert (held / 300 <= 0.985).all(), held


def test_rows_that_stand_four_times_say_no_more_than_once():
    once = drawn(np.random.default_rng(3))
    four = asked(np.repeat(once.scores, 4), np.repeat(once.positive, 4), np.repeat(np.arange(400), 4))

    for one, other in zip(both(once), both(four)):
        assert (one.low, one.high) == pytest.approx((other.low, other.high))


def test_there_is_no_slope_of_rows_that_are_parted_and_nothing_of_few():
    parted = asked(np.linspace(0.1, 0.9, 40), np.arange(40) >= 20)
    same = asked(np.full(40, 0.5), np.arange(40) % 2 == 0)
    few = asked(np.linspace(0.1, 0.9, 40), np.arange(40) % 10 == 0)

    for question in (parted, same):
        assert set(calibration([question], True)) == {(BY_CHANCE, "ill"), (INTERCEPT, "ill")}
        assert calibration([question], True)[INTERCEPT, "ill"].value == pytest.approx(0, abs=1e-6)
    assert set(calibration([few], True)) == {(BY_CHANCE, "ill")}


@pytest.mark.parametrize("apart", [2.0**-54, 2.0**-26, 1e-12])
def test_answers_that_are_the_same_but_for_rounding_have_no_slope_and_do_no_harm(apart):
    generator = np.random.default_rng(6)
    question = asked(0.3 + apart * generator.integers(0, 3, 200), generator.random(200) < 0.4)

    assert set(calibration([question], True)) == {(BY_CHANCE, "ill"), (INTERCEPT, "ill")}


@pytest.mark.parametrize("odds", [-12.0, 0.0, 12.0])
def test_a_slope_is_found_however_near_the_answers_lie(odds):
    question = drawn(np.random.default_rng(7))
    near = asked(told(odds + 3e-6 * log_odds(question.scores)), question.positive)

    for one, other in zip(*((slope.value, slope.low, slope.high) for slope, _ in map(both, (question, near)))):
        assert other == pytest.approx(one / 3e-6, rel=1e-3)


def test_probabilities_of_0_and_1_and_one_patient_alone_do_no_harm():
    generator = np.random.default_rng(4)
    question = drawn(generator, 100)
    sure = asked(np.where(np.arange(100) < 5, np.arange(100) % 2 * 1.0, question.scores), question.positive)

    assert all(np.isfinite([one.value, one.low, one.high]).all() for one in both(sure))
    alone = both(asked(question.scores, question.positive, np.zeros(100, np.int64)))
    assert [(one.low, one.high) for one in alone] == [(None, None)] * 2
    assert both(question, intervals=False)[0].low is None


def test_an_offset_that_is_far_off_is_still_climbed():
    positive = np.arange(100) < 99

    place, _ = logistic(np.ones((100, 1)), positive, np.full(100, -16.0), np.arange(100))

    assert place[0] == pytest.approx(16 + np.log(99))


def test_probabilities_that_are_right_have_the_calibration_error_that_they_have_by_chance():
    generator = np.random.default_rng(5)
    found = []
    for _ in range(200):
        stated = generator.beta(2, 1, 150)
        by_chance = error_by_chance(stated, True, seed=1)
        [error] = scores.calibration_error(stated, generator.random(150) < stated, np.ones((1, 150)))
        found.append((error, by_chance.value, by_chance.low <= error <= by_chance.high))
    errors, expected, held = np.array(found).T

    assert errors.mean() == pytest.approx(expected.mean(), rel=0.05)
    assert 0.9 < held.mean() < 0.99


def test_the_calibration_error_by_chance_falls_with_the_rows_and_a_wrong_probability_exceeds_it():
    stated = np.random.default_rng(6).beta(2, 1, 20_000)

    few, many = (error_by_chance(stated[:count], True, seed=0) for count in (100, 20_000))
    [wrong] = scores.calibration_error(
        stated, np.random.default_rng(7).random(20_000) < stated**2, np.ones((1, 20_000))
    )

    assert few.value > 5 * many.value
    assert wrong > many.high
    assert error_by_chance(stated, False, seed=0).low is None


def test_of_exclusive_labels_the_error_by_chance_is_that_of_the_answer():
    stated = np.random.default_rng(8).dirichlet([2, 1, 1], 60)
    truth = stated.argmax(axis=1)
    questions = [asked(stated[:, one], truth == one) for one in range(3)]

    together, each = calibration(questions, True, exclusive=True), calibration(questions, True)

    assert together[BY_CHANCE, None] == error_by_chance(stated.max(axis=1), True, seed=0)
    assert (BY_CHANCE, "ill") not in together
    assert (BY_CHANCE, None) not in each


def test_an_evaluation_has_both_with_intervals_for_each_label():
    generator = np.random.default_rng(5)
    odds = generator.normal(size=300)
    truth = (generator.random(300) < told(0.5 * odds)).astype(int)  # stated too extremely
    stated = np.stack([told(-odds), told(odds)], axis=1)

    found = classified(stated, truth, ("well", "ill"), resamples=50)

    slope = found.figure(SLOPE, "ill")
    assert 0.2 < slope.low < slope.value < slope.high < 1
    assert found.figure(SLOPE, "well").value == pytest.approx(slope.value, abs=1e-4)
    assert found.figure(INTERCEPT, "well").value == pytest.approx(-found.figure(INTERCEPT, "ill").value, abs=1e-4)
    assert {one.label for one in found.figures if one.name == SLOPE} == {"well", "ill"}
