"""Deletion and insertion: a map of what decides beats its controls, and a model of the middle loses to a blob."""

from dataclasses import replace

import numpy as np
import pytest
from test_explain import Blobs, Blobs3, spotted

import medplug
from medplug import CallError, Labels, Session
from medplug.case import Case, CaseReference
from medplug.dataset import Dataset
from medplug.evaluation import perturbed
from medplug.evaluation.explanation_figures import Checked
from medplug.evaluation.perturbed import CONTROLS, STEPS, blurred, even, mean_curve, score_maps, standing
from medplug.figures import Explained
from medplug.sources import from_array
from medplug.writers.html_explained import explained_section


class Spots(Blobs):
    """Surer than its parent: a spot alone says nearly all."""

    gain = 120


SHAPES = {Spots: (40, 56), Blobs3: (18, 20, 24)}


def spots(model, count=6, middle=False):
    """Images with one bright spot each, off the middle unless `middle` is asked for; two of each patient."""
    shape = SHAPES[model]
    cases = []
    for row in range(count):
        at = tuple(n // 2 if middle else (n // 4 if row >> axis & 1 else 3 * n // 4) for axis, n in enumerate(shape))
        case = from_array(spotted(shape, at, 6.0 if model is Spots else 4.5), name=f"row-{row}", dims=model.dims)
        cases.append(Case(CaseReference(source=f"row-{row}"), case.images))
    return Dataset(
        cases=tuple(cases),
        labels=Labels(names=("clear", "spot")),
        targets=np.ones(count, np.int64),
        splits=np.full(count, "test"),
        patients=np.array([f"p{row // 2}" for row in range(count)]),
    )


@pytest.mark.parametrize("model", [Spots, Blobs3])
def test_maps_of_what_decides_beat_every_control(model):
    found = score_maps(Session(model(), device="cpu"), spots(model), resamples=200)

    assert (found.rows, found.steps) == (6, STEPS)
    assert found.figure("deletion").value < 0.5 < found.figure("insertion").value
    for control in CONTROLS:
        for better, worse in (("deletion below control", "deletion"), ("insertion above control", "insertion")):
            one = found.figure(better, control)
            assert one.low > 0, (better, control)
            gap = abs(found.figure(worse).value - found.figure(worse, control).value)
            assert one.value == pytest.approx(gap)


def test_a_blob_does_as_well_where_what_matters_lies_in_the_middle():
    found = score_maps(Session(Spots(), device="cpu"), spots(Spots, middle=True), resamples=200)

    assert found.figure("deletion below control", "a random map").value > 0.05
    for better in ("deletion below control", "insertion above control"):
        assert abs(found.figure(better, "a centred blob").value) < 0.02


def test_a_mirrored_map_is_found_out(monkeypatch):
    from medplug import session as session_module

    restore = session_module.restore
    monkeypatch.setattr(session_module, "restore", lambda grid, array: restore(grid, array[..., ::-1]))

    found = score_maps(Session(Spots(), device="cpu"), spots(Spots), resamples=200)

    assert found.figure("deletion").value > 0.5
    assert not found.figure("insertion above control", "a random map").low > 0


def test_the_scores_are_the_curves_that_a_slow_twin_makes():
    session, rows = Session(Spots(), device="cpu"), spots(Spots, count=1)
    pixels = rows.cases[0].image.read()
    seen = session.explain(rows.cases[0], "spot").explanation.map

    def told(some):
        image = replace(rows.cases[0].image, read=lambda: some)
        return session.predict(replace(rows.cases[0], images={"image": image})).prediction.probabilities["spot"]

    deleted, inserted = [], []
    order = sorted(range(seen.size), key=lambda place: -seen.flat[place])
    for step in range(STEPS + 1):
        gone, come = pixels.copy(), blurred(pixels)
        for place in order[: step * seen.size // STEPS]:
            gone[0].flat[place] = even(pixels)[0].flat[place]
            come[0].flat[place] = pixels[0].flat[place]
        deleted.append(told(gone))
        inserted.append(told(come))

    found = score_maps(session, rows, resamples=0)
    assert found.figure("deletion").value == pytest.approx(np.trapezoid(deleted) / STEPS, abs=0.02)
    assert found.figure("insertion").value == pytest.approx(np.trapezoid(inserted) / STEPS, abs=0.02)
    assert found.figure("deletion").low is None


def test_the_cost_has_a_bound(monkeypatch):
    asked = []
    answer = Session.answer

    def counted(self, cases, **options):
        def each():
            for case in cases:
                asked.append(case)
                yield case

        return answer(self, each(), **options)

    monkeypatch.setattr(Session, "answer", counted)
    monkeypatch.setattr(perturbed, "ROWS", 4)

    found = score_maps(Session(Spots(), device="cpu"), spots(Spots, count=6), 500, resamples=0)

    assert found.rows == 4
    assert len(asked) == 4 * (1 + 2 + 3 + 2 * 4 * (STEPS - 1))


def test_equal_heights_stand_in_no_order_and_the_highest_first():
    flat = np.zeros((20, 30), np.float32)
    flat[5, 7] = 1

    above = standing(flat, np.random.default_rng(0))

    assert above[5, 7] == 0
    assert (np.sort(above.ravel()) == np.arange(600, dtype=np.float32) / 600).all()
    assert abs(above[:10].mean() - above[10:].mean()) < 0.1


def test_even_and_blurred_images_are_pixels_of_the_same_kind():
    pixels = np.random.default_rng(0).integers(0, 4096, (3, 40, 50)).astype(np.uint16)

    for made in (even(pixels), blurred(pixels)):
        assert (made.dtype, made.shape) == (pixels.dtype, pixels.shape)
        assert made.mean(axis=(1, 2)) == pytest.approx(pixels.mean(axis=(1, 2)), rel=0.02)
    assert all(len(np.unique(channel)) == 1 for channel in even(pixels))
    assert np.diff(blurred(pixels).astype(float)).std() < np.diff(pixels.astype(float)).std() / 5
    assert mean_curve([1.0, 0.0, 0.0]) == 0.25


def test_the_section_shows_the_scores_with_their_caveat_and_lesions_are_not_needed():
    scores = score_maps(Session(Spots(), device="cpu"), spots(Spots), resamples=50)

    checked = Checked(Explained(method="grad-cam", rows=6, planted=0)).with_scores(scores)
    body = explained_section(checked).body

    assert "Deletion and insertion" in body
    assert f"{scores.figure('deletion').value:.3f}" in body
    assert "a centred blob does as well as a map" in body
    assert all(control in body for control in CONTROLS)


def test_what_is_refused_when_altered_is_left_out_and_nothing_is_measured_of_nothing(monkeypatch):
    class Picky(Spots):
        def decode(self, output, batch):
            plain = (batch.image.flatten(1).std(1) > 0.01).tolist()
            told = super().decode(output, batch)
            return [
                one if kept else medplug.Refused(code="values", reason="it is even") for one, kept in zip(told, plain)
            ]

    found = score_maps(Session(Picky(), device="cpu"), spots(Spots, count=4), resamples=0)

    assert (found.rows, found.figures) == (0, ())
    with pytest.raises(CallError):
        score_maps(Session(Spots(), device="cpu"), spots(Spots, count=2), method="nonsense")
