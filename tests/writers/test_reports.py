"""Reports of a training, an evaluation and a tour: the figures that were computed stand in them."""

import re

import numpy as np
import pytest
from msgspec.structs import replace
from writers.pages import Page
from writers.runs import Brightness, Halves, Rings, answers

import medplug
from medplug import golden, model_folder
from medplug.figures import Curve, Evaluation, Figure, HistoryPoint, Scored
from medplug.model_folder import TrainingRecord, describe_plugin, fresh
from medplug.sources import from_array
from medplug.writers.html_page import chapter, text_section
from medplug.writers.html_plots import Axis, histogram, lines
from medplug.writers.reports import evaluation_report, run_sections, tour_report, training_report

EVALUATION = Evaluation(
    task="classification",
    split="test",
    rows=624,
    refused=3,
    data_sha256="ab" * 32,
    plan_id="cd" * 32,
    model=medplug.result.ModelReference(name="halves", version="1.0", distribution="d", weights_sha256="ef" * 32),
    figures=(
        Figure(name="accuracy", value=0.91, low=0.875, high=0.9375),
        Figure(name="frechet distance", value=12.34),
        Figure(name="recall", value=0.8125, label="left", low=0.75, high=0.875),
        Figure(name="auroc", value=0.9375, label="left", low=0.875, high=0.96875),
    ),
    resamples=1000,
    clustered_by="patient",
    patients=311,
    labels=("left", "right"),
    counts={"left": 300, "right": 324},
    confusion=((285, 15), (18, 306)),
    curves=(
        Curve(kind="roc", label="left", x=(0.0, 0.5, 1.0), y=(0.0, 0.75, 1.0)),
        Curve(kind="calibration", label="left", x=(0.25, 0.75), y=(0.5, 0.5)),
    ),
    worst=(Scored(source="x/1.png", truth="left", answer="right", score=0.98),),
    notes=("A linear model on the pixels reaches 0.88.",),
)
HISTORY = [
    HistoryPoint(step=step, seconds=step / 2, losses={"train/loss": 2 / step, "val/loss": 3 / step, "train/r1": 0.5})
    for step in (10, 20, 30)
]


@pytest.fixture
def trained(tmp_path):
    """A real model folder with the record of a training."""
    record = TrainingRecord(
        data_sha256="12" * 32,
        rows={"train": 4000, "val": 412},
        seed=3,
        steps=30,
        batch_size=32,
        best_step=20,
        stopped="all steps were done",
        device="cpu",
        precision="float32",
        versions={"medplug": "0.1.0"},
        grouped_by="patient",
    )
    loaded = fresh(Halves())
    card = golden.save(tmp_path / "model", loaded, describe_plugin(loaded.model, "strangers", "1.0"), record)
    return tmp_path / "model", card


def test_every_figure_stands_with_its_interval(tmp_path):
    page = Page(evaluation_report(EVALUATION, tmp_path))

    assert "624 rows of 311 patients of the test split, 3 refused." in page.text
    assert "accuracy 0.910 0.875 to 0.938" in page.text
    assert "frechet distance 12.34" in page.text
    assert "left 300 0.812 0.750 to 0.875" in page.text
    assert "95 % intervals from 1\u2009000 bootstrap draws of whole patients (patient)." in page.text
    assert "Those of shares reach at least as far as Wilson's" in page.text
    assert "A linear model on the pixels reaches 0.88." in page.text
    assert "left 285 95.0 % 15 5.0 % 300 right 18 5.6 % 306 94.4 % 324" in page.text
    assert "left: area 0.938 (0.875 to 0.969)" in page.text
    assert f"Model halves 1.0 of d Weights (SHA-256) {'ef' * 32} Data (SHA-256) {'ab' * 32}" in page.text


def test_figures_of_generated_images_stand_by_features_and_have_no_column_of_rows(tmp_path):
    found = replace(
        EVALUATION, task="generation", counts={}, figures=(Figure(name="recall", label="pixels", value=0.5),)
    )

    page = Page(evaluation_report(found, tmp_path))

    assert "<th>Features</th><th>recall</th>" in page.source
    assert '<th>Label</th><th class="n">Rows</th>' in Page(evaluation_report(EVALUATION, tmp_path / "other")).source


def test_many_figures_of_a_label_stand_in_several_tables_that_fit_the_page(tmp_path):
    names = [f"figure {number}" for number in range(8)]
    found = replace(EVALUATION, figures=tuple(Figure(name=name, label="left", value=0.5) for name in names))

    source = Page(evaluation_report(found, tmp_path)).source

    heads = [head for head in re.findall(r"<thead>(.*?)</thead>", source, re.DOTALL) if "figure" in head]
    assert [re.findall(r"figure \d", head) for head in heads] == [names[:6], names[6:]]
    assert all("<th>Label</th>" in head for head in heads)


def test_the_worst_errors_are_shown_with_their_pictures(tmp_path):
    cases = [from_array(np.full((20, 30), 77, np.uint8), name=name) for name in ("x/0.png", "x/1.png")]

    page = Page(evaluation_report(EVALUATION, tmp_path / "e.html", cases))

    assert "right 0.98 in truth left x/1.png" in page.text
    [picture] = page.pictures
    assert picture.shape == (20, 30)
    assert np.all(picture == 77)


def test_a_training_report_tells_how_the_weights_were_made(trained):
    folder, card = trained

    page = Page(training_report(folder, card, HISTORY, EVALUATION))

    assert "30 steps in 15 s." in page.text
    assert "4\u2009000 train, 412 val, patients kept together by patient" in page.text
    assert "30 of 32 images; step 20 was kept" in page.text
    assert card.weights_sha256 in page.text
    assert card.plan_id in page.text
    assert page.values("svg", "aria-label")[:2] == ["loss: loss over step", "r1: r1 over step"]
    assert page.source.count('class="mark"') == 2


def test_a_training_report_refuses_a_card_that_was_changed(trained):
    folder, card = trained
    changed = replace(card, plan_id="0" * 64)

    with pytest.raises(medplug.ModelFolderError, match="changed after it was written"):
        training_report(folder, changed, HISTORY)


def test_a_training_without_points_or_evaluation_has_a_report(trained):
    folder, card = trained

    page = Page(training_report(folder, replace(card, training=None), []))

    assert "No point was recorded." in page.text


def test_reports_have_the_same_bytes_each_time(trained, tmp_path):
    folder, card = trained

    pages = [training_report(folder, card, HISTORY, EVALUATION).read_bytes() for _ in range(2)]

    assert pages[0] == pages[1]
    assert model_folder.read_card(folder) == card


def test_a_tour_strings_sections_of_several_models_together(tmp_path):
    images = [np.full((8, 8), value, np.uint8) for value in (1, 2)]
    session, found = answers(Halves(), images[:1], explanations=True)
    other, rest = answers(Brightness(), images[1:])
    generator, made = answers(Rings(), 2)
    sections = (
        chapter("One"),
        *run_sections(session.loaded, found, model=True),
        chapter("Two"),
        *run_sections(other.loaded, rest),
        text_section("Words", "a < b", "and an end"),
        *run_sections(generator.loaded, made),
    )

    page = Page(tour_report(tmp_path / "tour" / "report.html", "A tour", sections))

    assert page.tags.count("article") == 2
    assert "a < b" in page.text
    links = page.values("a", "href")
    anchors = [value for _, name, value in page.attributes if name == "id"]
    assert [link[1:] for link in links] == [f"s{n}" for n in range(1, len(sections) + 1)]
    assert {link[1:] for link in links} <= set(anchors)
    # An overlay lies on its own picture, even where several runs share a page.
    [under] = [value for value in page.values("use", "href") if value.startswith("#p")]
    assert page.values("image", "id").count(under[1:]) == 1
    assert len(set(page.values("image", "id"))) == 2


def test_a_line_runs_through_its_points():
    svg = str(lines({"a": ([0, 5, 10], [0, 1, float("nan")])}, "x", "y", x=Axis(0, 10), y=Axis(0, 1)))

    [points] = re.findall(r'<polyline class="c0" points="([^"]*)"', svg)
    assert points.split() == ["52.0,236.0", "229.0,12.0"]


def test_each_bar_of_a_histogram_is_as_high_as_its_count():
    svg = str(histogram([0.0] * 10 + [1.0] * 5, "score", mark=(0.5, "threshold")))

    heights = [float(height) for height in re.findall(r'class="bin".*height="([0-9.]+)"', svg)]
    assert len(heights) == 2
    assert heights[0] == pytest.approx(2 * heights[1], rel=0.01)
    assert "threshold" in svg


@pytest.mark.parametrize(
    ("axis", "ticks"),
    [
        (Axis(0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (Axis(-3, 12), [0, 5, 10]),
        (Axis(0.012, 0.031), [0.015, 0.02, 0.025, 0.03]),
        (Axis(0.5, 2000, log=True), [1, 10, 100, 1000]),
        (Axis(2, 3, log=True), [2, 3]),
    ],
)
def test_ticks_are_round_numbers(axis, ticks):
    assert axis.ticks() == pytest.approx(ticks)
    assert all(0 <= axis.place(tick) <= 1 for tick in ticks)
