"""A whole benchmark of small models: what it looks at, what it keeps, what it refuses, and what it says."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from bench.models.parts import write_table
from learners import write_npz

import medplug
from medplug.bench.models import log, main, trial, trust
from medplug.bench.models.recipe import Variant
from medplug.bench.models.table import describe
from medplug.case import Case
from medplug.errors import CallError, TrainingError
from medplug.evaluation import evaluate
from medplug.model_folder import read_card
from medplug.sources import read_labelled


def trained(output: Path) -> dict[str, int]:
    """When each trial was finished."""
    return {str(file.parent): file.stat().st_mtime_ns for file in output.rglob(trial.RECORD)}


def test_without_final_no_test_row_is_looked_at(table, asked, tmp_path):
    assert not (tmp_path / "64.png").exists()  # nor any other test image

    [measured] = main.run(asked(table))

    assert measured.how == "cross-validation"
    assert measured.rows["test"] == 48  # each train row held out once
    assert measured.grouped_by == "person and equal images"
    assert [one.seed for one in measured.find("macro AUC").seeds] == [0, 1]
    for written in (tmp_path / "out" / "data").iterdir():
        patients = {case.row["person"] for case in read_labelled(written) if isinstance(case, Case)}
        assert patients
        assert patients <= {f"P{number}" for number in range(24)}
    assert not (tmp_path / "log.jsonl").exists()


def test_models_and_baselines_answer_the_same_rows_and_are_compared(npz, asked):
    [measured] = main.run(asked(npz, settings={"recipe.steps": "60"}, seeds=(0,)))

    assert [one.name for one in measured.baselines] == ["majority", "border", "grey statistics", "pixels"]
    by_name = {one.name: {figure.figure: figure.value for figure in one.figures} for one in measured.baselines}
    assert by_name["majority"]["macro AUC"] == 0.5
    assert by_name["pixels"]["macro AUC"] > 0.95  # which side is bright is linear
    above = measured.find("macro AUC above majority")
    assert above.value == pytest.approx(measured.find("macro AUC").value - 0.5)
    assert above.low > 0.2


def test_what_is_finished_is_not_trained_again_and_what_is_not_is(npz, asked, tmp_path):
    [before] = main.run(asked(npz))
    times = trained(tmp_path / "out")
    assert len(times) == 4
    lost = next(iter(times))
    shutil.rmtree(lost)

    [after] = main.run(asked(npz))

    again = trained(tmp_path / "out")
    assert [folder for folder in times if times[folder] != again[folder]] == [lost]
    assert after.figures == before.figures


def test_other_settings_or_other_data_are_not_taken_for_finished(npz, asked, tmp_path):
    main.run(asked(npz, seeds=(0,)))

    main.run(asked(npz, seeds=(0,), settings={"recipe.steps": "4"}))
    arrays = dict(np.load(npz))
    arrays["train_images"][0, 0, 0] ^= 1
    np.savez(npz, **arrays)
    main.run(asked(npz, seeds=(0,)))

    assert len(trained(tmp_path / "out")) == 3 * 2


def test_the_commit_is_that_which_the_run_began_with(npz, asked, monkeypatch):
    commits = iter(["one", "two", "three"])
    monkeypatch.setattr(main, "commit", lambda: next(commits))
    variants = [Variant("sides", {"recipe.steps": steps}, steps) for steps in ("2", "3")]

    found = main.run(asked(npz, variants=variants, seeds=(0,)))

    assert [one.commit for one in found] == ["one", "one"]


def test_variants_of_a_plugin_are_compared_with_the_first(npz, asked):
    variants = [Variant("sides", {"recipe.steps": steps}, f"recipe.steps={steps}") for steps in ("2", "60")]

    first, second = main.run(asked(npz, variants=variants, seeds=(0,)))

    assert first.differences == ()
    change = next(one for one in second.differences if one.figure == "macro AUC")
    assert change.value == pytest.approx(second.find("macro AUC").value - first.find("macro AUC").value)
    assert first.recipe_sha256 != second.recipe_sha256


def test_a_final_run_scores_the_test_rows_as_evaluate_does_and_is_logged(tmp_path, asked):
    table = write_table(tmp_path, test_files=True)

    [measured] = main.run(asked(table, final=True, seeds=(3,), settings={"recipe.steps": "30"}))

    assert (measured.how, measured.rows) == ("final", {"train": 48, "val": 16, "test": 16})
    assert log.read(tmp_path / "log.jsonl") == (measured,)
    [model] = (tmp_path / "out").glob("*/seed-3-fold-0/model")
    made = evaluate(model, device="cpu", resamples=0)
    for name in ("accuracy", "balanced accuracy", "macro AUC", "ECE"):
        assert measured.find(name).value == pytest.approx(made.figure(name).value)
    card = read_card(model)
    assert measured.recipe["options"] == card.options
    assert measured.recipe["recipe"]["steps"] == card.training.steps == 30


def test_the_same_final_run_is_refused_before_anything_is_trained_unless_the_log_shows_both(npz, asked, tmp_path):
    main.run(asked(npz, final=True, seeds=(0,)))

    with pytest.raises(CallError, match=r"was scored on the test rows of mine on 2.*--again"):
        main.run(asked(npz, final=True, seeds=(0, 1), output=tmp_path / "elsewhere"))
    assert trained(tmp_path / "elsewhere") == {}
    main.run(asked(npz, final=True, seeds=(0,), again=True))
    main.run(asked(npz, final=True, seeds=(0,), settings={"recipe.steps": "4"}))

    assert [run.again for run in log.read(tmp_path / "log.jsonl")] == [False, True, False]


def test_a_final_run_of_two_plugins_that_was_cut_short_goes_on_and_each_is_logged_once(
    npz, asked, tmp_path, monkeypatch
):
    few = {"recipe.steps": "3"}
    call = asked(npz, variants=[Variant("sides", few), Variant("cnn", {**few, "width": "4"})], final=True)
    whole = trial.run

    def cut_short(folder: Path, plugin: str, *args: object, **more: object) -> trial.Trial:
        if plugin == "cnn" and more["seed"] == 1:
            raise KeyboardInterrupt
        return whole(folder, plugin, *args, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(trial, "run", cut_short)
        with pytest.raises(KeyboardInterrupt):
            main.run(call)
    [logged] = log.read(tmp_path / "log.jsonl")
    times = trained(tmp_path / "out")

    first, second = main.run(call)

    assert first == logged
    assert log.read(tmp_path / "log.jsonl") == (first, second)
    assert {folder: trained(tmp_path / "out")[folder] for folder in times} == times
    with pytest.raises(CallError, match="--again"):
        main.run(call)


def test_a_patient_in_train_and_test_stops_a_final_run(tmp_path, asked):
    table = write_table(tmp_path, test_files=True)
    table.write_text(table.read_text().replace("test,64.png,left,P32", "test,64.png,left,P0"))

    with pytest.raises(TrainingError, match="several splits"):
        main.run(asked(table, final=True))

    assert trained(tmp_path / "out") == {}


def test_a_final_run_takes_one_recipe_and_a_log(npz, asked):
    variants = [Variant("sides", {"recipe.steps": steps}, steps) for steps in ("2", "3")]

    with pytest.raises(CallError, match="one frozen recipe of each plugin"):
        main.run(asked(npz, variants=variants, final=True))
    with pytest.raises(CallError, match="--log"):
        main.run(asked(npz, final=True, log=None))


def test_an_anomaly_model_is_compared_with_principal_components(npz, asked):
    [measured] = main.run(asked(npz, "rebuilder", normal="0", seeds=(0,)))

    assert [one.name for one in measured.baselines] == ["PCA-16"]
    assert measured.find("AUROC above PCA-16") is not None
    assert measured.recipe["normal"] == "0"
    with pytest.raises(CallError, match="--normal"):
        main.run(asked(npz, "rebuilder"))
    with pytest.raises(CallError, match="no row has the label 'well'"):
        main.run(asked(npz, "rebuilder", normal="well"))


def test_a_generator_is_judged_by_the_classifier_of_the_same_final_run(npz, asked):
    few = {"recipe.steps": "3"}
    variants = [Variant("cnn", {**few, "width": "4"}), Variant("duel", few)]

    _, generator = main.run(asked(npz, variants=variants, final=True, seeds=(0, 1)))

    distances = [one for one in generator.figures if one.figure.startswith("Frechet distance")]
    assert distances
    assert all(one.covers == "seeds" and len(one.seeds) == 2 for one in distances)
    with pytest.raises(CallError, match="--features"):
        main.run(asked(npz, "duel"))


def test_what_one_classifier_judged_is_not_taken_for_the_judgement_of_another(npz, asked, tmp_path):
    few = {"recipe.steps": "3"}
    judges = []
    for width in (4, 8):
        judges.append(tmp_path / f"judge-{width}")
        medplug.train("cnn", npz, judges[-1], options={"width": width, "recipe.steps": 2}, device="cpu")

    found = [
        main.run(asked(npz, "duel", settings=few, final=True, seeds=(0,), features=judge, again=True))[0]
        for judge in (*judges, judges[0])
    ]

    distances = [next(one.value for one in run.figures if one.figure.startswith("Frechet distance")) for run in found]
    assert distances[0] == distances[2] != distances[1]
    assert len(trained(tmp_path / "out")) == 2
    for run, judge in zip(found, judges):
        assert f"the weights {read_card(judge).weights_sha256[:12]}" in run.notes[0]


def test_a_model_that_met_no_foreign_images_meets_them_when_they_are_there(asked, tmp_path):
    npz = write_npz(tmp_path / "more.npz", val=24)  # enough for a measure of novelty
    write_table(tmp_path, test_files=True)
    foreign = {"other": [tmp_path / f"{row}.png" for row in range(12)]}
    once = {"final": True, "seeds": (0,), "again": True}

    [without] = main.run(asked(npz, **once))
    [met] = main.run(asked(npz, foreign=foreign, **once))

    assert without.find(trust.FOREIGN) is None
    assert met.find(trust.FOREIGN) is not None


def test_what_cannot_be_benchmarked_is_refused_before_the_first_training(npz, asked, tmp_path):
    for plugins, message in ((("sides", "measurer"), "regression"), (("sides", "nobody"), "nobody")):
        with pytest.raises(Exception, match=message):
            main.run(asked(npz, *plugins))
    with pytest.raises(CallError, match="no option 'depth'"):
        main.run(asked(npz, settings={"depth": "3"}))
    assert trained(tmp_path / "out") == {}


def test_no_note_of_a_run_names_a_file(table, asked, tmp_path):
    damaged = tmp_path / "3.png"
    damaged.write_bytes(damaged.read_bytes()[:40])

    [measured] = main.run(asked(table, seeds=(0,)))

    assert measured.notes  # what names no file stays
    assert not any(str(tmp_path) in note or "3.png" in note for note in measured.notes)


@pytest.mark.parametrize("final", [False, True])
def test_an_image_in_two_splits_leaves_the_earlier_and_the_benchmark_runs(npz, asked, final):
    arrays = dict(np.load(npz))
    arrays["val_images"][0], arrays["test_images"][1] = arrays["train_images"][:2]
    np.savez(npz, **arrays)

    [measured] = main.run(asked(npz, final=final, seeds=(0,)))

    assert any("2 train rows" in note for note in measured.notes) is final  # no fold sees the other splits


def test_every_training_starts_from_the_pretrained_weights_and_their_hash_is_part_of_the_recipe(npz, asked, tmp_path):
    from safetensors.torch import load_file

    main.run(asked(npz, final=True, seeds=(0,), settings={"recipe.steps": "30"}, output=tmp_path / "first"))
    [first] = (tmp_path / "first").glob("*/seed-0-fold-0/model")

    barely = {"recipe.steps": "1", "learning_rate": "1e-9"}
    [fresh] = main.run(asked(npz, final=True, seeds=(1,), settings=barely))
    [begun] = main.run(asked(npz, final=True, seeds=(1,), settings=barely, pretrained=first))

    start = read_card(first).weights_sha256
    assert (fresh.recipe["pretrained"], begun.recipe["pretrained"]) == (None, start)
    assert fresh.recipe_sha256 != begun.recipe_sha256
    assert start[:12] in "\n".join(describe(begun))
    kept = load_file(first / "weights.safetensors")
    learned = [name for name in kept if kept[name].dim() > 1]  # unlike running means, one tiny step moves them little
    ends = [load_file(model / "weights.safetensors") for model in (tmp_path / "out").glob("*/seed-1-fold-0/model")]
    far, near = sorted(
        (max(float((end[name] - kept[name]).abs().max()) for name in learned) for end in ends), reverse=True
    )
    assert near < 1e-3 < far


def test_pretrained_weights_that_are_not_there_are_refused_before_the_first_training(npz, asked, tmp_path):
    with pytest.raises(CallError, match="holds no pretrained weights"):
        main.run(asked(npz, pretrained=tmp_path / "nothing"))
    assert trained(tmp_path / "out") == {}
