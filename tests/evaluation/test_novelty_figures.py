"""How often what is foreign is marked: in an evaluation, against another source, and on real images."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from told import ToldClass, dataset_of

from medplug import sources
from medplug.dataset import DataOptions, load
from medplug.errors import CallError
from medplug.evaluation import evaluate
from medplug.evaluation.novelty_figures import novelty_against
from medplug.evaluation.novelty_fit import fit_novelty
from medplug.model import Labels, Task
from medplug.model_folder import fresh
from medplug.result import Rejected, Skipped
from medplug.session import Session
from medplug.training import train

NAMES = ("a", "b", "c")


def rows(count, split, seed=0, off=0.0, **more):
    generator = np.random.default_rng(seed)
    more = {"modality": "OT", **more}
    return dataset_of(list(generator.random((count, 1, 3)) + off), np.arange(count) % 3, NAMES, split=split, **more)


@pytest.fixture(scope="module")
def loaded():
    model = fresh(ToldClass(labels=Labels(names=NAMES)))
    return fit_novelty(model, rows(200, "train"), rows(100, "val", seed=1), "cpu")


def test_an_evaluation_says_which_share_of_its_rows_is_novel(loaded):
    own = evaluate(Session(loaded, "cpu"), rows(150, "test", seed=2), resamples=50).figure("novel share")
    other = evaluate(Session(loaded, "cpu"), rows(50, "test", seed=2, off=3.0), resamples=50).figure("novel share")

    assert own.low <= own.value <= own.high <= 0.15
    assert other.value == 1.0


def test_the_share_counts_the_rows_that_are_scored_alone(loaded):
    """Rows without a truth are left out of every figure, this one too."""
    strange = rows(20, "test", seed=2, off=3.0)
    usual = rows(60, "test", seed=3)
    both = dataset_of(
        [case.image.read()[0] for case in (*usual.cases, *strange.cases)],
        [*usual.targets.tolist(), *[-1] * 20],
        NAMES,
        modality="OT",
    )

    assert evaluate(Session(loaded, "cpu"), both, resamples=0).figure("novel share").value < 0.2


def test_a_model_without_a_measure_has_no_such_figure(loaded):
    made = evaluate(Session(replace(loaded, novelty=None), "cpu"), rows(30, "test"), resamples=0)

    assert "novel share" not in {figure.name for figure in made.figures}


def test_refused_for_it_is_told_by_the_notes_and_not_by_the_share(loaded):
    mixed = rows(30, "test", seed=4)
    mixed = replace(mixed, cases=(*mixed.cases[:-5], *rows(5, "test", off=3.0).cases))

    made = evaluate(Session(loaded, "cpu", novel="refuse"), mixed, resamples=0)

    assert made.refused >= 5
    assert any("novel (" in note for note in made.notes)
    assert "novel share" not in {figure.name for figure in made.figures}


def test_the_area_and_the_shares_are_those_of_the_scores(loaded):
    session = Session(loaded, "cpu")
    own, foreign = rows(80, "test", seed=5), rows(40, "test", seed=6, off=0.3)

    found = novelty_against(session, own, foreign.cases, resamples=50)

    ours, theirs = ([answer.result.novelty for answer in session.answer(one.cases)] for one in (own, foreign))
    pairs = [(a.score < b.score) + (a.score == b.score) / 2 for a in ours for b in theirs]
    assert found.auroc.value == pytest.approx(np.mean(pairs))
    assert found.auroc.low < found.auroc.value < found.auroc.high
    assert found.own_stopped.value == pytest.approx(np.mean([one.novel for one in ours]))
    assert found.foreign_stopped.value == pytest.approx(np.mean([one.novel for one in theirs]))


def test_what_the_contract_refuses_is_stopped_and_has_no_score(loaded):
    own = rows(40, "test", seed=5)
    foreign = [*rows(10, "test", off=3.0).cases, *rows(5, "test", modality="CT").cases]
    skipped = Rejected(own.cases[0].reference, Skipped(reason="no image"))

    found = novelty_against(Session(loaded, "cpu"), own, [*foreign, skipped], resamples=20)

    assert (found.own, found.foreign, found.own_scored, found.foreign_scored) == (40, 15, 40, 10)
    assert found.foreign_stopped.value == 1.0


def test_intervals_draw_whole_patients(loaded):
    own = rows(60, "test", seed=5)
    by_patient = replace(own, patients=np.array(["all"] * 30 + [str(i) for i in range(30)]))
    foreign = rows(40, "test", seed=6, off=0.2).cases

    apart, together = (
        novelty_against(Session(loaded, "cpu"), one, foreign, resamples=300) for one in (own, by_patient)
    )

    assert apart.auroc.value == together.auroc.value
    assert together.auroc.high - together.auroc.low > apart.auroc.high - apart.auroc.low


def test_without_a_measure_or_without_images_there_is_nothing_to_compare(loaded):
    own = rows(20, "test")

    with pytest.raises(CallError, match="no measure of novelty"):
        novelty_against(Session(replace(loaded, novelty=None), "cpu"), own, own.cases)
    with pytest.raises(CallError, match="20 own and 0 foreign images"):
        novelty_against(Session(loaded, "cpu"), own, [])


def test_a_model_of_chests_stops_ct_mr_and_mammograms_even_where_they_do_not_say_what_they_are(test_data, tmp_path):
    """A small network, quickly trained on real radiographs: the goal for the whole data set stands in the docs."""
    source = test_data / "cxr-kermany"
    table = list(csv.DictReader((source / "manifest.csv").read_text().splitlines()))
    wanted = {"train": 240, "val": 100, "test": 100}
    with (tmp_path / "some.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["file", "label2", "split", "patient_group"], extrasaction="ignore")
        writer.writeheader()
        for split, count in wanted.items():
            some = [row for row in table if row["split"] == split]
            for row in some[:: len(some) // count][:count]:
                writer.writerow({**row, "file": source / row["file"]})
    columns = DataOptions(labels=("label2",), patient="patient_group", split="split")
    options = {"width": 8, "size": 48, "depth": (1, 1, 1), "recipe.batch_size": 16}
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        made = train("cnn", tmp_path / "some.csv", tmp_path / "m", data_options=columns, options=options, steps=60)
        session = Session(made.path, "cpu")
        own = load(tmp_path / "some.csv", columns, task=Task.CLASSIFICATION).of("test")
        foreign = [
            *sorted((test_data / "dicom-series" / "ct-philips-phantom-1mm").glob("*.dcm"))[::4],
            *sorted((test_data / "dicom-series" / "mr-t1-7t-defaced").glob("*.dcm"))[::4],
            test_data / "dicom-files" / "files" / "fo-dicom" / "GH133.dcm",
        ]
        found = novelty_against(session, own, sources.read(foreign, session.loaded.contract.unit), resamples=0)
    finally:
        torch.set_num_threads(before)

    assert found.own_stopped.value <= 0.10
    assert (found.foreign, found.foreign_scored) == (32, 32)
    assert found.foreign_stopped.value >= 0.95
    assert found.auroc.value >= 0.97
