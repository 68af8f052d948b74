"""Reports: what stands in red, the drift of operating points, predictive values, a comparison, a model card."""

import numpy as np
from msgspec.structs import replace
from writers.pages import Page
from writers.test_reports import EVALUATION

from medplug.comparison_figures import Apart, Comparison, Difference, McNemar
from medplug.model import Constraint, InputContract, Labels
from medplug.model_folder import Abstention, Card, Metric, PluginReference, Threshold, TrainingRecord
from medplug.operating_figures import Drift, Predictive, Rate
from medplug.sources import from_array
from medplug.writers.html_card import card_section
from medplug.writers.html_page import write_page
from medplug.writers.model_card import markdown
from medplug.writers.reports import comparison_report, evaluation_report

BROKEN = Drift(
    label="left",
    how="specificity 0.90",
    value=0.4321,
    in_force=True,
    promised_sensitivity=0.95,
    promised_specificity=0.90,
    sensitivity=Rate(value=0.97, low=0.94, high=0.99),
    specificity=Rate(value=0.63, low=0.57, high=0.69),
)


def test_warnings_stand_in_red_above_the_figures(tmp_path):
    page = Page(evaluation_report(replace(EVALUATION, warnings=("The <threshold> does not hold",)), tmp_path))

    assert page.source.count('class="alarm"') == 1
    assert page.text.index("The <threshold> does not hold") < page.text.index("accuracy 0.910")
    assert 'class="alarm"' not in Page(evaluation_report(EVALUATION, tmp_path / "other")).source


def test_what_a_point_promised_stands_beside_what_it_did(tmp_path):
    held = replace(BROKEN, label="right", in_force=False, specificity=Rate(value=0.88, low=0.84, high=0.92))

    page = Page(evaluation_report(replace(EVALUATION, drift=(BROKEN, held)), tmp_path))

    assert "left specificity 0.90 (in force) 0.4321 95.0 % 97.0 % (94.0\u201399.0) +2.0" in page.text
    assert "90.0 % 63.0 % (57.0\u201369.0) -27.0" in page.text
    assert "90.0 % 88.0 % (84.0\u201392.0) -2.0" in page.text
    assert page.source.count("broken") == page.source.count("td.broken") + 1


def test_predictive_values_say_for_which_prevalence(tmp_path):
    values = (
        Predictive(label="left", prevalence=0.375, sample=True, positive=Rate(value=0.9), negative=None),
        Predictive(label="left", prevalence=0.05, positive=Rate(value=0.25, low=0.2, high=0.3)),
    )

    page = Page(evaluation_report(replace(EVALUATION, predictive=values), tmp_path))

    assert "left 37.5 % (these rows) 90.0 %" in page.text
    assert "left 5 % 25.0 % (20.0\u201330.0)" in page.text


def test_a_comparison_shows_every_difference_and_the_rows_where_the_models_part(tmp_path):
    made = Comparison(
        task="classification",
        split="test",
        rows=624,
        data_sha256="ab" * 32,
        a="models/one",
        b="models/two",
        model_a=None,
        model_b=None,
        differences=(
            Difference(
                name="accuracy", label=None, a=0.95, b=0.94, difference=0.01, low=0.002, high=0.018, verdict="a"
            ),
            Difference(name="AUC", label="left", a=0.9, b=0.9, difference=0.0),
        ),
        resamples=1000,
        verdict="accuracy: A is better by 0.010 (0.002 to 0.018) on 624 rows",
        mcnemar=McNemar(only_a=12, only_b=5, p=0.1435),
        apart=(Apart(source="1.png", truth="left", answer_a="left", score_a=0.9, answer_b="right", score_b=0.8),),
        warnings=("model A was trained on 3 of these 624 rows",),
    )

    page = Page(comparison_report(made, tmp_path, [from_array(np.full((9, 9), 50, np.uint8), name="1.png")]))

    assert "accuracy: A is better by 0.010 (0.002 to 0.018) on 624 rows." in page.text
    assert "accuracy 0.950 0.940 +0.010 +0.002 to +0.018" in page.text
    assert "AUC left 0.900 0.900 +0.000" in page.text
    assert "12 rows are right by A alone and 5 by B alone: McNemar's exact p 0.143." in page.text
    assert "A left 0.9 B right 0.8 in truth left 1.png" in page.text
    assert len(page.pictures) == 1
    assert page.source.count('class="alarm"') == 1


def card(**more):
    fields = {
        "plugin": PluginReference(name="cnn", distribution="d", distribution_version="2", model_version="1"),
        "task": "classification",
        "options": {},
        "labels": Labels(names=("well", "ill")),
        "contract": InputContract(modality=Constraint(("CR", "DX"), absent="refuse")),
        "preprocessing": {},
        "plan_id": "",
        "weights_sha256": "ab" * 32,
        "golden_sha256": "",
        "training": TrainingRecord(
            data_sha256="cd" * 32,
            rows={"train": 100, "val": 50},
            seed=0,
            steps=1,
            batch_size=1,
            best_step=1,
            stopped="",
            device="cpu",
            precision="float32",
            versions={},
            counts={"well": 480, "ill": 20},
        ),
    }
    return Card(**fields | more)


def test_the_card_says_what_the_model_is_not_for_from_what_the_folder_holds(tmp_path):
    said = markdown(card())

    for sentence in (
        "- It is no medical device.",
        "- It knows no other finding than well, ill: an image that shows another disease",
        "- It is for the modality CR or DX alone.",
        "- It does not check the body part: an image of another body part",
        "- No patient ids were known:",
        "- ill was learned from 20 train rows: few, if not too few.",
        "- It was not measured on test rows: how good it is, is not known.",
        "- It has no measure of novelty:",
    ):
        assert sentence in said
    assert "well was learned" not in said
    page = Page(write_page(tmp_path / "card.html", "card", [card_section(card())]))
    assert "ill was learned from 20 train rows: few, if not too few." in page.text


def test_what_is_known_takes_sentences_away_and_brings_others():
    training = replace(card().training, grouped_by="who", counts={"well": 480, "ill": 300})
    point = Threshold(label="ill", value=0.25, how="specificity 0.90", split="val", rows=50, specificity=0.94)
    metrics = [
        Metric(name=name, value=value, low=None, high=None, split="test", rows=99)
        for name, value in (("accuracy", 0.6), ("majority accuracy", 0.62))
    ]

    said = markdown(
        card(
            training=training,
            thresholds=(point,),
            operating_points=(point,),
            metrics=tuple(metrics),
            abstention=Abstention(confidence=0.7, coverage=0.9, split="val", rows=50),
        )
    )

    assert "No patient ids" not in said
    assert "few, if not too few" not in said
    assert "| ill | specificity 0.90 | 0.25 |  | 0.940 | 50 val rows | in force |" in said
    assert "It can abstain (medplug run --abstain) below a confidence of 0.700, which 90 % of 50 val rows" in said
    assert "- Its accuracy is no better than that of always giving the most frequent label." in said
    assert "- What its thresholds promise holds for images like the validation rows" in said


def test_a_card_of_another_task_speaks_of_that_task():
    anomaly = markdown(card(task="anomaly", training=replace(card().training, normal="well")))
    maker = markdown(card(task="generation", training=None))
    assert "No image: a seed, and a label where it has learned labels." in maker
    assert "get a refusal" not in maker

    assert "It says how far each image differs from the images labelled well." in anomaly
    assert "a low score is no all-clear" in anomaly
    assert "few, if not too few" not in anomaly
    assert "## Where it says yes" not in maker
    assert "Its images are no data about patients" in maker
    assert "What it learned from is not stored" in maker
