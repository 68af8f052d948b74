"""Evaluation: intervals, refusals, provenance, and what a model folder remembers of it."""

import msgspec
import numpy as np
import pytest
from PIL import Image as Picture
from told import NAMES, ToldClass, classified, dataset_of, three

from medplug.cli import main
from medplug.cli.common import print_warnings
from medplug.dataset import DataOptions
from medplug.errors import CallError, ModelFolderError
from medplug.evaluation import evaluate, store_metrics, to_metrics, write
from medplug.figures import Evaluation
from medplug.golden import save
from medplug.model import Labels
from medplug.model_folder import PluginReference, TrainingRecord, fresh, load, read_card
from medplug.plugins import discover


def test_every_figure_lies_within_its_interval_and_the_interval_says_how_it_was_made():
    stated, truth = three()

    found = classified(stated, truth, patients=[f"p{i // 3}" for i in range(120)], resamples=400)

    for figure in found.figures:
        assert figure.low <= figure.value <= figure.high, figure
    assert found.figure("accuracy").high - found.figure("accuracy").low > 0.05
    assert (found.resamples, found.clustered_by, found.patients) == (400, "patient", 40)
    assert not any("patient" in note for note in found.notes)


def test_rows_of_one_patient_make_intervals_wider_than_rows_of_many():
    stated, truth = three(40)
    stated, truth = np.repeat(stated, 5, axis=0), np.repeat(truth, 5)

    together = classified(stated, truth, patients=np.repeat(np.arange(40), 5).astype(str), resamples=400)
    apart = classified(stated, truth, resamples=400)

    def width(evaluation):
        return evaluation.figure("macro AUC").high - evaluation.figure("macro AUC").low

    assert width(together) > 1.7 * width(apart)
    for name in ("Brier", "log loss", "accuracy at 80 % coverage"):
        one, other = (found.figure(name) for found in (together, apart))
        assert one.high - one.low > 1.7 * (other.high - other.low), name
    assert together.figure("macro AUC").value == apart.figure("macro AUC").value
    assert (apart.clustered_by, apart.patients) == (None, None)
    assert "no patient ids: intervals treat every row as independent" in apart.notes


def test_what_the_contract_refuses_is_counted_and_not_scored():
    stated = [[0.9, 0.1], [0.2, 0.8], [1.0, 0.0], [1.0, 0.0]]

    found = classified(stated, [0, 1, 1, 1], ("well", "ill"), modality=["OT", None, "CT", "MR"])

    assert (found.rows, found.refused) == (2, 2)
    assert found.figure("accuracy").value == 1.0
    assert found.counts == {"well": 1, "ill": 1}
    assert "2 rows were refused and are not scored: modality (2)" in found.notes


def test_when_every_row_is_refused_there_is_no_evaluation():
    with pytest.raises(CallError, match=r"refused every test row: modality \(3\)"):
        classified([[0.5, 0.5]] * 3, [0, 1, 1], ("well", "ill"), modality="CT")


def test_labels_in_another_order_are_matched_by_name():
    stated, truth = three()
    loaded = fresh(ToldClass(labels=Labels(names=NAMES)))
    other = dataset_of(stated, 2 - truth, ("c", "b", "a"))

    found = evaluate(loaded, other, device="cpu", resamples=0)

    assert found.figure("accuracy").value == classified(stated, truth).figure("accuracy").value
    with pytest.raises(CallError, match="the label 'x', which the model does not know; it knows a, b, c"):
        evaluate(loaded, dataset_of(stated, truth, ("a", "b", "x")), device="cpu")


def test_seen_rows_are_called_so():
    stated, truth = three()
    loaded = fresh(ToldClass(labels=Labels(names=NAMES)))

    train = evaluate(loaded, dataset_of(stated, truth, NAMES, split="train"), split="train", resamples=0)
    val = evaluate(loaded, dataset_of(stated, truth, NAMES, split="val"), split="val", resamples=0)

    assert "evaluated on training rows: the model has seen them" in train.notes
    assert any("validation rows" in note for note in val.notes)
    assert train.figure("accuracy").low is None
    with pytest.raises(CallError, match="no test rows; it has 120 val"):
        evaluate(loaded, dataset_of(stated, truth, NAMES, split="val"))


def test_the_same_seed_gives_the_same_evaluation_and_it_reads_back_from_its_file(tmp_path):
    stated, truth = three()

    found = classified(stated, truth)
    path = write(found, tmp_path / "out")

    assert msgspec.json.decode(path.read_bytes(), type=Evaluation) == found == classified(stated, truth)
    assert [file.name for file in path.parent.iterdir()] == ["evaluation.json"]


def cnn_folder(tmp_path, **training):
    """A folder of PNGs with a table, and a model folder whose record names it."""
    generator = np.random.default_rng(0)
    lines = ["file,finding,who,part"]
    for row in range(24):
        Picture.fromarray(generator.integers(0, 256, (32, 32)).astype(np.uint8)).save(tmp_path / f"{row}.png")
        lines.append(f"{row}.png,{'sick' if row % 2 else 'well'},p{row // 2},{('train', 'test')[row // 12]}")
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    model = discover(only="medplug").find("medplug:cnn").model
    labels = Labels(names=("sick", "well"))
    loaded = fresh(model(model.Options(size=32, width=8, depth=(1, 1)), labels))
    record = TrainingRecord(
        data_sha256="other",
        rows={"train": 12},
        seed=0,
        steps=0,
        batch_size=4,
        best_step=0,
        stopped="",
        device="cpu",
        precision="float32",
        versions={},
        data=str(tmp_path / "table.csv"),
        label_columns=("finding",),
        patient_column="who",
        split_column="part",
    )
    plugin = PluginReference(name="cnn", distribution="medplug", distribution_version="0.1.0", model_version="1")
    save(tmp_path / "model", loaded, plugin, msgspec.structs.replace(record, **training))
    return tmp_path / "model"


def test_a_model_folder_knows_its_own_test_rows_and_keeps_their_metrics(tmp_path):
    folder = cnn_folder(tmp_path)
    done = []

    found = evaluate(folder, device="cpu", resamples=100, progress=lambda row, of: done.append((row, of)))
    store_metrics(folder, found)
    store_metrics(folder, found)

    assert (found.rows, found.clustered_by, found.patients) == (12, "who", 6)
    assert found.model == load(folder).reference
    assert found.plan_id == load(folder).preprocessing.plan_id
    assert "the data is not what the model was trained on" in found.notes
    assert done == [(row, 12) for row in range(1, 13)]
    metrics = read_card(folder).metrics
    assert metrics == to_metrics(found)
    assert {metric.name for metric in metrics} >= {"accuracy", "balanced accuracy", "macro AUC", "ECE"}
    assert all((metric.split, metric.rows) == ("test", 12) for metric in metrics)
    again = evaluate(folder, tmp_path / "table.csv", data_options=DataOptions(labels=("finding",), split="part"))
    assert again.figure("accuracy").value == found.figure("accuracy").value


def test_metrics_of_other_weights_are_not_stored(tmp_path):
    folder = cnn_folder(tmp_path)
    found = evaluate(folder, device="cpu", resamples=0)
    other = msgspec.structs.replace(found, model=msgspec.structs.replace(found.model, weights_sha256="0" * 64))

    with pytest.raises(ModelFolderError, match="other weights"):
        store_metrics(folder, other)


def test_data_that_has_gone_is_named(tmp_path):
    folder = cnn_folder(tmp_path, data=str(tmp_path / "moved" / "table.csv"))

    with pytest.raises(CallError, match=r"moved.*table\.csv, which the model was trained on, is not there"):
        evaluate(folder, device="cpu")
    with pytest.raises(CallError, match="does not say what data"):
        evaluate(fresh(ToldClass(labels=Labels(names=NAMES))), device="cpu")


def printed(capsys, folder, *options):
    """What the command prints on standard output."""
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(folder), "--resamples", "50", "--device", "cpu", *options])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_warnings_are_counted_and_stand_in_front_of_the_figures(tmp_path, capsys):
    folder = cnn_folder(tmp_path)

    lines = printed(capsys, folder).splitlines()

    made = msgspec.json.decode((folder / "evaluation" / "evaluation.json").read_bytes())
    count, notes = len(made["warnings"]), [f"note: {one}" for one in made["notes"]]
    assert count >= 2
    assert lines[1] == f"{count} warnings, in red; {len(notes)} notes below the tables"
    assert lines[2 : 2 + count] == [f"warning: {one}" for one in made["warnings"]]
    assert [place for place, line in enumerate(lines) if line.startswith("warning: ")] == list(range(2, 2 + count))
    assert lines[3 + count].split() == ["value", "95", "%", "interval"]
    assert lines[-len(notes) :] == notes


def test_what_a_program_reads_is_json_alone(tmp_path, capsys):
    assert msgspec.json.decode(printed(capsys, cnn_folder(tmp_path), "--json").encode())["warnings"]


def test_that_there_is_nothing_to_warn_of_is_said_too(capsys):
    print_warnings((), ())
    print_warnings(("one",), ("another",))

    assert capsys.readouterr().out == ("no warnings\n1 warning, in red; 1 note below the tables\nwarning: one\n\n")
