"""The controls of maps: honest maps beat them, and maps that cannot be believed stand in red."""

from dataclasses import replace

import numpy as np
import pytest
from test_explain import Blobs, Blobs3
from torch import nn

from medplug import CallError, Labels, Session, explain
from medplug import session as session_module
from medplug.case import Case, CaseReference
from medplug.dataset import Dataset
from medplug.evaluation import explanation_figures
from medplug.evaluation.explanation_figures import (
    CONTROLS,
    check_explanations,
    planted_case,
    rank_correlation,
    shuffled_weights,
)
from medplug.evaluation.perturbed import score_maps
from medplug.lesions import Lesions
from medplug.sources import from_array
from medplug.writers.html_explained import explained_section

SHAPES = {Blobs: (40, 56), Blobs3: (18, 20, 24)}


def plain_rows(model: type[Blobs], count: int = 16) -> Dataset:
    """Grey noise in which there is no spot; two rows of each patient."""
    generator = np.random.default_rng(3)
    cases = []
    for row in range(count):
        pixels = generator.integers(40, 110, SHAPES[model]).astype(np.uint8)
        pixels.flat[0] = 255  # what is planted stays within the image's own range
        case = from_array(pixels, name=f"row-{row}", dims=model.dims)
        cases.append(Case(CaseReference(source=f"row-{row}"), case.images))
    return Dataset(
        cases=tuple(cases),
        labels=Labels(names=("clear", "spot")),
        targets=np.zeros(count, np.int64),
        splits=np.full(count, "test"),
        patients=np.array([f"p{row // 2}" for row in range(count)]),
    )


@pytest.fixture(autouse=True)
def bright_lesions(monkeypatch):
    """The hand-made model sees only what is brighter than anything in its noise."""
    monkeypatch.setattr(explanation_figures, "LADDER", (2.0, 3.0))


@pytest.mark.parametrize("model", [Blobs, Blobs3])
def test_maps_that_show_where_the_model_looked_beat_every_control(model):
    checked = check_explanations(Session(model(), device="cpu"), plain_rows(model), 16, resamples=200)

    explained = checked.explained
    assert (explained.method, explained.rows) == ("grad-cam", 16)
    assert explained.planted >= 10
    assert explained.figure("pointing hit").value >= 0.9
    assert all(one.low < one.high for one in explained.figures if one.name != "rank correlation")
    assert all(explained.figure("hit above control", control).low > 0 for control in CONTROLS)
    assert explained.figure("rank correlation", "shuffled weights").value < 0.5
    assert checked.warnings == ()


def test_nothing_is_planted_into_rows_that_show_a_finding_already():
    rows = plain_rows(Blobs)
    shape = SHAPES[Blobs]
    marks = [np.zeros(shape, np.uint8) for _ in rows.cases]
    for mark in marks[::2]:
        mark[5:9, 5:9] = 1
    marked = replace(rows, cases=tuple(map(with_mask, rows.cases, marks)))
    everywhere = replace(rows, cases=tuple(with_mask(case, np.ones(shape, np.uint8)) for case in rows.cases))
    session = Session(Blobs(), device="cpu")

    some, all_of_them = (check_explanations(session, one, 16, resamples=0) for one in (marked, everywhere))

    assert some.explained.rows == 8
    assert {example.case.reference.source for example in some.examples} <= {f"row-{row}" for row in range(1, 16, 2)}
    assert all_of_them.explained.rows == 16


def test_the_masks_of_the_rows_that_are_asked_are_read_once_and_no_others():
    rows, read = plain_rows(Blobs), []

    def watched(case: Case) -> Case:
        mask = from_array(np.zeros(SHAPES[Blobs], np.uint8)).image
        return replace(case, mask=replace(mask, read=lambda: read.append(case) or mask.read()))

    session, watched_rows = Session(Blobs(), device="cpu"), replace(rows, cases=tuple(map(watched, rows.cases)))
    check_explanations(session, watched_rows, 3, resamples=0)
    score_maps(session, watched_rows, 1, resamples=0)

    assert len(read) == 3 < len(rows)


def with_mask(case: Case, mask: np.ndarray) -> Case:
    return replace(case, mask=from_array(mask).image)


def test_a_map_mirrored_left_to_right_is_caught(monkeypatch):
    """On the way back to the source's pixels, as a wrong inverse would do it."""
    restore = session_module.restore
    monkeypatch.setattr(session_module, "restore", lambda grid, array: restore(grid, array[..., ::-1]))

    checked = check_explanations(Session(Blobs(), device="cpu"), plain_rows(Blobs), 16, resamples=200)

    assert checked.explained.figure("pointing hit").value < 0.5
    assert checked.explained.figure("pointing hit", "the map mirrored").value > 0.9
    assert any("not surely more than the map mirrored" in warning for warning in checked.warnings)
    assert "flag bad" in explained_section(checked).body


def test_maps_that_do_not_depend_on_the_weights_are_caught(monkeypatch):
    """An edge detector finds planted lesions too: it is the shuffled network that gives it away."""

    def edges(model, network, batch, labels, method):
        return (batch.image[:, 0] / batch.image.amax()).clamp(0, 1).numpy()

    monkeypatch.setattr(explain, "attribute", edges)

    checked = check_explanations(Session(Blobs(), device="cpu"), plain_rows(Blobs), 16, resamples=200)

    assert checked.explained.figure("rank correlation", "shuffled weights").value == pytest.approx(1)
    assert any("hardly change when the weights are shuffled" in warning for warning in checked.warnings)


def test_too_few_lesions_that_move_the_answer_are_said_and_not_measured(monkeypatch):
    monkeypatch.setattr(explanation_figures, "LADDER", (0.01,))

    checked = check_explanations(Session(Blobs(), device="cpu"), plain_rows(Blobs), 16, resamples=200)

    assert (checked.explained.planted, checked.explained.figures, checked.warnings) == (0, (), ())
    assert "too few to say" in explained_section(checked).body


def test_the_section_shows_the_lesion_and_the_maps_with_their_controls():
    checked = check_explanations(Session(Blobs3(), device="cpu"), plain_rows(Blobs3), 12, resamples=50)

    body = explained_section(checked).body

    assert body.count("with shuffled weights</figcaption>") == len(checked.examples) == 6
    assert body.count("<svg") == 4 * 6
    for example in checked.examples:
        assert example.mask.shape == example.map.shape == example.blob.shape == SHAPES[Blobs3]
        assert np.unravel_index(example.blob.argmax(), example.blob.shape) == pytest.approx(
            tuple((n - 1) / 2 for n in SHAPES[Blobs3]), abs=1
        )


def test_the_same_seed_gives_the_same_figures():
    rows = plain_rows(Blobs)
    first, second = (check_explanations(Session(Blobs(), device="cpu"), rows, 8, resamples=50) for _ in range(2))

    assert first.explained == second.explained


@pytest.mark.parametrize("inverted", [False, True])
def test_a_lesion_is_bright_as_displayed_and_stays_in_the_stored_range(inverted):
    from dataclasses import replace

    pixels = np.random.default_rng(0).integers(0, 4096, (32, 32)).astype(np.uint16)
    case = from_array(pixels, name="image")
    image = replace(case.image, stored_range=(0, 4095), values=replace(case.image.values, inverted=inverted))

    planted, mask, _ = planted_case(
        replace(case, images={"image": image}), np.random.default_rng(1), Lesions(contrast=(0.5, 0.5))
    )

    stored = planted.image.read()
    change = stored[0].astype(int) - pixels
    assert (stored.dtype, stored.shape) == (np.uint16, (1, 32, 32))
    assert 0 <= stored.min() <= stored.max() <= 4095
    assert (change[mask] * (-1 if inverted else 1)).mean() > 500
    assert np.abs(change[~mask]).mean() < 100
    assert np.array_equal(case.image.read()[0], pixels)


def test_shuffled_weights_are_the_same_numbers_in_other_places():
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))

    shuffled = shuffled_weights(network, 0)

    assert not (shuffled[0].weight == network[0].weight).all()
    assert (shuffled[0].weight.flatten().sort().values == network[0].weight.flatten().sort().values).all()
    assert (shuffled[0].bias == network[0].bias).all()


def test_rank_correlation_is_spearmans():
    from scipy.stats import spearmanr

    generator = np.random.default_rng(0)
    first = generator.integers(0, 9, (20, 30)).astype(np.float32)
    second = (first + generator.normal(0, 3, first.shape)).astype(np.float32)

    assert rank_correlation(first, second) == pytest.approx(spearmanr(first.ravel(), second.ravel())[0])
    assert rank_correlation(first, np.zeros_like(first)) == 0


def test_a_model_that_does_not_classify_cannot_be_checked():
    from small_models import Loudest

    with pytest.raises(CallError, match="does not classify"):
        check_explanations(Session(Loudest(), device="cpu"), plain_rows(Blobs), 2)


def test_what_is_planted_differs_from_row_to_row():
    checked = check_explanations(Session(Blobs(), device="cpu"), plain_rows(Blobs), 12, resamples=50)

    middles = np.array([np.argwhere(example.mask).mean(axis=0) for example in checked.examples])
    assert len(np.unique(middles.round(1), axis=0)) == len(middles)
