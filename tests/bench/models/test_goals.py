"""Goals: a claim needs the interval, not the point."""

import pytest
from bench.models.parts import measured

from medplug.bench.models.goals import CPU_MINUTES, GOALS, Goal, judge, read, verdict
from medplug.bench.models.report import Summary
from medplug.bench.models.sets import KNOWN
from medplug.errors import CallError


def figure(low, high, name="AUC"):
    return Summary(figure=name, value=(low + high) / 2, low=low, high=high)


@pytest.mark.parametrize(
    ("low", "high", "lower", "wanted"),
    [
        (0.91, 0.95, False, "reached"),
        (0.90, 0.95, False, "reached"),
        (0.89, 0.95, False, "not decided"),
        (0.80, 0.90, False, "not decided"),
        (0.80, 0.899, False, "missed"),
        (0.80, 0.89, True, "reached"),
        (0.80, 0.91, True, "not decided"),
        (0.91, 0.95, True, "missed"),
    ],
)
def test_the_ends_of_the_interval_decide(low, high, lower, wanted):
    assert verdict(figure(low, high), 0.9, lower) == wanted


def test_what_was_not_measured_or_has_no_interval_claims_nothing():
    assert verdict(None, 0.9) == "not measured"
    assert verdict(Summary(figure="AUC", value=0.99), 0.9) == "not decided"


def test_a_run_is_judged_by_the_goals_of_its_data_and_plugin_and_margins_count():
    run = measured(figures=(figure(0.94, 0.96, "AUROC"),), margins=(figure(0.0, 0.2, "AUROC above PCA-16"),))
    goals = [
        Goal(dataset="mine", plugin="sides", figure="AUROC", value=0.9, quick=0.95),
        Goal(dataset="mine", plugin="sides", figure="AUROC above PCA-16", value=0.1),
        Goal(dataset="mine", plugin="sides", figure=CPU_MINUTES, value=1, lower=True),
        Goal(dataset="mine", plugin="other", figure="AUROC", value=0.9),
        Goal(dataset="theirs", plugin="sides", figure="AUROC", value=0.9),
    ]

    judged = judge(run, goals)

    assert [one.verdict for one in judged] == ["reached", "not decided", "missed"]
    assert [one.beaten for one in judged] == ["not decided", None, None]


def test_the_projects_goals_are_for_sets_that_are_known_and_stand_once():
    assert {goal.dataset for goal in GOALS} == set(KNOWN)
    assert len({(goal.dataset, goal.plugin, goal.figure) for goal in GOALS}) == len(GOALS)


@pytest.mark.parametrize("text", ['{"a": 1}', '[{"dataset": "x"}]', "\xff"])
def test_a_file_that_holds_no_goals_is_refused(tmp_path, text):
    (tmp_path / "goals.json").write_bytes(text.encode("latin-1"))

    with pytest.raises(CallError, match="holds no goals"):
        read(tmp_path / "goals.json")
    with pytest.raises(CallError, match="cannot be read"):
        read(tmp_path / "none.json")
