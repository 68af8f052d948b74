"""Two models on the same rows: the paired interval, the exact test, and what cannot be compared."""

import dataclasses

import msgspec
import numpy as np
import pytest
from scipy.stats import binomtest
from told import NAMES, ToldClass, ToldScore, dataset_of, point, three

import medplug
from medplug.comparison_figures import Comparison
from medplug.errors import CallError
from medplug.evaluation import compare
from medplug.evaluation.comparison import sentence, write
from medplug.evaluation.comparison_rows import mcnemar
from medplug.model import Labels
from medplug.model_folder import fresh
from medplug.writers.html_comparison import comparison_sections

LABELS = Labels(names=NAMES)


class SecondRow(ToldClass):
    """Answers what the second row of pixels says, so that one dataset makes two models differ."""

    def decode(self, output, batch):
        return [
            medplug.Classification(probabilities=dict(zip(self.labels.names, row)), exclusive=self.labels.exclusive)
            for row in output["output"][:, 0, 1].double().tolist()
        ]


def pair(noise, count=300, seed=0, **options):
    """A dataset for `ToldClass`, and for `SecondRow`, whose answers are as good but for `noise`."""
    stated, truth = three(count, seed)
    generator = np.random.default_rng(seed + 100)
    logits = np.log(stated) + noise * generator.normal(size=stated.shape)
    worse = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return dataset_of(list(np.stack([stated, worse], axis=1)), truth, NAMES, **options), stated, worse, truth


def both(dataset, **options):
    return compare(fresh(ToldClass(labels=LABELS)), fresh(SecondRow(labels=LABELS)), dataset, device="cpu", **options)


def test_a_worse_model_is_told_from_a_better_one_and_the_figures_are_theirs():
    dataset, stated, worse, truth = pair(noise=2.0)

    found = both(dataset, resamples=300)

    accuracy = found.difference("accuracy")
    right = stated.argmax(1) == truth, worse.argmax(1) == truth
    assert (accuracy.a, accuracy.b) == pytest.approx([right[0].mean(), right[1].mean()])
    assert accuracy.difference == pytest.approx(accuracy.a - accuracy.b)
    assert accuracy.low < accuracy.difference < accuracy.high
    assert (accuracy.verdict, found.difference("log loss").verdict) == ("a", "a")
    assert found.difference("log loss").difference < 0
    assert found.verdict.startswith("balanced accuracy: A is better by ")
    test = found.mcnemar
    assert (test.only_a, test.only_b) == ((right[0] & ~right[1]).sum(), (~right[0] & right[1]).sum())
    assert "majority accuracy" not in {one.name for one in found.differences}


def test_two_models_change_sides_when_they_are_swapped():
    dataset, *_ = pair(noise=2.0)

    found = both(dataset, resamples=200)
    swapped = compare(fresh(SecondRow(labels=LABELS)), fresh(ToldClass(labels=LABELS)), dataset, resamples=200)

    assert swapped.difference("accuracy").difference == -found.difference("accuracy").difference
    assert swapped.difference("accuracy").verdict == "b"
    assert swapped.verdict.startswith("balanced accuracy: B is better by ")


def test_models_that_are_alike_cannot_be_told_apart():
    dataset, *_ = pair(noise=0.3)

    found = both(dataset, resamples=300)

    assert found.difference("balanced accuracy").verdict is None
    assert "no difference can be told from 300 rows" in found.verdict


def test_models_without_an_error_are_not_surely_the_same():
    truth = np.arange(40) % 3
    stated = np.eye(3)[truth] * 0.9 + 0.03

    found = both(dataset_of(list(np.stack([stated, stated], axis=1)), truth, NAMES), resamples=100)

    accuracy = found.difference("accuracy")
    assert (accuracy.difference, accuracy.verdict) == (0, None)
    assert (accuracy.low, accuracy.high) == pytest.approx((-0.0876, 0.0876), abs=1e-3)
    balanced = found.difference("balanced accuracy")
    assert -0.3 < balanced.low < -accuracy.high < balanced.difference == 0 < balanced.high < 0.3
    assert "no difference can be told" in found.verdict
    area = found.difference("macro AUC")
    assert (area.difference, area.low, area.high) == (0, None, None)


def test_a_perfect_model_is_told_from_one_that_always_says_the_same():
    truth = np.arange(24) % 3
    stated = np.eye(3)[truth] * 0.9 + 0.03
    same = np.tile([0.5, 0.3, 0.2], (24, 1))

    found = both(dataset_of(list(np.stack([stated, same], axis=1)), truth, NAMES), resamples=100)

    balanced = found.difference("balanced accuracy")
    assert balanced.difference == pytest.approx(2 / 3)
    assert 0.2 < balanced.low < balanced.difference < balanced.high <= 1
    assert found.verdict.startswith("balanced accuracy: A is better by 0.667")


def test_a_difference_is_the_same_whichever_model_comes_first():
    truth = np.arange(60) % 3
    good, same = np.eye(3)[truth] * 0.9 + 0.03, np.tile([0.5, 0.3, 0.2], (60, 1))
    rarely = good.copy()
    rarely[(truth == 1) & (np.arange(60) > 3)] = [0.9, 0.05, 0.05]  # it says b once, and is right

    for other in (same, rarely):
        one, swapped = (
            both(dataset_of(list(np.stack(two, axis=1)), truth, NAMES), resamples=100)
            for two in ((good, other), (other, good))
        )
        for ours, theirs in zip(one.differences, swapped.differences, strict=True):
            ends = (None, None) if ours.low is None else (-ours.high, -ours.low)
            assert (theirs.low, theirs.high) == (pytest.approx(ends) if ours.low is not None else ends), ours
            assert {ours.verdict, theirs.verdict} in ({"a", "b"}, {None})

    assert one.difference("precision", "b").high == pytest.approx(0.79, abs=0.01)  # of one row, not of twenty


def test_the_paired_interval_is_narrower_than_the_figures_own_would_say():
    dataset, stated, worse, truth = pair(noise=0.5, count=600)

    found = both(dataset, resamples=400).difference("accuracy")

    spread = [right.std() / np.sqrt(len(truth)) for right in (stated.argmax(1) == truth, worse.argmax(1) == truth)]
    unpaired = 2 * 1.96 * np.hypot(*spread)
    assert found.high - found.low < 0.8 * unpaired


def test_rows_of_one_patient_are_drawn_together():
    dataset, *_ = pair(noise=2.0, count=60)
    many = dataclasses.replace(
        dataset.take(np.repeat(np.arange(60), 5)),
        patients=np.repeat(np.arange(60), 5).astype(str),
        patient_column="who",
    )

    together = both(many, resamples=300)
    apart = both(dataclasses.replace(many, patients=None), resamples=300)

    width = [one.difference("log loss").high - one.difference("log loss").low for one in (together, apart)]
    assert width[0] > 1.7 * width[1]
    assert (together.clustered_by, together.patients) == ("who", 60)
    assert any("McNemar's test counts every row" in note for note in together.notes)


def test_the_rows_where_they_part_are_listed_with_the_truth():
    dataset, stated, worse, truth = pair(noise=2.0)

    first = both(dataset, resamples=0).apart[0]

    rows = np.arange(len(truth))
    row = int(np.abs(stated[rows, truth] - worse[rows, truth]).argmax())
    assert first.source == f"row {row}"
    assert (first.truth, first.answer_a, first.answer_b) == (
        NAMES[truth[row]],
        NAMES[stated[row].argmax()],
        NAMES[worse[row].argmax()],
    )


@pytest.mark.parametrize(("a", "b"), [(0, 0), (5, 5), (14, 3), (0, 9), (600, 480)])
def test_mcnemars_p_is_that_of_the_exact_binomial_test(a, b):
    right_a = np.array([True] * a + [False] * b + [True] * 7)
    right_b = np.array([False] * a + [True] * b + [True] * 7)

    found = mcnemar(right_a, right_b)

    assert (found.only_a, found.only_b) == (a, b)
    assert found.p == pytest.approx(binomtest(a, a + b).pvalue if a + b else 1.0)


def test_labels_in_another_order_are_compared_by_name():
    stated, truth = three(100)
    dataset = dataset_of(list(np.stack([stated, stated[:, ::-1]], axis=1)), truth, NAMES)
    mirrored = fresh(SecondRow(labels=Labels(names=NAMES[::-1])))

    found = compare(fresh(ToldClass(labels=LABELS)), mirrored, dataset, resamples=0)

    assert all(one.difference == pytest.approx(0, abs=1e-6) for one in found.differences)
    assert found.mcnemar.only_a == found.mcnemar.only_b == 0
    assert all(one.answer_a == one.answer_b for one in found.apart)


def test_models_that_share_no_figure_are_refused():
    dataset, *_ = pair(noise=1.0, count=30)
    a = fresh(ToldClass(labels=LABELS))

    with pytest.raises(CallError, match="one model is for classification and the other for anomaly"):
        compare(a, fresh(ToldScore()), dataset)
    with pytest.raises(CallError, match=r"the models know different labels: a, b, c \(one of them\); and x, y"):
        compare(a, fresh(ToldClass(labels=Labels(names=("x", "y")))), dataset)
    with pytest.raises(CallError, match=r"different labels: .*each by itself"):
        compare(a, fresh(ToldClass(labels=Labels(names=NAMES, exclusive=False))), dataset)
    with pytest.raises(CallError, match="no test rows; it has 30 val"):
        both(pair(noise=1.0, count=30, split="val")[0])
    with pytest.raises(CallError, match="does not say what data it was trained on"):
        both(None)


def test_sensitivities_are_compared_at_each_models_own_threshold():
    dataset, stated, worse, truth = pair(noise=1.0)
    a, b = (
        dataclasses.replace(fresh(kind(labels=LABELS)), thresholds=(point("b", value),))
        for kind, value in ((ToldClass, 0.3), (SecondRow, 0.5))
    )

    found = compare(a, b, dataset, resamples=0).difference("sensitivity at threshold", "b")

    assert found.a == pytest.approx((stated[truth == 1, 1] >= 0.3).mean())
    assert found.b == pytest.approx((worse[truth == 1, 1] >= 0.5).mean())
    assert sentence(found, 300).endswith("without an interval nothing can be told")


def test_a_comparison_reads_back_from_its_file(tmp_path):
    found = both(pair(noise=1.0, count=60)[0], resamples=50)

    path = write(found, tmp_path / "out")

    assert msgspec.json.decode(path.read_bytes(), type=Comparison) == found
    assert [file.name for file in path.parent.iterdir()] == ["comparison.json"]


def test_areas_are_tested_by_delong_where_each_row_is_a_patient():
    dataset, *_ = pair(noise=2.0, patients=np.arange(300).astype(str))

    found = both(dataset, resamples=200)

    assert [test.label for test in found.delong] == list(NAMES)
    for test in found.delong:
        drawn = found.difference("AUC", test.label)
        assert test.difference == pytest.approx(drawn.difference)
        assert (test.low, test.high) == pytest.approx((drawn.low, drawn.high), abs=0.02)
        assert test.p < 0.01
    assert not any("DeLong" in note for note in found.notes)


def test_where_patients_have_several_rows_there_is_no_delong_test_and_a_note_says_so():
    dataset, *_ = pair(noise=2.0, patients=[f"p{row // 2}" for row in range(300)])

    found = both(dataset, resamples=50)

    assert found.delong == ()
    assert any(note.startswith("no DeLong test of the areas: some patients have several rows") for note in found.notes)
    assert found.difference("AUC", "a").low is not None


def test_of_two_exclusive_labels_the_area_is_tested_once():
    stated, truth = three(100)
    two_labels = np.stack([stated[:, 0], 1 - stated[:, 0]], axis=1)
    other = np.clip(two_labels + np.random.default_rng(0).normal(0, 0.2, 100)[:, None] * [1, -1], 0, 1)
    labels = Labels(names=("ill", "well"))
    dataset = dataset_of(list(np.stack([two_labels, other], axis=1)), (truth > 0).astype(int), labels.names)

    found = compare(fresh(ToldClass(labels=labels)), fresh(SecondRow(labels=labels)), dataset, resamples=50)

    assert [test.label for test in found.delong] == ["ill"]
    [section] = [one for one in comparison_sections(found) if "same rows" in one.title]
    assert "Area under the curve of ill: A − B is " in section.body
    assert f"by DeLong's test, p {found.delong[0].p:.3g}." in str(section.body)
