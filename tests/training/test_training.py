"""Training: the same weights every time, whatever happens on the way, and a whole model folder at the end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from learners import Sides, install, pixels, write_csv, write_npz

import medplug
from medplug import golden, model_folder
from medplug.dataset import DataOptions
from medplug.errors import CallError, PluginError, TrainingError
from medplug.session import Session
from medplug.training import train

TESTS = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def learners(tmp_path_factory, monkeypatch):
    """Install the small models, and keep to one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.syspath_prepend(str(install(tmp_path_factory.mktemp("site"))))
    yield
    torch.set_num_threads(before)


@pytest.fixture
def data(tmp_path):
    return write_npz(tmp_path / "sides.npz")


def weights(folder):
    return (folder / "weights.safetensors").read_bytes()


def sides(data, output, **more):
    return train("sides", data, output, device="cpu", **more)


def test_a_trained_model_answers_verifies_and_says_how_it_was_made(data, tmp_path):
    trained = sides(data, tmp_path / "m", steps=60, seed=3)

    session = Session(tmp_path / "m", device="cpu")
    images, labels = pixels(20, seed=9)
    answers = [session.predict(image).prediction.label for image in images]
    assert np.mean([answer == str(label) for answer, label in zip(answers, labels)]) >= 0.9
    assert all(check.passed for check in golden.verify(tmp_path / "m"))
    record = model_folder.read_card(tmp_path / "m").training
    assert (record.steps, record.seed, record.stopped, record.rows["train"]) == (60, 3, "finished", 48)
    assert record.data == str(data)
    assert session.loaded.preprocessing.fitted
    assert session.loaded.preprocessing.normalize.mean[0] == pytest.approx(images.mean() / 255, abs=0.03)
    assert len(trained.card.thresholds) == 2
    history = [json.loads(line) for line in (tmp_path / "m" / "history.jsonl").read_text().splitlines()]
    assert [point["step"] for point in history] == [25, 50, 60] == [point.step for point in trained.history]
    losses = [point["losses"]["val/loss"] for point in history]
    assert record.best_step == history[losses.index(min(losses))]["step"] > 25
    assert history[-1]["losses"]["val/loss"] < history[0]["losses"]["train/loss"]


def test_sixty_steps_are_thirty_and_then_resumed_to_sixty(data, tmp_path):
    whole = sides(data, tmp_path / "whole", steps=60)
    sides(data, tmp_path / "parts", steps=30)
    half = weights(tmp_path / "parts")

    parts = sides(data, tmp_path / "parts", steps=60, resume=True)

    assert weights(tmp_path / "parts") == weights(tmp_path / "whole") != half
    assert [point.losses for point in parts.history] == [point.losses for point in whole.history]
    assert parts.card.training == whole.card.training


@pytest.mark.parametrize(("steps", "stop"), [(60, 20), (60, 37), (60, 52)])
def test_a_training_that_was_interrupted_ends_in_the_same_weights(data, tmp_path, steps, stop):
    def interrupt(progress):
        if progress.step >= stop:
            raise SystemExit  # as if the machine had gone down, but with a checkpoint just before

    whole = sides(data, tmp_path / "whole", steps=steps)
    patched = pytest.MonkeyPatch()
    patched.setattr("medplug.training.trainer._CHECKPOINT_SECONDS", 0.0)
    patched.setattr("medplug.training.trainer._PROGRESS_SECONDS", 0.0)
    with patched.context(), pytest.raises(SystemExit):
        sides(data, tmp_path / "parts", steps=steps, progress=interrupt)
    patched.undo()
    assert not (tmp_path / "parts" / "model.json").exists()

    parts = sides(data, tmp_path / "parts", resume=True)

    assert weights(tmp_path / "parts") == weights(tmp_path / "whole")
    assert [point.losses for point in parts.history] == [point.losses for point in whole.history]


def test_the_cnn_whose_fused_optimiser_goes_through_memory_is_resumed_to_the_same_weights(data, tmp_path):
    """Its weights of several channels lie channels last, and a checkpoint's moments must be laid out as they are."""
    options = {"width": 8, "size": 16, "recipe.batch_size": 8}
    train("cnn", data, tmp_path / "whole", options=options, steps=12, device="cpu")
    sent = []

    def interrupt(progress):
        if progress.phase == "training" and progress.step >= 4 and not sent:
            sent.append(os.kill(os.getpid(), signal.SIGINT))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("medplug.training.trainer._PROGRESS_SECONDS", 0.0)
        stopped = train("cnn", data, tmp_path / "m", options=options, steps=12, device="cpu", progress=interrupt)
    assert (stopped.card.training.stopped, stopped.card.training.steps < 12) == ("interrupted", True)

    train("cnn", data, tmp_path / "m", options=options, steps=12, device="cpu", resume=True)

    assert weights(tmp_path / "m") == weights(tmp_path / "whole")


def test_ctrl_c_after_the_last_step_loses_no_model_and_is_not_forgotten(data, tmp_path):
    def interrupt(progress):
        if progress.phase == "saving":
            os.kill(os.getpid(), signal.SIGINT)

    trained = sides(data, tmp_path / "m", steps=3, progress=interrupt)

    assert trained.interrupted
    assert (trained.card.training.stopped, trained.card.training.steps) == ("finished", 3)
    assert (tmp_path / "m" / "model.json").is_file()
    assert not sides(data, tmp_path / "other", steps=3).interrupted


def test_two_runs_give_the_same_bytes_and_another_seed_does_not(data, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        sides(data, tmp_path / name, steps=12, seed=seed)

    assert weights(tmp_path / "a") == weights(tmp_path / "b") != weights(tmp_path / "c")
    cards = [(tmp_path / name / "model.json").read_bytes() for name in "ab"]
    assert cards[0] == cards[1]


def test_two_optimisers_take_turns_and_resume_too(data, tmp_path):
    trained = train("duel", data, tmp_path / "whole", steps=12, device="cpu")
    train("duel", data, tmp_path / "parts", steps=6, device="cpu")
    train("duel", data, tmp_path / "parts", steps=12, resume=True, device="cpu")

    assert weights(tmp_path / "parts") == weights(tmp_path / "whole")
    assert {"train/judge", "train/maker"} == set(trained.history[-1].losses)
    assert len(list(Session(tmp_path / "whole", device="cpu").generate(3))) == 3


def test_a_resume_with_fewer_steps_other_settings_or_other_data_is_refused(data, tmp_path):
    sides(data, tmp_path / "m", steps=20)

    with pytest.raises(CallError, match="resume to 20 steps or more"):
        sides(data, tmp_path / "m", steps=10, resume=True)
    with pytest.raises(CallError, match=r"options was .*0\.01.* and is .*0\.03"):
        sides(data, tmp_path / "m", steps=40, resume=True, options={"learning_rate": "0.03"})
    with pytest.raises(CallError, match="data was"):
        sides(write_npz(tmp_path / "other.npz", train=40), tmp_path / "m", steps=40, resume=True)
    with pytest.raises(CallError, match="no checkpoint to resume"):
        sides(data, tmp_path / "nothing", resume=True)


CHILD = """
import sys, torch
torch.set_num_threads(1)
from medplug.training import train
def say(progress):
    print(progress.phase, progress.step, flush=True)
done = train("sides", sys.argv[1], sys.argv[2], steps=1_000_000, device="cpu", progress=say)
print("stopped", done.card.training.stopped, done.card.training.steps, flush=True)
"""


def test_ctrl_c_keeps_the_best_so_far_and_can_be_resumed(data, tmp_path):
    site = install(tmp_path / "site")
    paths = os.pathsep.join([str(site), str(TESTS), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", CHILD, str(data), str(tmp_path / "m")]
    environment = {**os.environ, "PYTHONPATH": paths}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        for line in child.stdout:
            if line.startswith("training") and int(line.split()[1]) >= 50:
                child.send_signal(signal.SIGINT)
                break
        rest = child.stdout.read()

    assert child.returncode == 0
    stopped, why, steps = rest.splitlines()[-1].split()
    assert (stopped, why) == ("stopped", "interrupted")
    assert all(check.passed for check in golden.verify(tmp_path / "m"))
    record = model_folder.read_card(tmp_path / "m").training
    assert 25 <= record.best_step <= record.steps == int(steps) < 1_000_000
    more = sides(data, tmp_path / "m", resume=True, steps=record.steps + 40)
    assert more.card.training.stopped == "finished"


def test_a_loss_that_is_no_number_names_the_step_and_keeps_the_last_good(data, tmp_path):
    good = sides(data, tmp_path / "good", steps=25, options={"recipe.schedule": "constant"})
    with pytest.raises(
        TrainingError, match=r"step 31: the loss .*'main' is not finite \(loss nan\).*of step 25, are in"
    ):
        sides(data, tmp_path / "m", steps=60, options={"poison": "31", "recipe.schedule": "constant"})

    loaded = model_folder.load(tmp_path / "m")
    assert loaded.card.training.stopped == "not finite"
    assert loaded.card.training.best_step == 25 == good.card.training.best_step
    assert weights(tmp_path / "m") == weights(tmp_path / "good")


def test_a_loss_that_is_no_number_from_the_start_leaves_no_model(data, tmp_path):
    with pytest.raises(TrainingError, match=r"step 1: .*no good weights"):
        sides(data, tmp_path / "m", steps=60, options={"poison": "1"})

    assert not (tmp_path / "m" / "model.json").exists()


def test_patience_stops_early(data, tmp_path):
    trained = train("stubborn", data, tmp_path / "m", device="cpu", options={"recipe.precision": "float32"})

    assert trained.card.training.stopped == "patience"
    assert trained.card.training.steps < 1000


def test_a_budget_becomes_a_number_of_steps_once(data, tmp_path):
    told = []
    began = time.monotonic()
    trained = sides(data, tmp_path / "m", budget=5, progress=told.append)

    assert time.monotonic() - began < 10
    assert trained.card.training.stopped == "finished"
    assert trained.card.training.steps > 20
    assert {one.steps for one in told if one.phase == "training"} - {None} == {trained.card.training.steps}


def test_memory_that_runs_out_halves_the_batch_and_says_so(data, tmp_path):
    trained = sides(data, tmp_path / "m", steps=10, options={"most": "3"})

    assert trained.card.training.batch_size == 2
    assert [note for note in trained.notes if "halved" in note][-1].endswith("step 1: the batch was halved to 2")
    assert trained.history[-1].losses["val/loss"] > 0
    with pytest.raises(TrainingError, match="not enough memory for one case"):
        sides(data, tmp_path / "n", steps=10, options={"most": "0"})


def test_an_anomaly_model_learns_the_normal_rows_alone(data, tmp_path):
    trained = train("rebuilder", data, tmp_path / "m", normal="1", device="cpu")

    assert trained.card.training.rows["train"] == 24
    assert trained.card.training.normal == "1"
    session = Session(tmp_path / "m", device="cpu")
    images, labels = pixels(20, seed=9)
    scores = np.array([session.predict(image).prediction.score for image in images])
    assert scores[labels == 0].min() > scores[labels == 1].max()
    with pytest.raises(CallError, match="no row has the label 'healthy', named as normal; the labels: 0, 1"):
        train("rebuilder", data, tmp_path / "n", normal="healthy", device="cpu")
    with pytest.raises(CallError, match="sides is no anomaly model"):
        sides(data, tmp_path / "n", normal="1")


def test_an_anomaly_model_that_learns_rows_of_several_labels_says_so(data, tmp_path):
    alone = train("rebuilder", data, tmp_path / "m", normal="1", steps=2, device="cpu")
    mixed = train("rebuilder", data, tmp_path / "n", steps=2, device="cpu")

    said = "all rows are learned as normal, whichever of 0, 1 they are: name the label of normal ones"
    assert any(said in note for note in mixed.notes)
    assert not any("learned" in note for note in alone.notes)


def test_what_is_to_be_known_of_the_data_is_told_before_the_first_step(data, tmp_path):
    seen = []

    trained = sides(data, tmp_path / "m", steps=2, progress=seen.append)

    [at] = [place for place, one in enumerate(seen) if one.notes]
    assert at < [one.phase for one in seen].index("training")
    assert seen[at].notes == trained.notes[: len(seen[at].notes)]
    assert any("no patient ids" in note for note in seen[at].notes)


def test_a_model_measures_its_normal_rows_once_trained_and_keeps_the_measures(data, tmp_path):
    train("knowing", data, tmp_path / "m", normal="1", steps=30, device="cpu")

    session = Session(tmp_path / "m", device="cpu")
    rows, means, learning = session.network.known.T.tolist()
    assert (rows, learning) == ([24, 8], [0, 0])
    with np.load(data) as arrays:
        for split, mean in zip(("train", "val"), means):
            normal = arrays[f"{split}_images"][arrays[f"{split}_labels"].ravel() == 1]
            served = [session.predict(image).prediction.score for image in normal]
            assert mean == pytest.approx(np.mean(served), rel=1e-5)


def test_several_labels_are_learned_where_some_are_unknown(tmp_path):
    images, labels = pixels(60)
    rows = [
        {"left": 1 - label, "right": label if index % 5 else "", "pixels": image}
        for index, (image, label) in enumerate(zip(images, labels))
    ]

    options = DataOptions(labels=("left", "right"))
    sides(write_csv(tmp_path / "data", rows), tmp_path / "m", steps=60, data_options=options)

    prediction = Session(tmp_path / "m", device="cpu").predict(images[1]).prediction
    assert not prediction.exclusive
    assert prediction.probabilities["right"] > 0.5 > prediction.probabilities["left"]


def test_numbers_are_learned(tmp_path):
    images, _ = pixels(60)
    rows = [{"left": image[:, :8].mean() / 100, "pixels": image} for image in images]
    options = DataOptions(labels=("left",))
    data = write_csv(tmp_path / "data", rows)

    train("measurer", data, tmp_path / "m", steps=150, data_options=options, device="cpu")

    session = Session(tmp_path / "m", device="cpu")
    errors = [session.predict(row["pixels"]).prediction.values["left"] - row["left"] for row in rows]
    assert np.abs(errors).mean() < 0.15


def test_masks_are_learned(tmp_path):
    images, _ = pixels(40)
    rows = [{"outline": f"mask-{index}.png", "pixels": image} for index, image in enumerate(images)]
    data = write_csv(tmp_path / "data", rows)
    write_csv(tmp_path / "masks", [{"pixels": (image > 100).astype(np.uint8)} for image in images])
    for index in range(40):
        (tmp_path / "masks" / f"{index}.png").rename(tmp_path / "data" / f"mask-{index}.png")

    train("outliner", data, tmp_path / "m", steps=150, data_options=DataOptions(mask="outline"), device="cpu")

    mask = Session(tmp_path / "m", device="cpu").predict(images[0]).prediction.mask
    assert (mask == (images[0] > 100)).mean() > 0.9


def cut(content):
    return content[: len(content) * 2 // 3]


def garble(content):
    middle = len(content) // 2
    return content[:middle] + bytes(byte ^ 0xFF for byte in content[middle : middle + 20]) + content[middle + 20 :]


@pytest.mark.parametrize("damage", [cut, garble])
@pytest.mark.parametrize("model", ["sides", "as-stored"])  # whose preprocessing is fitted to the rows, and is not
def test_an_unreadable_picture_is_left_out_and_named(tmp_path, model, damage):
    data = write_csv(tmp_path / "data", [{"label": index % 2, "split": "train"} for index in range(20)])
    broken = tmp_path / "data" / "7.png"
    content = broken.read_bytes()
    broken.write_bytes(damage(content))

    trained = train(model, data, tmp_path / "m", steps=12, device="cpu")

    assert [Path(one.reference.source).name for one in trained.left_out if one.outcome.reason] == ["7.png"]
    assert any("7.png" in note for note in trained.notes)


def test_cases_of_several_shapes_are_refused_and_two_of_them_named(tmp_path):
    rows = [{"label": index % 2, "split": "train"} for index in range(20)]
    rows[5]["pixels"] = np.zeros((16, 20))

    with pytest.raises(
        TrainingError, match=r"cases of one shape, and .*\.png and .*\.png become \(16, 16\) and \(16, 20\)"
    ):
        train("as-stored", write_csv(tmp_path / "data", rows), tmp_path / "m", device="cpu")


def test_what_the_contract_refuses_is_left_out_and_listed(tmp_path):
    rows = [{"label": index % 2, "split": "train"} for index in range(20)]
    rows[3]["pixels"] = np.zeros((16, 16, 3))
    data = write_csv(tmp_path / "data", rows)

    trained = train(
        "as-stored", data, tmp_path / "m", steps=5, device="cpu", data_options=DataOptions(modality=("CR", "DX"))
    )

    assert trained.card.contract.modality.values == ("CR", "DX")
    assert [Path(one.reference.source).name for one in trained.left_out] == ["3.png"]
    assert any("3.png: the image has 3 channels" in note for note in trained.notes)


def test_settings_are_typed_and_unknown_ones_are_refused(data, tmp_path):
    trained = sides(data, tmp_path / "m", steps=2, options={"width": "6", "depths": "2,3", "recipe.batch_size": "4"})

    assert trained.card.options["width"] == 6
    assert trained.card.options["depths"] == (2, 3) or trained.card.options["depths"] == [2, 3]
    assert trained.card.training.batch_size == 4
    with pytest.raises(CallError, match=r"no option 'widht'; did you mean 'width'\?.*learning_rate: float = 0.01"):
        sides(data, tmp_path / "n", options={"widht": "6"})
    with pytest.raises(CallError, match="option width is int, and 'wide' is none"):
        sides(data, tmp_path / "n", options={"width": "wide"})
    with pytest.raises(CallError, match="the recipe: ema is 2"):
        sides(data, tmp_path / "n", options={"recipe.ema": "2"})


def test_a_model_is_not_overwritten_by_accident(data, tmp_path):
    sides(data, tmp_path / "m", steps=2)
    first = weights(tmp_path / "m")

    with pytest.raises(CallError, match="holds a model already"):
        sides(data, tmp_path / "m", steps=3)
    assert weights(tmp_path / "m") == first
    sides(data, tmp_path / "m", steps=3, overwrite=True)
    assert weights(tmp_path / "m") != first
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "thesis.txt").write_text("years of work")
    with pytest.raises(CallError, match="is no model folder"):
        sides(data, tmp_path / "notes", steps=3, overwrite=True)


def test_a_model_that_cannot_answer_what_it_admits_is_refused_before_it_trains(data, tmp_path):
    with pytest.raises(PluginError, match="rigid cannot answer an image that its own contract admits"):
        train("rigid", data, tmp_path / "m", device="cpu")

    assert not (tmp_path / "m").exists()


def test_a_model_that_could_not_be_saved_whole_is_no_model(data, tmp_path, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    sides(data, tmp_path / "m", steps=4)
    with monkeypatch.context() as patch:
        patch.setattr("medplug.golden.write_card", full)
        with pytest.raises(OSError, match="no space"):
            sides(data, tmp_path / "m", steps=8, resume=True)
    assert not (tmp_path / "m" / "model.json").exists()

    sides(data, tmp_path / "m", resume=True)

    assert all(check.passed for check in golden.verify(tmp_path / "m"))


def test_wrong_calls_are_refused_before_anything_is_read(data, tmp_path):
    with pytest.raises(CallError, match="not by both"):
        sides(data, tmp_path / "m", steps=3, budget=3)
    with pytest.raises(CallError, match="at least one"):
        sides(data, tmp_path / "m", steps=0)
    with pytest.raises(PluginError, match="no model named 'sidse'"):
        train("sidse", data, tmp_path / "m")
    with pytest.raises(PluginError, match="offered by no installed plugin"):
        train(type("Own", (Sides,), {"name": "own"}), data, tmp_path / "m")


def test_the_users_random_numbers_and_threads_are_left_alone(data, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)

    sides(data, tmp_path / "m", steps=3)

    assert torch.rand(3).equal(expected)
    assert medplug.Task.CLASSIFICATION.value == model_folder.read_card(tmp_path / "m").task


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_training_runs_on_cuda(data, tmp_path):
    trained = train("sides", data, tmp_path / "m", steps=30, device="cuda", options={"recipe.precision": "bfloat16"})
    more = train(
        "sides", data, tmp_path / "m", steps=60, device="cuda", resume=True, options={"recipe.precision": "bfloat16"}
    )

    assert trained.card.training.device == "cuda"
    assert more.card.training.precision == "bfloat16"
    assert all(check.passed for check in golden.verify(tmp_path / "m"))
