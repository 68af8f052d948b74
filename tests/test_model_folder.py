"""The model folder: whole or absent, verified station by station, and nothing in it is executed."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import medplug
from medplug import golden, model_folder
from medplug.plugins import discover
from medplug.preprocessing import from_plain
from medplug.session import Session


@pytest.fixture
def folder(tmp_path):
    """A folder of an untrained `cnn`."""
    return save(tmp_path / "model", "cnn", size=32, width=8, depth=(1, 1))


def save(path, name, seed=3, **options):
    offer = discover().find(name)
    model = offer.model(offer.model.Options(**options), medplug.Labels(names=("normal", "pneumonia")))
    plugin = model_folder.describe_plugin(model, offer.distribution, offer.distribution_version)
    golden.save(path, model_folder.fresh(model, seed), plugin)
    return path


def edit(folder, change):
    card = json.loads((folder / "model.json").read_text())
    change(card)
    (folder / "model.json").write_text(json.dumps(card))


def failing(folder):
    return {check.station: check.detail for check in golden.verify(folder) if not check.passed}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cnn", {"size": 32, "width": 8, "depth": (1, 1)}),
        ("cnn", {"size": 16, "width": 8, "depth": (1, 1), "dims": 3}),
        ("autoencoder", {"size": 32, "width": 4}),
        ("gan", {"size": 28, "width": 4}),
    ],
)
def test_a_saved_model_verifies_and_answers_as_before(tmp_path, name, options):
    path = save(tmp_path / "model", name, **options)

    checks = golden.verify(path)

    assert [check.same for check in checks] == ["bit-equal"] * len(checks)
    assert {check.station.split(" ")[0] for check in checks} >= {"weights", "preprocessing", "network"}


def test_a_loaded_model_gives_the_answer_of_the_saved_one(folder):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 40)).astype(np.uint8)

    first, second = (Session(folder, device="cpu").predict(pixels) for _ in range(2))

    assert first == second
    assert first.model.weights_sha256 == model_folder.sha256_of(folder / "weights.safetensors")
    assert first.model.distribution == "medplug"


def test_one_byte_of_the_weights_is_noticed_and_named(folder):
    weights = folder / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)

    assert list(failing(folder)) == ["weights"]
    with pytest.raises(medplug.ModelFolderError, match=r"weights\.safetensors was changed"):
        Session(folder, device="cpu")


def test_one_number_in_the_preprocessing_is_noticed_and_named(folder):
    def change(card):
        card["preprocessing"]["normalize"]["mean"] = [0.51]

    edit(folder, change)

    [(station, detail)] = failing(folder).items()
    assert station == "preprocessing in model.json"
    assert "changed after it was written" in detail
    with pytest.raises(medplug.ModelFolderError, match="changed after it was written"):
        Session(folder, device="cpu")


def test_another_interpolation_under_a_forged_id_is_noticed_by_the_golden_tensors(folder):
    def change(card):
        card["preprocessing"]["filter"] = "linear"
        card["plan_id"] = from_plain(card["preprocessing"]).plan_id

    edit(folder, change)

    assert "preprocessing (image)" in failing(folder)


def test_a_network_that_computes_something_else_is_noticed(folder, monkeypatch):
    from medplug_cnn import Cnn

    before = Cnn.forward
    monkeypatch.setattr(Cnn, "forward", lambda *args: {name: one * 1.5 for name, one in before(*args).items()})

    assert set(failing(folder)) == {"network (logits)", "network (features)"}


def test_a_folder_from_before_a_plugin_had_some_options_answers_as_it_did(tmp_path):
    then = {"mirror": False, "standardise": False, "backbone": "residual", "views": 1}
    folder = save(tmp_path / "model", "cnn", size=32, width=8, depth=(1, 1), **then)
    tensors = model_folder.read_tensors(folder / "golden.safetensors")
    del tensors["output/features"]
    sha256 = model_folder.write_tensors(folder / "golden.safetensors", tensors)
    edit(folder, lambda card: card.update(golden_sha256=sha256, training=None))
    edit(folder, lambda card: [card["options"].pop(name) for name in then])

    assert {check.same for check in golden.verify(folder)} == {"bit-equal"}


def test_a_network_that_gives_less_than_it_did_is_noticed_and_one_that_gives_more_is_not(folder, monkeypatch):
    from medplug_cnn import Cnn

    before = Cnn.forward
    monkeypatch.setattr(Cnn, "forward", lambda *args: {**before(*args), "more": before(*args)["logits"]})
    assert failing(folder) == {}

    monkeypatch.setattr(Cnn, "forward", lambda *args: {"features": before(*args)["features"]})
    assert "output/logits" in failing(folder)["network"]


def test_a_difference_below_the_tolerance_is_close(folder, monkeypatch):
    from medplug_cnn import Cnn

    before = Cnn.forward
    monkeypatch.setattr(Cnn, "forward", lambda *args: {name: one + 1e-6 for name, one in before(*args).items()})

    assert {check.station: check.same for check in golden.verify(folder)}["network (logits)"] == "close"


def test_a_folder_that_is_none_says_so(tmp_path):
    with pytest.raises(medplug.ModelFolderError, match="does not exist"):
        model_folder.read_card(tmp_path / "nothing")
    with pytest.raises(
        medplug.ModelFolderError, match=r"is no model folder: a folder that holds model\.json is needed"
    ):
        model_folder.read_card(tmp_path)
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(medplug.ModelFolderError, match=r"a\.png is a file: a folder"):
        model_folder.read_card(tmp_path / "a.png")


@pytest.mark.parametrize("missing", ["weights.safetensors", "golden.safetensors"])
def test_a_folder_that_is_not_whole_says_what_is_missing(folder, missing):
    (folder / missing).unlink()

    with pytest.raises(medplug.ModelFolderError, match=f"{missing} is missing"):
        golden.verify(folder)


def test_unknown_keys_and_unknown_options_are_refused(folder):
    edit(folder, lambda card: card["options"].update(backdoor=1))
    with pytest.raises(medplug.ModelFolderError, match="backdoor"):
        Session(folder, device="cpu")
    edit(folder, lambda card: card.update(surprise=1))
    with pytest.raises(medplug.ModelFolderError, match="surprise"):
        model_folder.read_card(folder)


def test_a_plugin_that_is_not_installed_is_named(folder):
    edit(folder, lambda card: card["plugin"].update(distribution="elsewhere", name="net"))

    with pytest.raises(medplug.ModelFolderError, match="elsewhere:net"):
        Session(folder, device="cpu")


def test_another_version_of_the_plugin_is_named_and_warned_of(folder, caplog):
    edit(folder, lambda card: card["plugin"].update(model_version="0.7", distribution_version="0.0.9"))

    loaded = model_folder.load(folder)

    [warning] = [record.getMessage() for record in caplog.records]
    version = loaded.model.version
    assert loaded.reference.version == version != "0.7"
    assert f"version 0.7 of medplug 0.0.9, and runs with version {version} of medplug {medplug.__version__}" in warning


def test_the_version_that_wrote_the_folder_is_not_warned_of(folder, caplog):
    model_folder.load(folder)

    assert caplog.records == []


def test_a_folder_for_another_task_than_its_plugins_is_refused(folder):
    edit(folder, lambda card: card.update(task="anomaly"))

    with pytest.raises(medplug.ModelFolderError, match="a model for anomaly, and medplug:cnn is now one for classif"):
        model_folder.load(folder)


@pytest.mark.parametrize("temperature", [0, -1.5])
def test_a_temperature_that_cannot_divide_is_refused(folder, temperature):
    edit(folder, lambda card: card.update(calibration={"temperature": temperature, "split": "val", "rows": 9}))

    with pytest.raises(medplug.ModelFolderError, match="it must be above 0 and finite"):
        model_folder.read_card(folder)
    with pytest.raises(ValueError, match="above 0 and finite"):
        model_folder.Calibration(temperature=float("inf"), split="val", rows=9)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_golden_tensors_leave_a_shared_network_where_it_is(folder):
    loaded = model_folder.load(folder)
    loaded.network.cuda()

    golden.compute(loaded)

    assert {parameter.device.type for parameter in loaded.network.parameters()} == {"cuda"}


def test_a_pickle_in_place_of_the_weights_is_not_executed(folder, tmp_path):
    mark = tmp_path / "executed"

    class Hostile:
        def __reduce__(self):
            return (open, (str(mark), "w"))

    torch.save({"weight": Hostile()}, folder / "weights.safetensors")
    edit(
        folder,
        lambda card: card.update(weights_sha256=model_folder.sha256_of(folder / "weights.safetensors")),
    )

    with pytest.raises(medplug.ModelFolderError, match="cannot be read"):
        Session(folder, device="cpu")
    assert not mark.exists()


def test_loading_a_folder_imports_that_plugin_alone(folder):
    code = (
        "import sys, medplug; medplug.load(sys.argv[1], device='cpu'); "
        "print([name for name in sys.modules if name.startswith('medplug_')])"
    )

    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(folder)], capture_output=True, text=True, check=True, cwd=folder
    )

    assert "medplug_cnn" in done.stdout


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "model.json"
    target.write_text("old")

    def broken(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(OSError, match="disk full"):
        model_folder.write_whole(target, b"new")

    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
