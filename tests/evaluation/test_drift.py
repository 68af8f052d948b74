"""What operating points do on rows that did not choose them, what their answers are worth, and what stands in red."""

import dataclasses

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace as with_fields
from told import ToldClass, classified, dataset_of, point, three

from medplug.errors import CallError
from medplug.evaluation import evaluate, fit_operating, write
from medplug.figures import Evaluation
from medplug.model import Labels
from medplug.model_folder import fresh
from medplug.session import Session

TWO = ("well", "ill")


def two(count=400, seed=0, apart=2.0, shift=0.0):
    """Probabilities of well and ill, and which rows are ill; `shift` moves all scores up, as another scanner may."""
    generator = np.random.default_rng(seed)
    ill = np.arange(count) % 2
    score = 1 / (1 + np.exp(-(generator.normal(apart * (ill - 0.5), 1.0, count) + shift)))
    return np.stack([1 - score, score], axis=1), ill


def fitted(stated, truth, names=TWO):
    return fit_operating(
        fresh(ToldClass(labels=Labels(names=names))), dataset_of(stated, truth, names, split="val"), "cpu"
    )


def measured(loaded, stated, truth, names=TWO, **options):
    return evaluate(Session(loaded, "cpu"), dataset_of(stated, truth, names), resamples=200, **options)


def test_on_rows_like_those_that_chose_them_points_hold_and_nothing_is_red():
    loaded = fitted(*two(2000, seed=1))

    found = measured(loaded, *two(seed=2))

    assert found.warnings == ()
    assert {(one.label, one.how) for one in found.drift} == {
        (label, how)
        for label in TWO
        for how in ("youden", "sensitivity 0.95", "sensitivity 0.90", "specificity 0.95", "specificity 0.90")
    }
    assert [one.label for one in found.drift if one.in_force] == list(TWO)
    for one in found.drift:
        assert one.broken == ()
        assert one.specificity.low < one.specificity.value < one.specificity.high
    [ill] = [one for one in found.drift if one.label == "ill" and one.how == "specificity 0.90"]
    assert ill.promised_specificity == 0.90
    assert ill.specificity.value >= 0.88


def test_scores_that_have_moved_break_the_promise_in_red():
    loaded = fitted(*two(2000, seed=1))

    found = measured(loaded, *two(seed=2, shift=1.0))

    [ill] = [one for one in found.drift if one.label == "ill" and one.in_force]
    assert ill.broken == ("specificity",)
    assert ill.promised_specificity - ill.specificity.value > 0.10
    assert any(
        line.startswith("ill at its threshold (youden): specificity") and "was reached" in line
        for line in found.warnings
    )


def test_rates_and_predictive_values_are_those_that_counting_gives():
    stated, truth = two(300, seed=3, apart=1.5)
    loaded = dataclasses.replace(fresh(ToldClass(labels=Labels(names=TWO))), thresholds=(point("ill", 0.6),))

    found = measured(loaded, stated, truth)

    told, ill = stated[:, 1] >= 0.6, truth == 1
    [one] = found.drift
    assert one.sensitivity.value == pytest.approx(told[ill].mean())
    assert one.specificity.value == pytest.approx((~told)[~ill].mean())
    own, *others = found.predictive
    assert (own.sample, own.prevalence) == (True, pytest.approx(0.5))
    assert own.positive.value == pytest.approx(ill[told].mean())
    assert own.negative.value == pytest.approx((~ill)[~told].mean())
    assert [value.prevalence for value in others] == [0.01, 0.05, 0.10, 0.20, 0.50]
    rare = others[1]
    sensitivity, specificity = told[ill].mean(), (~told)[~ill].mean()
    bayes = sensitivity * 0.05 / (sensitivity * 0.05 + (1 - specificity) * 0.95)
    assert rare.positive.value == pytest.approx(bayes)
    assert rare.positive.low < bayes < rare.positive.high


def test_predictive_values_of_rows_that_all_agree_are_not_certain():
    stated, truth = two(60, seed=7, apart=12.0)
    loaded = dataclasses.replace(fresh(ToldClass(labels=Labels(names=TWO))), thresholds=(point("ill", 0.5),))

    found = measured(loaded, stated, truth, prevalence={"ill": 0.03})

    [one], [worth] = found.drift, found.predictive
    assert (one.sensitivity.value, one.specificity.value) == (1.0, 1.0)
    assert (worth.positive.value, worth.negative.value) == (1.0, 1.0)
    ill, well = 0.03 * one.sensitivity.low, 0.97 * one.specificity.low
    assert worth.positive.low == pytest.approx(ill / (ill + (1 - one.specificity.low) * 0.97))
    assert worth.positive.low < 0.4
    assert worth.negative.low == pytest.approx(well / (well + (1 - one.sensitivity.low) * 0.03))
    assert (worth.positive.high, worth.negative.high) == (1.0, 1.0)

    wrong = measured(loaded, stated[:, ::-1], truth, prevalence={"ill": 0.03})

    [one], [worth] = wrong.drift, wrong.predictive
    assert (worth.positive.value, worth.positive.low) == (0.0, 0.0)
    ill = 0.03 * one.sensitivity.high
    assert worth.positive.high == pytest.approx(ill / (ill + (1 - one.specificity.high) * 0.97))


def test_a_named_prevalence_stands_alone_and_a_wrong_one_is_refused():
    stated, truth = two(100)
    loaded = dataclasses.replace(fresh(ToldClass(labels=Labels(names=TWO))), thresholds=(point("ill", 0.5),))

    found = measured(loaded, stated, truth, prevalence={"ill": 0.03})

    assert [(value.label, value.prevalence, value.sample) for value in found.predictive] == [("ill", 0.03, False)]
    with pytest.raises(CallError, match="no threshold is in force for 'well'"):
        measured(loaded, stated, truth, prevalence={"well": 0.1})
    with pytest.raises(CallError, match="a prevalence of 3 for ill: want a fraction"):
        measured(loaded, stated, truth, prevalence={"ill": 3.0})


def test_unknown_entries_of_independent_labels_do_not_count():
    stated, truth = two(200, seed=5)
    present = np.stack([1.0 - truth, truth.astype(float)], axis=1)
    present[::3, 1] = np.nan
    names = Labels(names=TWO, exclusive=False)
    loaded = dataclasses.replace(fresh(ToldClass(labels=names)), thresholds=(point("ill", 0.5),))

    found = evaluate(Session(loaded, "cpu"), dataset_of(stated, present, TWO, exclusive=False), resamples=50)

    known = np.isfinite(present[:, 1])
    told = stated[known, 1] >= 0.5
    assert found.drift[0].sensitivity.value == pytest.approx(told[present[known, 1] > 0].mean())


def test_a_label_that_is_known_of_no_row_has_no_predictive_values_and_the_file_reads_back(tmp_path):
    stated, truth = two(60)
    present = np.stack([np.full(60, np.nan), truth], axis=1)
    loaded = fresh(ToldClass(labels=Labels(names=TWO, exclusive=False)))
    loaded = dataclasses.replace(loaded, thresholds=(point("well", 0.5), point("ill", 0.5)))

    found = evaluate(Session(loaded, "cpu"), dataset_of(stated, present, TWO, exclusive=False), resamples=50)

    assert {one.label for one in found.predictive} == {"ill"}
    assert [one.sensitivity is None for one in found.drift] == [True, False]
    assert msgspec.json.decode(write(found, tmp_path).read_bytes(), type=Evaluation) == found


def test_a_classifier_with_shuffled_labels_stands_in_red():
    stated, truth = three(300, seed=1)

    honest = classified(stated, truth, resamples=200)
    shuffled = classified(stated, np.random.default_rng(0).permutation(truth), resamples=200)

    assert honest.warnings == ()
    assert sum("cannot be told from chance" in line for line in shuffled.warnings) == 3
    rare = np.where(np.arange(300) % 10 == 0, truth, 0)
    assert any(
        "always giving the most frequent label" in line for line in classified(stated, rare, resamples=0).warnings
    )


def test_a_classifier_that_gives_one_answer_stands_in_red():
    stated, truth = three(60, seed=1)
    always = np.tile([0.2, 0.5, 0.3], (60, 1))

    said = classified(always, truth, resamples=0).warnings

    assert any("every row is answered" in line and "tells nothing apart" in line for line in said)
    assert not any("every row" in line for line in classified(stated, truth, resamples=0).warnings)
    assert not any("every row" in line for line in classified(always, np.ones_like(truth), resamples=0).warnings)


def test_labels_that_are_upside_down_stand_in_red():
    stated, truth = two()

    found = classified(stated, 1 - truth, TWO, resamples=200)

    assert any("worse than chance. The scores or the labels are upside down" in line for line in found.warnings)


def test_an_inverted_threshold_stands_in_red():
    stated, truth = two(seed=1)

    found = measured(fitted(stated, truth), stated[:, ::-1], truth)  # p where 1 - p was meant

    lines = [line for line in found.warnings if "The threshold is upside down" in line]
    assert [line.partition(":")[0] for line in lines] == [f"{TWO[0]} at its threshold, the cut for {TWO[1]} too"]


def test_a_threshold_on_the_wrong_side_breaks_its_promise():
    loaded = fitted(*two(seed=1, apart=4.0))
    [ill] = [one for one in loaded.thresholds if one.label == "ill"]
    wrong = with_fields(ill, value=0.999)

    found = measured(dataclasses.replace(loaded, thresholds=(wrong,)), *two(seed=2, apart=4.0))

    assert any(line.startswith("ill at its threshold (youden): sensitivity") for line in found.warnings)


def test_rows_that_are_all_right_have_an_interval_below_one():
    stated, truth = two(60, apart=30.0)
    loaded = dataclasses.replace(fresh(ToldClass(labels=Labels(names=TWO))), thresholds=(point("ill", 0.5),))

    [one] = measured(loaded, stated, truth).drift

    assert one.sensitivity.value == one.sensitivity.high == 1.0
    assert 0.85 < one.sensitivity.low < 0.95


def test_rates_of_one_on_few_rows_do_not_make_an_answer_certain():
    """Of 40 rows without it none is called ill: a specificity of 0.92 often shows so too."""
    stated = np.repeat([[0.9, 0.1], [0.1, 0.9]], 40, axis=0)
    truth = np.repeat([0, 1], 40)
    loaded = dataclasses.replace(fresh(ToldClass(labels=Labels(names=TWO))), thresholds=(point("ill", 0.5),))

    found = measured(loaded, stated, truth)

    [rare] = [one for one in found.predictive if one.prevalence == 0.05]
    [drift] = [one for one in found.drift if one.label == "ill"]
    assert rare.positive.value == 1
    assert rare.positive.high == 1
    low = 0.05 * drift.sensitivity.low / (0.05 * drift.sensitivity.low + 0.95 * (1 - drift.specificity.low))
    assert rare.positive.low == pytest.approx(low)
    assert rare.positive.low < 0.4
    assert rare.negative.value == 1
    assert 0.99 < rare.negative.low < 1


def test_what_few_validation_rows_happened_to_reach_is_no_promise():
    """Of 15 rows all were below the threshold, as happens where 0.8 of all are. Of 300 rows it does not happen."""
    few = with_fields(point("ill", 0.5), specificity=1.0, specificity_interval=(0.796, 1.0))
    stated, truth = np.repeat([[0.9, 0.1], [0.1, 0.9], [0.1, 0.9]], [120, 30, 150], axis=0), np.repeat([0, 1], 150)
    loaded = dataclasses.replace(fresh(ToldClass(labels=Labels(names=TWO))), thresholds=(few,))
    assert not any("does not hold" in warning for warning in measured(loaded, stated, truth).warnings)

    many = with_fields(few, specificity_interval=(0.987, 1.0))
    loaded = dataclasses.replace(loaded, thresholds=(many,))
    assert any("does not hold" in warning for warning in measured(loaded, stated, truth).warnings)


def test_few_rows_do_not_say_that_a_threshold_is_upside_down():
    loaded = dataclasses.replace(fresh(ToldClass(labels=Labels(names=TWO))), thresholds=(point("ill", 0.5),))
    truth = np.repeat([0, 1], 10)
    for right, words in ((4, "sum to less than 1, no better than chance"), (0, "The threshold is upside down")):
        ill = truth.copy()
        ill[right:10], ill[10 + right :] = 1, 0
        stated = np.stack([0.9 - 0.8 * ill, 0.1 + 0.8 * ill], axis=1)
        assert any(words in warning for warning in measured(loaded, stated, truth).warnings)
