"""Which rows a model is measured on: its own test rows, or all rows of data that it has never seen."""

import json
import shutil

import msgspec
import pytest
from click.testing import CliRunner
from learners import write_csv

from medplug.cli import cli
from medplug.dataset import DataOptions, load
from medplug.errors import CallError
from medplug.evaluation import dataset_of, evaluate
from medplug.golden import save
from medplug.model import Labels
from medplug.model_folder import PluginReference, TrainingRecord, fresh, read_card
from medplug.model_folder import load as load_model
from medplug.plugins import discover


def rows(count, labels=("well", "sick"), **columns):
    made = {"finding": lambda row: labels[row % len(labels)], "reader": lambda row: labels[row // 3 % len(labels)]}
    made |= {"who": lambda row: f"p{row // 2}", **columns}
    return [{name: cell(row) for name, cell in made.items()} for row in range(count)]


def trained(folder, plugin="cnn", labels=("sick", "well"), normal=None, **columns):
    """A model folder as `train` leaves it, for the table beside it."""
    task = discover(only="medplug").find(plugin).model.task
    options = DataOptions(labels=("finding",), patient="who", **columns)
    data = load(folder / "table.csv", options, task=task)
    made = discover(only="medplug").find(plugin).model
    settings = {"size": 32, "width": 8} | ({"depth": (1, 1)} if plugin == "cnn" else {})
    record = TrainingRecord(
        data_sha256=data.sha256,
        rows=data.rows(),
        seed=0,
        steps=0,
        batch_size=4,
        best_step=0,
        stopped="",
        device="cpu",
        precision="float32",
        versions={},
        normal=normal,
        data=str(folder / "table.csv"),
        label_columns=("finding",),
        patient_column="who",
        split_column=data.split_column,
    )
    version = PluginReference(name=plugin, distribution="medplug", distribution_version="0.1.0", model_version="1")
    save(folder / "model", fresh(made(made.Options(**settings), Labels(names=labels))), version, record)
    return folder / "model"


@pytest.fixture
def model(tmp_path):
    write_csv(tmp_path / "own", rows(40))
    return trained(tmp_path / "own")


def test_every_row_of_other_data_without_a_split_is_measured(model, tmp_path):
    other = write_csv(tmp_path / "other", rows(24))

    found = evaluate(model, other, device="cpu", resamples=0)

    assert (found.rows, found.clustered_by) == (24, "who")
    assert "no split column: every row is measured" in found.notes
    assert "the data is not what the model was trained on" in found.notes


def test_the_training_data_is_split_as_it_was_wherever_it_lies_now(model, tmp_path):
    loaded = load_model(model)
    shutil.copytree(model.parent, tmp_path / "moved")

    here, moved = dataset_of(loaded), dataset_of(loaded, tmp_path / "moved" / "table.csv")

    assert here.sha256 == moved.sha256 == read_card(model).training.data_sha256
    assert here.rows() == moved.rows() == read_card(model).training.rows
    notes = evaluate(model, device="cpu", resamples=0).notes
    assert any(note.startswith("no split column: 70/15/15 %") for note in notes)


def test_naming_one_column_keeps_the_others_of_the_training(model, tmp_path):
    columns = {"where": lambda row: "test" if row < 18 else "train"}
    other = write_csv(tmp_path / "other", rows(24, person=lambda row: f"q{row // 3}", **columns))

    found = dataset_of(load_model(model), other, DataOptions(patient="person", split="where"))

    assert found.label_columns == ("finding",)
    assert (found.patient_column, found.split_column) == ("person", "where")
    assert found.patients[:4].tolist() == ["q0", "q0", "q0", "q1"]
    assert dataset_of(load_model(model), other, DataOptions(split="where")).patient_column == "who"


def test_a_stored_column_that_other_data_lacks_is_not_asked_for(tmp_path):
    part = {"part": lambda row: ("train", "val", "test", "test")[row // 2 % 4]}
    write_csv(tmp_path / "own", rows(40, **part))
    model = trained(tmp_path / "own", split="part")
    bare = [{"finding": row["finding"]} for row in rows(20)]

    found = dataset_of(load_model(model), write_csv(tmp_path / "other", bare))

    assert (found.rows(), found.patients) == ({"test": 20}, None)
    assert dataset_of(load_model(model)).split_column == "part"
    unlabelled = [{"who": row["who"], "other": row["finding"]} for row in rows(20)]
    with pytest.raises(CallError, match="name the column with --label"):
        dataset_of(load_model(model), write_csv(tmp_path / "unlabelled", unlabelled))


def test_no_choice_of_columns_makes_test_rows_of_what_was_learned(model, tmp_path):
    table, loaded = model.parent / "table.csv", load_model(model)

    for data in (None, table):
        with pytest.raises(CallError, match=r"by the columns that are named \d+ of the rows that it has learned"):
            dataset_of(loaded, data, DataOptions(labels=("reader",), patient="file"))

    part = {"part": lambda row: ("train", "val", "test", "test")[row // 2 % 4]}
    write_csv(tmp_path / "parted", rows(40, **part))
    parted = load_model(trained(tmp_path / "parted", split="part"))
    found = dataset_of(parted, None, DataOptions(labels=("reader",)))
    assert found.label_columns == ("reader",)  # another reader's labels of the same test rows
    assert found.splits.tolist() == dataset_of(parted).splits.tolist()


def test_an_anomaly_model_of_normal_rows_alone_is_measured_on_what_it_never_saw(tmp_path):
    write_csv(tmp_path / "own", rows(40, ("normal",)))
    model = trained(tmp_path / "own", "autoencoder", ("normal",), "normal")
    other = write_csv(tmp_path / "other", rows(24, ("normal", "tuberculosis")))

    found = evaluate(model, other, device="cpu", resamples=0)

    assert found.counts == {"normal": 12, "tuberculosis": 12}
    assert 0 <= found.figure("AUROC").value <= 1


def test_each_set_of_rows_has_a_report_of_its_own(model, tmp_path):
    other = write_csv(tmp_path / "other", rows(12), "St. Mary's 2024.csv")
    named_val = write_csv(tmp_path / "other", rows(12), "val.csv")

    def folders(*arguments):
        done = CliRunner().invoke(cli, ["evaluate", str(model), *map(str, arguments), "--resamples", "0"])
        assert done.exit_code == 0, (done.output, done.exception)
        return {path.parent.name: json.loads(path.read_text())["rows"] for path in model.glob("*/evaluation.json")}

    own = read_card(model).training.rows
    assert folders() == {"evaluation": own["test"]}
    assert folders("--on", "val") == {"evaluation": own["test"], "evaluation-val": own["val"]}
    assert folders(other)["evaluation-St_Mary_s_2024"] == 12
    assert folders(named_val)["evaluation-val-test"] == 12
    assert folders(model.parent / "table.csv")["evaluation"] == own["test"]
    assert {metric.split for metric in read_card(model).metrics} == {"test", "val"}
    assert msgspec.json.decode((model / "evaluation" / "evaluation.json").read_bytes())["split"] == "test"
