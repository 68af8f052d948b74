"""Abstention: the limit lies where it should, and the accuracy of the most sure rows is what counting gives."""

import numpy as np
import pytest
from told import ToldClass, classified, dataset_of, three

from medplug.errors import CallError
from medplug.evaluation import fit_operating
from medplug.evaluation.coverage import confidences, fit_abstention
from medplug.model import Labels
from medplug.model_folder import fresh
from medplug.operating import abstaining, confidence, operate
from medplug.result import Classification


@pytest.mark.parametrize("coverage", [0.5, 0.9, 0.99])
def test_at_least_the_stated_part_of_the_rows_reaches_the_limit_and_hardly_more(coverage):
    sure = np.random.default_rng(0).uniform(0.5, 1, 500)

    limit = fit_abstention(sure, coverage)

    assert coverage <= (sure >= limit.confidence).mean() < coverage + 1 / 500
    assert not np.isin(limit.confidence, sure)


def test_rows_that_are_equally_sure_are_not_parted():
    assert (np.full(10, 0.7) >= fit_abstention(np.full(10, 0.7), 0.5).confidence).all()


@pytest.mark.parametrize("exclusive", [True, False])
def test_many_rows_are_as_sure_as_service_says_of_one(exclusive):
    stated = np.array([[0.7, 0.2, 0.1], [0.05, 0.9, 0.05]])

    assert confidences(stated, exclusive).tolist() == [confidence(row, exclusive) for row in stated.tolist()]


def test_an_answer_that_is_not_sure_keeps_its_probabilities_alone():
    limit = fit_abstention(np.array([0.6, 0.8, 0.8, 0.8]), 0.75)
    unsure = Classification(probabilities={"a": 0.65, "b": 0.35})

    asked = operate(unsure, None, (), limit)
    forced = operate(
        unsure, None, (), type(limit)(**{**{f: getattr(limit, f) for f in limit.__struct_fields__}, "in_force": True})
    )

    assert (asked.label, asked.abstained) == ("a", None)
    assert (forced.label, forced.positive, forced.abstained) == (None, None, True)
    assert forced.probabilities == unsure.probabilities


def test_a_model_without_a_limit_cannot_abstain():
    with pytest.raises(CallError, match="has no limit to abstain below: fit one"):
        abstaining(fresh(ToldClass(labels=Labels(names=("a", "b")))))


@pytest.mark.parametrize("coverage", [0.0, 1.0, -1.0, float("nan")])
def test_a_coverage_that_is_no_part_is_refused(coverage):
    stated, truth = three(30)
    with pytest.raises(CallError, match="say which part of the images is to be answered"):
        fit_operating(
            fresh(ToldClass(labels=Labels(names=("a", "b", "c")))),
            dataset_of(stated, truth, ("a", "b", "c"), split="val"),
            coverage=coverage,
        )


def test_the_accuracy_of_the_most_sure_rows_is_what_counting_gives():
    stated, truth = three(200, seed=3)

    found = classified(stated, truth, resamples=200)

    order = np.argsort(-stated.max(axis=1), kind="stable")
    right = (stated.argmax(axis=1) == truth)[order]
    for part in (90, 80, 70):
        figure = found.figure(f"accuracy at {part} % coverage")
        assert figure.value == pytest.approx(right[: 2 * part].mean())
        assert figure.low < figure.value < figure.high
    [curve] = [one for one in found.curves if one.kind == "coverage"]
    assert (curve.x[-1], curve.y[-1]) == (1.0, pytest.approx(right.mean()))
    assert found.figure("accuracy at 70 % coverage").value > found.figure("accuracy").value
