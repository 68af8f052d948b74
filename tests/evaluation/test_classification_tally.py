"""The figures of a classification: by hand, against torchmetrics, and through the whole way of service."""

import dataclasses

import numpy as np
import pytest
import torch
from told import ToldClass, classified, dataset_of, point, three
from torchmetrics.functional import classification as twins

from medplug.evaluation import evaluate
from medplug.model import Labels
from medplug.model_folder import Calibration, fresh


def values(evaluation, name):
    return [figure.value for figure in evaluation.figures if figure.name == name and figure.label is not None]


def test_four_rows_are_counted_as_by_hand():
    stated = [[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]]

    found = classified(stated, [0, 0, 1, 1], ("well", "ill"), patients=["p", "q", "r", "s"])

    assert found.figure("accuracy").value == 0.75
    assert found.figure("balanced accuracy").value == 0.75
    assert found.figure("recall", "ill").value == 0.5
    assert found.figure("precision", "ill").value == 1.0
    assert found.figure("precision", "well").value == pytest.approx(2 / 3)
    assert found.figure("specificity", "ill").value == 1.0
    assert found.figure("AUC", "ill").value == found.figure("macro AUC").value == 0.75
    assert found.figure("majority accuracy").value == 0.5
    assert found.figure("Brier").value == pytest.approx(2 * (0.01 + 0.16 + 0.49 + 0.04) / 4, abs=1e-6)
    assert found.figure("log loss").value == pytest.approx(-np.log([0.9, 0.6, 0.3, 0.8]).mean(), abs=1e-6)
    assert found.confusion == ((2, 0), (1, 1))
    assert found.counts == {"well": 2, "ill": 2}
    [error] = found.worst
    assert (error.source, error.truth, error.answer) == ("row 2", "ill", "well")
    assert error.score == pytest.approx(0.7)
    assert (found.task, found.split, found.rows, found.refused) == ("classification", "test", 4, 0)


def test_the_figures_of_three_labels_are_those_of_torchmetrics():
    stated, truth = three()

    found = classified(stated, truth)

    told, target = torch.tensor(stated), torch.tensor(truth)
    for name, twin, options in (
        ("recall", twins.multiclass_recall, {}),
        ("precision", twins.multiclass_precision, {}),
        ("specificity", twins.multiclass_specificity, {}),
        ("AUC", twins.multiclass_auroc, {}),
    ):
        expected = twin(told, target, num_classes=3, average="none", **options)
        assert values(found, name) == pytest.approx(expected.tolist(), abs=1e-6)
    for name, twin, options in (
        ("accuracy", twins.multiclass_accuracy, {"average": "micro"}),
        ("balanced accuracy", twins.multiclass_accuracy, {"average": "macro"}),
        ("macro AUC", twins.multiclass_auroc, {"average": "macro"}),
        ("ECE", twins.multiclass_calibration_error, {"n_bins": 15}),
    ):
        expected = float(twin(told, target, num_classes=3, **options))
        assert found.figure(name).value == pytest.approx(expected, abs=1e-6)
    assert found.confusion == tuple(map(tuple, twins.multiclass_confusion_matrix(told, target, 3).tolist()))
    assert {(curve.kind, curve.label) for curve in found.curves} == {
        ("roc", "a"),
        ("roc", "b"),
        ("roc", "c"),
        ("calibration", None),
        ("coverage", None),
    }


def test_calibration_and_thresholds_are_applied_as_in_service():
    stated, truth = three(seed=5)
    cold = Calibration(temperature=3.0, split="val", rows=50)

    plain = classified(stated, truth, thresholds=(point("b", 0.4),))
    warm = classified(stated, truth, thresholds=(point("b", 0.4),), calibration=cold)

    reached = stated[:, 1] >= 0.4
    assert plain.figure("sensitivity at threshold", "b").value == pytest.approx(reached[truth == 1].mean())
    assert plain.figure("specificity at threshold", "b").value == pytest.approx((~reached)[truth != 1].mean())
    assert warm.figure("accuracy").value == plain.figure("accuracy").value
    assert warm.figure("log loss").value != pytest.approx(plain.figure("log loss").value, abs=0.01)
    assert warm.figure("sensitivity at threshold", "b").value < plain.figure("sensitivity at threshold", "b").value
    with pytest.raises(KeyError):
        plain.figure("sensitivity at threshold", "a")


def test_the_majority_is_that_of_the_train_rows():
    stated, truth = np.tile([0.2, 0.8], (9, 1)), [0, 0, 0, 1, 0, 1, 1, 0, 1]

    found = classified(stated, truth, ("well", "ill"), split=["train"] * 4 + ["test"] * 5)

    assert found.rows == 5
    assert found.figure("majority accuracy").value == 0.4


def test_a_label_that_no_row_has_has_no_figures_and_is_named():
    stated, truth = three()

    found = classified(stated[truth < 2], truth[truth < 2])

    assert "no row is c: it has no figures" in found.notes
    assert {figure.name for figure in found.figures if figure.label == "c"} <= {"precision", "specificity"}
    assert found.figure("macro AUC").value == pytest.approx(np.mean(values(found, "AUC")))
    assert any("only" in note and "rough" in note for note in classified(stated[:20], truth[:20]).notes)


def test_the_worst_errors_are_the_surest():
    stated, truth = three(400)

    found = classified(stated, truth)

    wrong = np.flatnonzero(stated.argmax(axis=1) != truth)
    surest = wrong[np.argsort(-stated[wrong].max(axis=1))][:12]
    assert [one.source for one in found.worst] == [f"row {row}" for row in surest]


def test_independent_labels_leave_out_what_is_unknown():
    generator = np.random.default_rng(1)
    truth = (generator.random((80, 2)) < 0.4).astype(float)
    stated = np.clip(generator.random((80, 2)) * 0.6 + 0.4 * truth, 0, 1).astype(np.float32)
    truth[::4, 0] = np.nan
    labels = Labels(names=("effusion", "mass"), exclusive=False)
    loaded = dataclasses.replace(fresh(ToldClass(labels=labels)), thresholds=(point("effusion", 0.6),))

    found = evaluate(loaded, dataset_of(stated, truth, labels.names, exclusive=False), device="cpu", resamples=50)

    known = np.isfinite(truth[:, 0])
    ill, reached = truth[known, 0] > 0, stated[known, 0] >= 0.6
    auc = twins.binary_auroc(torch.tensor(stated[known, 0]), torch.tensor(ill).long())
    assert found.figure("AUC", "effusion").value == pytest.approx(float(auc), abs=1e-6)
    assert found.figure("sensitivity", "effusion").value == pytest.approx(reached[ill].mean())
    assert found.figure("specificity", "effusion").value == pytest.approx((~reached)[~ill].mean())
    assert found.figure("precision", "effusion").value == pytest.approx(ill[reached].mean())
    assert found.figure("macro AUC").value == pytest.approx(np.mean(values(found, "AUC")))
    entries = np.where(truth > 0, stated, 1 - stated)[np.isfinite(truth)]
    assert found.figure("log loss").value == pytest.approx(-np.log(entries).mean(), abs=1e-6)
    assert found.counts == {"effusion": int(ill.sum()), "mass": int(truth[:, 1].sum())}
    assert {one.answer for one in found.worst} <= {"effusion", "no effusion", "mass", "no mass"}
    assert "no threshold for mass: errors are counted from 0.5 on" in found.notes
    with pytest.raises(KeyError):
        found.figure("sensitivity", "mass")
