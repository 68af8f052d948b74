"""The figures of scores, numbers and masks, counted by hand, through the whole way of service."""

import dataclasses

import numpy as np
import pytest
from small_models import Above, Brightness
from told import ToldScore, ToldValue, dataset_of, image_of, point

from medplug.case import Case
from medplug.errors import CallError
from medplug.evaluation import evaluate
from medplug.model import NO_LABELS, InputContract, Labels
from medplug.model_folder import Card, PluginReference, TrainingRecord, fresh
from medplug.operating import ANOMALOUS


def anomaly_model(normal, thresholds=()):
    record = TrainingRecord(
        data_sha256="abc",
        rows={"train": 10},
        seed=0,
        steps=1,
        batch_size=1,
        best_step=1,
        stopped="",
        device="cpu",
        precision="float32",
        versions={},
        normal=normal,
    )
    loaded = fresh(ToldScore())
    plugin = PluginReference(name="told-score", distribution="x", distribution_version="1", model_version="1")
    card = Card(
        plugin=plugin,
        task="anomaly",
        options={},
        labels=NO_LABELS,
        contract=InputContract(),
        preprocessing={},
        plan_id="",
        weights_sha256="",
        golden_sha256="",
        training=record,
    )
    return dataclasses.replace(loaded, card=card, thresholds=thresholds)


def test_an_anomaly_score_is_compared_with_what_is_not_normal():
    scores = np.array([0.1, 0.2, 0.7, 0.6, 0.9, 0.3]).reshape(6, 1)
    dataset = dataset_of(scores, [0, 0, 0, 1, 2, 2], ("healthy", "old", "new"))

    found = evaluate(anomaly_model("healthy", (point(ANOMALOUS, 0.5),)), dataset, device="cpu", resamples=50)

    assert found.figure("AUROC").value == pytest.approx(7 / 9)
    assert found.figure("AUROC", "old").value == pytest.approx(2 / 3)
    assert found.figure("AUROC", "new").value == pytest.approx(5 / 6)
    assert found.figure("sensitivity").value == pytest.approx(2 / 3)
    assert found.figure("specificity").value == pytest.approx(2 / 3)
    assert found.figure("precision").value == pytest.approx(2 / 3)
    assert [(one.source, one.truth, one.answer) for one in found.worst] == [
        ("row 2", "healthy", "anomalous"),
        ("row 5", "new", "normal"),
    ]
    assert [curve.kind for curve in found.curves] == ["roc"]


def test_an_anomaly_model_that_knows_no_normal_rows_has_nothing_to_compare():
    dataset = dataset_of(np.ones((12, 1)), np.zeros(12, int), ("healthy",))

    found = evaluate(fresh(ToldScore()), dataset, device="cpu", resamples=5)

    assert found.figures == ()
    assert any("no label is known to be normal" in note for note in found.notes)


def test_regressions_are_measured_in_their_own_unit():
    told = [[1.0, 10.0], [2.0, 20.0], [4.0, 30.0]]
    truth = np.array([[1.0, 12.0], [3.0, 20.0], [2.0, np.nan]])
    labels = Labels(names=("age", "dose"), exclusive=False)

    found = evaluate(
        fresh(ToldValue(labels=labels)),
        dataset_of(told, truth, labels.names, exclusive=False),
        device="cpu",
        resamples=50,
    )

    assert found.figure("MAE", "age").value == pytest.approx(1.0)
    assert found.figure("RMSE", "age").value == pytest.approx(np.sqrt(5 / 3))
    assert found.figure("R2", "age").value == pytest.approx(1 - 5 / 2)
    assert found.figure("MAE", "dose").value == pytest.approx(1.0)
    assert (found.worst[0].source, found.worst[0].truth, found.worst[0].answer) == ("row 2", "age 2", "4")


def test_a_models_own_value_is_compared_with_the_column_of_its_name():
    bright = image_of(np.full((10, 10), 240.0))
    dataset = dataset_of(np.zeros((1, 1)), np.array([[0.75]]), ("brightness",), exclusive=False)
    [case] = dataset.cases
    dataset = dataclasses.replace(dataset, cases=(Case(case.reference, {"image": bright}),))

    found = evaluate(Brightness(), dataset, device="cpu", resamples=0)

    assert found.figure("MAE", "brightness").value == pytest.approx(0.25)
    with pytest.raises(CallError, match="the regression gives no age; it gives brightness"):
        evaluate(Brightness(), dataset_of([[0.0]], [[1.0]], ("age",), exclusive=False), device="cpu")


def test_masks_are_compared_on_the_source_grid():
    pixels = np.zeros((20, 30))
    pixels[5:15, 10:20] = 600
    shifted = np.zeros((20, 30))
    shifted[5:15, 15:25] = 1
    spaced = [dataclasses.replace(image_of(pixels), spacing=(1.0, 1.0)) for _ in range(3)]
    dataset = dataset_of([[0.0]] * 3, [-1, -1, -1], ("bone",), masks=[pixels > 0, shifted, None])
    cases = tuple(Case(c.reference, {"image": image}, mask=c.mask) for c, image in zip(dataset.cases, spaced))

    found = evaluate(Above(), dataclasses.replace(dataset, cases=cases), device="cpu", resamples=20)

    assert found.rows == 2
    assert found.figure("Dice", "bone").value == pytest.approx((1 + 0.5) / 2)
    assert found.figure("IoU", "bone").value == pytest.approx((1 + 50 / 150) / 2)
    assert found.figure("Dice").value == found.figure("Dice", "bone").value
    assert [one.source for one in found.worst] == ["row 1"]
    assert "1 rows without a known truth are left out" in found.notes


def test_a_row_without_a_label_is_no_anomaly():
    """Such as images of a table that names no labels: nothing is known of them, so nothing is told."""
    scores = np.full((3, 2, 2), 0.9)
    dataset = dataset_of(scores, np.array([-1, 0, 1]), ("healthy", "ill"))
    loaded = anomaly_model("healthy", (point(ANOMALOUS, 0.5),))

    found = evaluate(loaded, dataset, device="cpu", resamples=0)

    assert (found.rows, found.counts) == (2, {"healthy": 1, "ill": 1})
    assert found.figure("precision").value == 0.5
    assert "1 rows without a known truth are left out" in found.notes
    with pytest.raises(CallError, match="nothing is known of any row"):
        evaluate(loaded, dataset.take([0]), device="cpu", resamples=0)
