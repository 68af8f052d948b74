"""What stands in red: of two labels that shut each other out, once."""

import numpy as np
from msgspec.structs import replace
from told import classified, point

NAMES = ("ill", "well")


def guesses(rows=200, seed=0, known=0.0):
    """Probabilities of two labels, of which so much is `known`, and the truth."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 2, rows)
    stated = (1 - known) * generator.random(rows) + known * (truth == 0)
    return np.stack([stated, 1 - stated], axis=1), truth


def promising(label, value, sensitivity, specificity):
    return replace(point(label, value), sensitivity=sensitivity, specificity=specificity)


def test_an_area_of_two_labels_is_said_once_and_names_both():
    stated, truth = guesses()

    warnings = classified(stated, truth, NAMES, resamples=200).warnings

    [said] = [one for one in warnings if "cannot be told from chance" in one]
    assert said.startswith("AUC of ill and of well is 0.")


def test_areas_of_three_labels_are_said_each_by_itself():
    generator = np.random.default_rng(1)
    stated = generator.dirichlet([1, 1, 1], 200)

    warnings = classified(stated, generator.integers(0, 3, 200), resamples=200).warnings

    assert [one[:8] for one in warnings if "told from chance" in one] == ["AUC of a", "AUC of b", "AUC of c"]


def test_one_cut_between_two_labels_breaks_its_promises_once():
    stated, truth = guesses(known=0.1)
    points = promising("ill", 0.3, 0.9, 0.8), promising("well", 0.7, 0.8, 0.9)

    warnings = classified(stated, truth, NAMES, thresholds=points, resamples=200).warnings

    said = [one for one in warnings if "was reached on validation rows" in one]
    assert [one.partition(":")[0] for one in said] == ["ill at its threshold (youden, the cut for well too)"] * len(
        said
    )
    assert {one.partition(": ")[2].split()[0] for one in said} <= {"sensitivity", "specificity"}
    assert len(said) == len(set(said)) > 0


def test_two_cuts_between_two_labels_break_their_promises_each_by_itself():
    stated, truth = guesses(known=0.1)
    points = promising("ill", 0.3, 0.9, 0.8), promising("well", 0.5, 0.8, 0.9)

    warnings = classified(stated, truth, NAMES, thresholds=points, resamples=200).warnings

    said = {one.split(" (")[0] for one in warnings if "was reached on validation rows" in one}
    assert said == {"ill at its threshold", "well at its threshold"}


def test_a_sum_below_1_is_said_once_too():
    stated, truth = guesses()
    upside_down = np.where(truth[:, None] == [0, 1], 0.2, 0.8) + 0.1 * (stated - 0.5)
    points = promising("ill", 0.5, None, None), promising("well", 0.5, None, None)

    warnings = classified(upside_down, truth, NAMES, thresholds=points, resamples=200).warnings

    assert [one.partition(":")[0] for one in warnings if "sum to less than 1" in one] == [
        "ill at its threshold, the cut for well too"
    ]
