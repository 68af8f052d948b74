"""Novelty in service: distances that are what they say, marks and refusals, and a folder that is checked."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from learners import pixels, write_npz
from msgspec.structs import replace as with_fields

from medplug import golden, model_folder, running
from medplug.errors import CallError, ModelFolderError, PluginError
from medplug.evaluation.novelty_fit import fit_gaussian
from medplug.novelty import MOST, Gaussian, NoveltyMeasure, gaussian_of, statistics, thumbnail
from medplug.session import Session
from medplug.training import train
from medplug.writers import read_results


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of a `cnn` that knows which side of 16 x 16 pixels of noise is bright."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("novelty")
    data = write_npz(folder / "sides.npz", train=96, val=60, test=40)
    options = {"width": 8, "depth": (1, 1), "recipe.batch_size": 16}
    made = train("cnn", data, folder / "m", options=options, steps=30, device="cpu")
    torch.set_num_threads(before)
    return made.path


def foreign(count=6):
    """Stripes, which no training row shows."""
    generator = np.random.default_rng(5)
    return [(np.indices((16, 16))[0] % 2 * 200 + generator.integers(0, 20, (16, 16))).astype(np.uint8)] * count


def copy_of(folder, to, change=lambda card: None):
    to.mkdir()
    for name in ("weights", "golden", "novelty"):
        (to / f"{name}.safetensors").write_bytes((folder / f"{name}.safetensors").read_bytes())
    card = json.loads((folder / "model.json").read_text())
    change(card)
    (to / "model.json").write_text(json.dumps(card))
    return to


def vectors(count, wide, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, wide)) @ generator.normal(size=(wide, wide)) + generator.normal(size=wide)


@pytest.mark.parametrize(("rank", "rest"), [(6, 0.0), (3, 0.5), (3, 0.0)])
def test_the_distance_is_that_of_the_covariance_written_out(rank, rest):
    generator = np.random.default_rng(1)
    basis = np.linalg.qr(generator.normal(size=(6, 6)))[0]
    variances, scale = generator.uniform(0.5, 3, rank), generator.uniform(0.5, 2, 6)
    means, asked = generator.normal(size=(2, 6)), generator.normal(size=(5, 6))
    arrays = (torch.from_numpy(one) for one in (means, scale, basis[:, :rank], variances))

    found = Gaussian(*arrays, rest=rest).log_distance(torch.from_numpy(asked)).exp()

    precision = (
        basis[:, :rank] @ np.diag(1 / variances) @ basis[:, :rank].T + rest * basis[:, rank:] @ basis[:, rank:].T
    )
    off = (asked[:, None] - means) / scale
    expected = np.sqrt(np.einsum("nkd,de,nke->nk", off, precision, off).min(axis=1))
    assert found.numpy() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("count", [40, 8])
def test_the_covariance_is_shrunk_as_ledoit_and_wolf_say(count):
    """With fewer rows than axes too, where what no row reaches has the variance that shrinking gives it."""
    rows = vectors(count, 12)
    off = rows - rows.mean(axis=0)

    made = fit_gaussian(rows, np.zeros(count, np.int64), 12, scaled=False, rest=True)

    covariance = off.T @ off / count
    target = np.eye(12) * np.trace(covariance) / 12
    error = sum(np.square(np.outer(one, one) - covariance).sum() for one in off) / count**2
    share = error / np.square(covariance - target).sum()
    basis, variances = made.basis.numpy(), made.variances.numpy()
    outside = np.eye(12) - basis @ basis.T
    assert 0.01 < share < 1
    assert basis @ np.diag(variances) @ basis.T + outside / (made.rest or np.inf) == pytest.approx(
        (1 - share) * covariance + share * target, rel=1e-4, abs=1e-4
    )


def test_what_lies_between_two_labels_is_farther_than_what_lies_at_one():
    rows = np.concatenate([vectors(200, 4) * 0.05, vectors(200, 4) * 0.05 + 10])
    made = fit_gaussian(rows, np.repeat([0, 1], 200), 4, scaled=False, rest=True)

    at, between = made.log_distance(torch.from_numpy(np.stack([rows[:200].mean(0), rows.mean(0)]))).tolist()

    assert between > at + 2


def test_a_basis_of_few_directions_still_sees_what_lies_outside_them():
    rows = vectors(300, 10) @ np.diag([10, 5, 2, *[0.1] * 7])
    made = fit_gaussian(rows, np.zeros(300, np.int64), 3, scaled=False, rest=True)
    outside = np.linalg.svd(rows - rows.mean(0))[2][-1]

    usual, odd = (
        made.log_distance(torch.from_numpy(rows[:1])),
        made.log_distance(torch.from_numpy(rows[:1] + 9 * outside)),
    )

    assert odd.item() > usual.item() + 1


@pytest.mark.parametrize("shape", [(2, 40, 33), (2, 5, 40, 33), (2, 1, 3), (2, 1, 1, 1)])
def test_every_shape_gives_vectors_of_one_length_for_its_axes(shape):
    image = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    other = torch.rand((1, *[19] * (len(shape) - 1)))

    for measure in (thumbnail, statistics):
        assert measure(image).shape == (2, measure(other).shape[1])
        assert measure(image).isfinite().all()


def test_a_score_of_what_is_no_number_is_the_largest(trained):
    measure = model_folder.load(trained).novelty
    rows = {part: gaussian.means[:1].repeat(2, 1) for part, gaussian in measure.gaussians.items()}
    rows["features"][1, 0] = torch.nan

    assert measure.scores(rows)[1] == MOST


def test_no_part_excuses_another(trained):
    measure = model_folder.load(trained).novelty
    usual = {part: gaussian.means[:1].clone() for part, gaussian in measure.gaussians.items()}
    for part, gaussian in measure.gaussians.items():
        odd = {**usual, part: usual[part] + 100 * gaussian.variances.max().sqrt() * gaussian.scale}

        assert [one.novel for one in measure.judge(odd)] == [True], part
        assert [one.novel for one in measure.judge(usual)] == [False]


def test_features_of_another_length_are_an_error_that_says_so(trained):
    measure = model_folder.load(trained).novelty
    rows = {part: gaussian.means[:1] for part, gaussian in measure.gaussians.items()}

    with pytest.raises(PluginError, match="fitted in 16 features, and the model gives 15"):
        measure.scores({**rows, "features": rows["features"][:, 1:]})
    with pytest.raises(PluginError, match="the model gives 0"):
        measure.scores({part: rows[part] for part in ("thumbnail", "statistics")})


def test_training_leaves_a_measure_that_marks_what_is_foreign_and_little_of_its_own_kind(trained):
    session = Session(trained, device="cpu")

    own = [result.novelty for result in session.run(list(pixels(100, seed=77)[0]))]
    others = [result.novelty for result in session.run(foreign())]

    assert sum(one.novel for one in own) <= 12
    assert all(one.novel and one.score > 2 * one.limit for one in others)
    fit = model_folder.read_card(trained).novelty
    assert (fit.split, fit.rows, fit.trained_rows) == ("val", 60, 96)
    assert fit.parts == ("features", "thumbnail", "statistics")
    assert (trained / "novelty.safetensors").stat().st_size < 500_000


def test_the_score_is_the_same_alone_in_a_batch_and_from_features_that_forward_does_not_give(trained, monkeypatch):
    from medplug_cnn import Cnn

    images = [*pixels(5)[0], *foreign(2)]
    session = Session(trained, device="cpu", batch_size=1)
    alone = [session.predict(image).novelty.score for image in images]
    together = [result.novelty.score for result in Session(trained, device="cpu").run(images)]
    monkeypatch.setattr(Cnn, "forward", lambda self, network, batch: {"logits": network(batch.image)})
    asked = [result.novelty.score for result in Session(trained, device="cpu").run(images)]

    assert together == pytest.approx(alone, rel=1e-3, abs=1e-3)
    assert asked == pytest.approx(together, rel=1e-5, abs=1e-5)


def test_a_session_that_refuses_what_is_novel_gives_no_answer_and_says_why(trained):
    session = Session(trained, device="cpu", novel="refuse")

    results = list(session.run([pixels(1)[0][0], foreign(1)[0]]))

    assert results[0].answered
    assert results[1].prediction.code == "novel"
    assert "its novelty is" in results[1].prediction.reason
    assert results[1].novelty.novel
    assert session.explain(foreign(1)[0], label="0").explanation is None


def test_a_folder_without_a_measure_answers_as_before_and_cannot_refuse(trained, tmp_path):
    old = copy_of(trained, tmp_path / "old", lambda card: [card.pop(key) for key in ("novelty", "novelty_sha256")])
    (old / "novelty.safetensors").unlink()
    tensors = model_folder.read_tensors(old / "golden.safetensors")
    kept = {name: one for name, one in tensors.items() if name in ("preprocessed/image", "output/logits")}
    sha256 = model_folder.write_tensors(old / "golden.safetensors", kept)
    model_folder.write_card(old, with_fields(model_folder.read_card(old), golden_sha256=sha256))

    session = Session(old, device="cpu")

    assert session.predict(foreign(1)[0]).novelty is None
    assert all(check.passed for check in golden.verify(old))
    with pytest.raises(CallError, match="no measure of novelty"):
        Session(old, device="cpu", novel="refuse")
    with pytest.raises(CallError, match="'flag' or 'refuse'"):
        Session(old, device="cpu", novel="ignore")


def test_verify_names_the_novelty_and_load_refuses_a_file_that_was_changed(trained, tmp_path):
    assert [check.station for check in golden.verify(trained)] == [
        "preprocessing in model.json",
        "weights",
        "novelty",
        "golden tensors",
        "preprocessing (image)",
        "network (features)",
        "network (logits)",
        "novelty (scores)",
    ]
    assert all(check.passed for check in golden.verify(trained))
    changed = copy_of(trained, tmp_path / "changed")
    file = changed / "novelty.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")

    assert [check.station for check in golden.verify(changed) if not check.passed] == ["novelty"]
    with pytest.raises(ModelFolderError, match=r"novelty\.safetensors was changed"):
        model_folder.load(changed)


def test_a_measure_that_computes_something_else_is_noticed(trained, monkeypatch):
    scores = NoveltyMeasure.scores
    monkeypatch.setattr(NoveltyMeasure, "scores", lambda self, vectors: [1.1 * one for one in scores(self, vectors)])

    assert [check.station for check in golden.verify(trained) if not check.passed] == ["novelty (scores)"]


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop("features/means"),
        lambda tensors: tensors.update({"thumbnail/basis": tensors["thumbnail/basis"][1:]}),
        lambda tensors: tensors.update({"statistics/variances": -tensors["statistics/variances"]}),
        lambda tensors: tensors.update({"features/numbers": torch.zeros(3)}),
    ],
)
def test_a_file_that_describes_no_novelty_is_refused(trained, tmp_path, change):
    tensors = model_folder.read_tensors(trained / "novelty.safetensors")
    change(tensors)
    folder = copy_of(trained, tmp_path / "m")
    sha256 = model_folder.write_tensors(folder / "novelty.safetensors", tensors)
    model_folder.write_card(folder, with_fields(model_folder.read_card(folder), novelty_sha256=sha256))

    with pytest.raises(ModelFolderError, match=r"does not describe the (features|thumbnail|statistics) of a novelty"):
        model_folder.load(folder)


@pytest.mark.parametrize("change", [{"limit": 0.0}, {"parts": []}, {"parts": ["dreams"]}, {"surplus": 1}])
def test_a_card_with_an_impossible_novelty_is_refused(trained, tmp_path, change):
    folder = copy_of(trained, tmp_path / "m", lambda card: card["novelty"].update(change))

    with pytest.raises(ModelFolderError, match="is not a model card"):
        model_folder.load(folder)


def test_what_a_gaussian_is_stored_as_gives_it_back():
    made = fit_gaussian(vectors(50, 8), np.arange(50) % 3, 4, scaled=True, rest=True)
    made = replace(made, usual=0.25, spread=0.5)
    asked = torch.from_numpy(vectors(9, 8, seed=2))

    assert gaussian_of(made.tensors()).unusual(asked).equal(made.unusual(asked))


def test_a_run_counts_what_is_unlike_and_its_files_say_which(trained, tmp_path):
    images = [*pixels(6)[0], *foreign(3)]

    summary = running.run(trained, [tmp_path / "missing.png", *images], tmp_path / "out", device="cpu")

    refused, *results = read_results(tmp_path / "out")
    assert (refused.novelty, summary.refused, summary.compared) == (None, 1, 9)
    assert summary.novel == sum(one.novelty.novel for one in results) >= 3
    assert [one.novelty.novel for one in results[-3:]] == [True] * 3
    page = (tmp_path / "out" / "report.html").read_text()
    assert f"{summary.novel} of 9 unlike what the model was trained on" in page
    assert page.count("Unlike what the model was trained on:") == summary.novel


def test_a_run_that_refuses_what_is_novel_counts_it_among_the_refused(trained, tmp_path):
    images = [*pixels(2)[0], *foreign(3)]

    summary = running.run(trained, images, tmp_path / "out", device="cpu", novel="refuse")

    assert (summary.refused, summary.novel) == (3, 3)
    assert '<span class="code">novel</span>' in (tmp_path / "out" / "report.html").read_text()
