"""Operating points, abstention and comparison of real model folders, by Python and by the command line."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from learners import install, pixels, write_csv
from msgspec.structs import replace

from medplug import model_folder
from medplug.cli import cli
from medplug.dataset import DataOptions, load
from medplug.errors import CallError, ModelFolderError
from medplug.evaluation import evaluate, store_metrics
from medplug.evaluation.in_force import put_abstention_in_force, put_in_force
from medplug.evaluation.learned_rows import learned
from medplug.evaluation.operating_points import Aim
from medplug.golden import verify
from medplug.model import Task
from medplug.model_folder import Metric, read_card, write_card
from medplug.session import Session
from medplug.training import train


def noisy(count, seed):
    """Pictures of which some are hard to tell: their bright side is hardly brighter."""
    images, labels = pixels(count, seed)
    generator = np.random.default_rng(seed)
    hard = generator.random(count) < 0.4
    images[hard] = generator.integers(60, 190, (int(hard.sum()), 16, 16))
    return images, labels


@pytest.fixture(scope="module")
def learners(tmp_path_factory):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(install(tmp_path_factory.mktemp("site"))))
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def made(learners, tmp_path_factory):
    """A table with patients, and a classifier and an anomaly model trained on it."""
    folder = tmp_path_factory.mktemp("made")
    images, labels = noisy(260, 1)
    splits = ["train"] * 80 + ["val"] * 120 + ["test"] * 60
    rows = [
        {"side": "lr"[label], "who": f"p{row // 2}", "split": splits[row], "pixels": image}
        for row, (image, label) in enumerate(zip(images, labels))
    ]
    table = write_csv(folder / "data", rows)
    columns = DataOptions(labels=("side",), patient="who")
    train("sides", table, folder / "model", data_options=columns, steps=40, device="cpu", coverage=0.8)
    train("rebuilder", table, folder / "unusual", data_options=columns, steps=10, device="cpu", normal="l")
    return folder


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made / "model", tmp_path / "model")


def told(*arguments):
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def test_training_stores_every_point_and_a_limit_and_counts_its_rows(folder):
    card = read_card(folder)

    assert {one.how for one in card.operating_points} >= {"youden", "specificity 0.90", "sensitivity 0.90"}
    assert {one.how for one in card.thresholds} == {"youden"}
    assert all(one.split == "val" and one.rows == 120 for one in card.operating_points)
    assert (card.abstention.coverage, card.abstention.in_force) == (0.8, False)
    assert card.training.counts == {"l": 40, "r": 40}


def test_a_stored_point_is_put_in_force_and_service_uses_it(folder):
    [wanted] = [one for one in read_card(folder).operating_points if (one.label, one.how) == ("r", "specificity 0.90")]

    chosen = put_in_force(folder, Aim("specificity", 0.90), ["r"])

    forced = {one.label: one for one in read_card(folder).thresholds}
    assert (forced["r"], forced["l"].how) == (wanted, "youden")
    assert chosen.card == read_card(folder)
    assert all(check.passed for check in verify(folder))
    for image in noisy(10, 5)[0]:
        answer = Session(folder, "cpu").predict(image).prediction
        assert ("r" in answer.positive) == (answer.probabilities["r"] >= wanted.value)


def test_a_new_point_is_chosen_on_the_validation_rows_of_the_training_and_stored(folder):
    put_in_force(folder, Aim("sensitivity", 0.80))

    card = read_card(folder)
    assert {(one.label, one.how, one.split, one.rows) for one in card.thresholds} == {
        (label, "sensitivity 0.80", "val", 120) for label in "lr"
    }
    assert set(card.thresholds) < set(card.operating_points)
    loaded = model_folder.load(folder)
    found = evaluate(loaded, split="val", resamples=0)
    for one in (one for one in found.drift if one.in_force):
        assert one.sensitivity.value >= 0.80
        assert one.broken == ()


def test_points_are_never_chosen_on_test_rows(made, folder):
    before = (folder / "model.json").read_bytes()
    dataset = load(made / "data" / "table.csv", DataOptions(labels=("side",)), task=Task.CLASSIFICATION)

    with pytest.raises(CallError, match="fitted on validation rows only, and some rows are test"):
        put_in_force(folder, Aim("specificity", 0.7), validation=dataset.of("test"))
    with pytest.raises(CallError, match="fitted on validation rows only, and some rows are test, train"):
        put_abstention_in_force(folder, 0.7, validation=dataset)
    assert (folder / "model.json").read_bytes() == before


def test_a_card_whose_point_was_chosen_on_test_rows_is_refused(folder):
    card = json.loads((folder / "model.json").read_text())
    card["operating_points"][0]["split"] = "test"
    (folder / "model.json").write_text(json.dumps(card))

    with pytest.raises(ModelFolderError, match="chosen on test rows: only validation rows"):
        model_folder.load(folder)


def test_data_that_has_changed_chooses_nothing(made, tmp_path):
    shutil.copytree(made / "data", tmp_path / "data")
    folder = shutil.copytree(made / "model", tmp_path / "model")
    card = read_card(folder)
    table = tmp_path / "data" / "table.csv"
    write_card(folder, replace(card, training=replace(card.training, data=str(table))))
    lines = table.read_text().replace(",test,", ",val,").replace(",test\n", ",val\n")
    table.write_text(lines)

    with pytest.raises(CallError, match="not what the model was trained on any more"):
        put_in_force(folder, Aim("specificity", 0.7))


def test_an_aim_that_cannot_be_kept_changes_nothing(folder):
    before = (folder / "model.json").read_bytes()

    with pytest.raises(CallError, match=r"no operating point at specificity 0\.99: .* and 299 are wanted"):
        put_in_force(folder, Aim("specificity", 0.99))
    with pytest.raises(CallError, match="no label 'x' that a threshold decides; the model has l, r"):
        put_in_force(folder, Aim("youden"), ["x"])
    assert (folder / "model.json").read_bytes() == before


def test_a_folder_of_before_keeps_its_threshold_among_the_points(folder):
    card = read_card(folder)
    write_card(folder, replace(card, operating_points=(), abstention=None))

    put_in_force(folder, Aim("specificity", 0.80))

    assert set(card.thresholds) < set(read_card(folder).operating_points)


def test_a_folder_without_points_is_given_them(made, tmp_path):
    folder = shutil.copytree(made / "unusual", tmp_path / "unusual")
    write_card(folder, replace(read_card(folder), thresholds=(), operating_points=()))

    put_in_force(folder, Aim("specificity", 0.80))

    assert [(one.label, one.how) for one in read_card(folder).thresholds] == [("anomalous", "specificity 0.80")]


def test_figures_that_held_for_another_threshold_leave_an_anomalys_card(made, tmp_path):
    folder = shutil.copytree(made / "unusual", tmp_path / "unusual")
    metrics = [
        Metric(name=name, value=0.5, low=None, high=None, split="test", rows=9) for name in ("AUROC", "accuracy")
    ]
    write_card(folder, replace(read_card(folder), metrics=tuple(metrics)))

    put_in_force(folder, Aim("specificity", 0.80))

    card = read_card(folder)
    assert [metric.name for metric in card.metrics] == ["AUROC"]
    assert [one.how for one in card.thresholds] == ["specificity 0.80"]
    with pytest.raises(CallError, match="does not say how sure it is"):
        put_abstention_in_force(folder, 0.9)


def test_the_command_line_shows_points_and_puts_them_in_force(folder):
    told("operate", folder, "--at", "specificity=0.9", "--label", "r", "--coverage", "0.8")

    lines = told("operate", folder).splitlines()
    [forced] = [line for line in lines if line.startswith("r ") and line.endswith("in force")]
    assert "specificity 0.90" in forced
    assert any(line.endswith("which 80 % of 120 val rows reached (in force)") for line in lines)
    assert told("show", folder).count("in force") == 3
    assert json.loads(told("operate", folder, "--coverage", 1, "--json"))["abstention"]["in_force"] is False
    wrong = CliRunner().invoke(cli, ["operate", str(folder), "--label", "r"])
    assert (wrong.exit_code, "--label goes with --at" in wrong.output) == (2, True)


def test_a_model_without_operating_points_is_said_to_have_none(folder):
    bare = replace(read_card(folder), thresholds=(), operating_points=(), abstention=None)

    for card, why in ((bare, ""), (replace(bare, task="generation"), ": its task is generation")):
        write_card(folder, card)
        assert told("operate", folder) == f"{folder} has no operating points{why}\n"


def test_training_puts_in_force_what_it_is_told_to_and_refuses_a_wrong_aim_at_once(made, tmp_path):
    arguments = [made / "data" / "table.csv", "--label", "side", "--patient", "who", "--steps", 30, "--device", "cpu"]

    said = told("train", "sides", *arguments, "-o", tmp_path / "m", "--operate", "specificity=0.8")

    assert {one.how for one in read_card(tmp_path / "m").thresholds} == {"specificity 0.80"}
    assert "(specificity 0.80 on 120 val rows" in said
    assert "What it is not for" in (tmp_path / "m" / "training.html").read_text()
    wrong = CliRunner().invoke(
        cli, ["train", "sides", *map(str, arguments), "-o", str(tmp_path / "x"), "--operate", "specificity=2"]
    )
    assert isinstance(wrong.exception, CallError)
    assert not (tmp_path / "x").exists()


def test_a_run_abstains_where_it_is_asked_to(made, folder, tmp_path):
    said = told("run", folder, made / "data", "-o", tmp_path / "out", "--abstain", "--device", "cpu")

    lines = [line for line in said.splitlines() if ".png" in line]
    abstained = [line for line in lines if "abstained, not sure enough: " in line]
    assert 0.05 < len(abstained) / len(lines) < 0.5
    results = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    predictions = [one["prediction"] for one in results if one["prediction"]["type"] == "classification"]
    assert sum(one["abstained"] for one in predictions) == len(abstained)
    assert all(("label" in one) != one["abstained"] for one in predictions)
    assert "(abstained)" in (tmp_path / "out" / "report.html").read_text()


def test_two_folders_are_compared_with_a_report(made, tmp_path):
    said = told("compare", made / "model", made / "model", "--resamples", 50, "-o", tmp_path / "out")

    assert "balanced accuracy: no difference can be told from 60 rows" in said
    assert "60 test rows, 30 patients (who)" in said
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"comparison.json", "comparison.html"}
    assert "A and B on the same rows" in (tmp_path / "out" / "comparison.html").read_text()
    unusual = told("compare", made / "unusual", made / "unusual", "--resamples", 50)
    assert "AUROC: no difference can be told from 60 rows" in unusual


def test_a_model_that_has_learned_the_rows_is_warned_of(made, tmp_path):
    with (made / "data" / "table.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        row["split"] = "test" if row["split"] != "val" else "val"
    other = made / "data" / "other.csv"
    with other.open("w", newline="") as stream:
        table = csv.DictWriter(stream, list(rows[0]))
        table.writeheader()
        table.writerows(rows)

    said = told("compare", made / "model", made / "model", other, "--label", "side", "--resamples", 0)

    assert "warning: model A was trained on 80 of these 140 rows: its figures flatter" in said
    assert "warning: model B was trained on 80 of these 140 rows" in said


def test_evaluate_prints_what_became_of_the_points_and_the_predictive_values(folder):
    said = told("evaluate", folder, "--resamples", 50, "--prevalence", "r=0.05")

    assert "operating point" in said
    assert any(line.startswith("r (in force)") for line in said.splitlines())
    assert any(line.split()[:2] == ["r", "0.05"] for line in said.splitlines())
    wrong = CliRunner().invoke(cli, ["evaluate", str(folder), "--prevalence", "r"])
    assert (wrong.exit_code, "write LABEL=RATE" in wrong.output) == (2, True)


def test_the_model_card_says_what_stood_in_red_on_test_rows_alone_and_puts_their_figures_first(folder):
    tested = evaluate(folder, device="cpu", resamples=50)
    marked = replace(tested, warnings=("the label can be guessed from the border",))
    store_metrics(folder, evaluate(folder, split="val", device="cpu", resamples=50))
    store_metrics(folder, marked)
    store_metrics(folder, evaluate(folder, split="val", device="cpu", resamples=50))

    card = told("show", folder, "--card")

    assert "## What its evaluation warned of\n\n- the label can be guessed from the border\n" in card
    measured = [line for line in card.splitlines() if line.startswith("| accuracy |")]
    assert [line.split()[-3] for line in measured] == ["test", "val"]


def test_the_model_card_says_what_it_is_not_for(folder):
    store_metrics(folder, evaluate(folder, device="cpu", resamples=50))

    card = told("show", folder, "--card")

    assert "## What it is not for" in card
    assert "It knows no other finding than l, r: an image that shows another disease" in card
    assert "l was learned from 40 train rows: few, if not too few." in card
    assert "The rows of a patient (who) stand in one split." in card
    assert "No patient ids" not in card
    assert "| r | specificity 0.90 |" in card
    assert "It can abstain" in card


def test_rows_that_training_left_out_for_standing_in_test_rows_choose_no_point_later(learners, tmp_path):
    images, labels = noisy(120, 3)
    images[100:110], labels[100:110] = images[40:50], labels[40:50]
    splits = ["train"] * 40 + ["val"] * 60 + ["test"] * 20
    rows = [{"label": labels[row], "split": splits[row], "pixels": image} for row, image in enumerate(images)]
    table = write_csv(tmp_path / "data", rows)
    train("sides", table, tmp_path / "m", steps=2, device="cpu", duplicates="drop")

    put_in_force(tmp_path / "m", Aim("sensitivity", 0.70))

    assert read_card(tmp_path / "m").training.duplicates_dropped == 10
    assert {one.rows for one in read_card(tmp_path / "m").thresholds} == {50}


def test_accuracies_that_held_for_other_thresholds_leave_the_card_of_labels_that_stand_each_by_itself(folder):
    names = ("macro AUC", "accuracy at 90 % coverage")
    metrics = tuple(Metric(name=name, value=0.5, low=None, high=None, split="test", rows=9) for name in names)
    card = replace(read_card(folder), metrics=metrics)
    write_card(folder, card)
    put_in_force(folder, Aim("specificity", 0.90), ["r"])
    assert read_card(folder).metrics == metrics  # of exclusive labels the most probable is right, or is not

    write_card(folder, replace(card, labels=replace(card.labels, exclusive=False)))
    put_in_force(folder, Aim("specificity", 0.90), ["r"])

    assert [metric.name for metric in read_card(folder).metrics] == ["macro AUC"]


def test_the_point_of_a_folder_of_before_is_not_chosen_again(folder):
    card = read_card(folder)
    youden = tuple(replace(one, sensitivity_interval=None, specificity_interval=None) for one in card.thresholds)
    write_card(folder, replace(card, thresholds=youden, operating_points=()))

    put_in_force(folder, Aim("youden"))

    assert read_card(folder).thresholds == youden
    assert read_card(folder).operating_points == youden


def test_what_is_noted_of_data_that_cannot_be_read_any_more_names_no_patient(made, tmp_path):
    shutil.copytree(made / "data", tmp_path / "data")
    folder = shutil.copytree(made / "model", tmp_path / "model")
    table, card = tmp_path / "data" / "table.csv", read_card(folder)
    write_card(folder, replace(card, training=replace(card.training, data=str(table))))
    dataset = load(table, DataOptions(labels=("side",)), task=Task.CLASSIFICATION)
    table.write_text(table.read_text().replace(",p0,", ",p129,"))  # one of the test rows' patients

    [note] = learned(model_folder.load(folder), "model A", dataset, dataset.of("test"), table).notes

    assert note == "the data that model A was trained on cannot be read any more: it may hold these rows"
