"""Operating points for a promised rate: kept by rows that did not choose them, refused where nothing can be."""

import msgspec
import numpy as np
import pytest
from scipy.stats import binom, binomtest, norm

from medplug.errors import CallError
from medplug.evaluation.operating_points import (
    AIMS,
    Aim,
    aim_of,
    choose,
    effective_rows,
    fewest,
    least_share,
    promised,
    wilson,
    with_intervals,
)
from medplug.evaluation.questions import Question
from medplug.evaluation.youden import cuts, youden
from medplug.model_folder import Abstention, Threshold


def question(scores, positive, clusters=None):
    rows = np.arange(len(scores))
    return Question(
        "ill", np.asarray(scores, float), np.asarray(positive, bool), rows, rows if clusters is None else clusters
    )


def drawn(count, seed, shift=2.0):
    """Scores of as many rows of either kind, normal ones around 0 and the others around `shift`."""
    generator = np.random.default_rng(seed)
    positive = np.arange(2 * count) % 2 == 1
    return question(generator.normal(shift * positive, 1.0), positive)


@pytest.mark.parametrize("rate", [0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("units", [1, 5, 29, 59, 135, 900])
def test_the_least_share_is_the_binomial_tolerance_limit_of_scipy(units, rate):
    k = np.arange(1, units + 1)
    enough = k[binom.cdf(k - 1, units, rate) >= 0.95]

    assert least_share(units, rate) == (pytest.approx(enough[0] / units) if len(enough) else None)
    assert (least_share(units, rate) is None) == (units < fewest(rate))


def test_no_rows_can_promise_nothing():
    assert least_share(0, 0.9) is None
    assert (fewest(0.90), fewest(0.95)) == (29, 59)


@pytest.mark.parametrize("aim", [Aim("specificity", 0.90), Aim("sensitivity", 0.95)])
def test_a_promised_rate_is_kept_by_other_rows_in_95_of_100_draws_and_more(aim):
    kept = 0
    for seed in range(400):
        point = choose(drawn(100, seed), aim)
        truth = norm.cdf(point.value) if aim.kind == "specificity" else norm.sf(point.value, loc=2.0)
        kept += truth >= aim.rate

    assert kept >= 0.95 * 400


def test_the_plain_recipe_keeps_it_in_half_of_them_so_the_test_above_can_fail():
    kept = 0
    for seed in range(400):
        asked = drawn(100, seed)
        values, _, specificity = cuts(asked.scores, asked.positive)
        kept += norm.cdf(values[specificity >= 0.90][0]) >= 0.90

    assert kept < 0.75 * 400


def test_rows_of_one_patient_count_once():
    generator = np.random.default_rng(0)
    patients = np.repeat(np.arange(60), 5)
    positive = patients % 2 == 1
    scores = np.repeat(generator.normal(2.0 * (np.arange(60) % 2)), 5) + generator.normal(0, 0.01, 300)

    apart = choose(question(scores, positive), Aim("specificity", 0.90))
    together = choose(question(scores, positive, patients), Aim("specificity", 0.90))

    assert together.specificity > apart.specificity
    assert together.specificity >= least_share(30, 0.90)
    widths = [low_high[1] - low_high[0] for low_high in (together.specificity_interval, apart.specificity_interval)]
    assert widths[0] > widths[1]


def test_alike_rows_of_a_patient_tell_what_one_row_tells_and_unlike_ones_more():
    generator = np.random.default_rng(1)
    clusters = np.repeat(np.arange(200), 4)
    alike = np.repeat(generator.random(200) < 0.8, 4)
    unlike = generator.random(800) < 0.8

    assert effective_rows(alike, clusters) == pytest.approx(200, rel=0.01)
    assert effective_rows(unlike, clusters) > 600
    assert effective_rows(unlike, np.arange(800)) == 800


def test_where_kinds_are_far_apart_the_threshold_leaves_the_tail_at_no_cost():
    scores = np.concatenate([np.linspace(0, 1, 100), np.linspace(5, 6, 100)])
    positive = np.arange(200) >= 100

    specific, sensitive = (
        choose(question(scores, positive), Aim(kind, 0.90)) for kind in ("specificity", "sensitivity")
    )

    assert (specific.sensitivity, specific.specificity) == (1.0, 1.0)
    assert specific.value == pytest.approx(3.0)
    assert sensitive.value == pytest.approx(3.0)


def test_too_few_rows_promise_nothing_and_the_reason_says_how_many_are_wanted():
    few = drawn(20, 1)

    assert choose(few, Aim("specificity", 0.90)) == (
        "20 validation rows or patients do not have it, and 29 are wanted to promise specificity 0.90"
    )
    assert choose(few, Aim("sensitivity", 0.95)).endswith("have it, and 59 are wanted to promise sensitivity 0.95")


def test_a_point_says_how_it_was_chosen_on_what_and_what_it_reached():
    asked = drawn(200, 4)

    for aim in AIMS:
        point = choose(asked, aim)

        told = asked.scores >= point.value
        assert (point.how, point.split, point.rows) == (aim.how, "val", 400)
        assert point.sensitivity == pytest.approx(told[asked.positive].mean())
        assert point.specificity == pytest.approx((~told)[~asked.positive].mean())
        assert point.sensitivity_interval[0] < point.sensitivity < point.sensitivity_interval[1]
        assert point.specificity_interval == pytest.approx(wilson(round(point.specificity * 200), 200))


@pytest.mark.parametrize(("hits", "rows"), [(0, 7), (7, 7), (3, 10), (480, 500)])
def test_the_interval_is_wilsons(hits, rows):
    expected = binomtest(hits, rows).proportion_ci(method="wilson")

    assert wilson(hits, rows) == pytest.approx((expected.low, expected.high))


def test_a_rate_of_one_has_an_interval_below_one():
    asked = question([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], np.array([0, 0, 1, 1]))

    point = with_intervals(youden(asked.scores, asked.positive, "x"), asked)

    assert point.specificity == 1.0
    assert point.specificity_interval == wilson(1, 1)  # two rows of one patient


@pytest.mark.parametrize(
    ("text", "how"),
    [("youden", "youden"), ("specificity=0.9", "specificity 0.90"), ("sensitivity=0.975", "sensitivity 0.975")],
)
def test_an_aim_is_read_and_said(text, how):
    assert aim_of(text).how == how
    point = Threshold(label="x", value=0.5, how=how, split="val", rows=9, sensitivity=0.8, specificity=0.7)
    assert (
        promised(point)
        == {"youden": (0.8, 0.7), "specificity=0.9": (0.8, 0.9), "sensitivity=0.975": (0.975, 0.7)}[text]
    )


@pytest.mark.parametrize(
    "text", ["specificity", "specificity=", "specificity=1", "specificity=nan", "recall=0.9", "youden=1", ""]
)
def test_what_is_no_aim_is_refused(text):
    with pytest.raises(CallError, match=r"is no aim: write youden, sensitivity=0\.95 or specificity=0\.9"):
        aim_of(text)


@pytest.mark.parametrize("split", ["test", "train"])
def test_a_point_or_a_limit_from_other_rows_than_validation_rows_cannot_be(split):
    with pytest.raises(msgspec.ValidationError, match=f"chosen on {split} rows: only validation rows"):
        msgspec.convert({"label": "x", "value": 0.5, "how": "youden", "split": split, "rows": 9}, Threshold)
    with pytest.raises(msgspec.ValidationError, match=f"chosen on {split} rows: only validation rows"):
        msgspec.convert({"confidence": 0.5, "coverage": 0.9, "split": split, "rows": 9}, Abstention)
