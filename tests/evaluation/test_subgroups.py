"""Figures by subgroup: by columns, by brightness and sharpness without any, and what is worse in red."""

import dataclasses

import numpy as np
import pytest
from told import NAMES, ToldClass, dataset_of, three

from medplug.errors import CallError
from medplug.evaluation import evaluate
from medplug.evaluation.looks import Look, look
from medplug.evaluation.subgroups import by_looks
from medplug.model import Labels
from medplug.model_folder import fresh
from medplug.preprocessing import Normalize
from medplug.session import Session


def evaluated(stated, truth, columns=None, *, subgroups=(), resamples=200, **options):
    loaded = fresh(ToldClass(labels=Labels(names=NAMES)))
    dataset = dataset_of(stated, truth, NAMES, **options)
    cases = tuple(
        dataclasses.replace(case, row={name: str(values[row]) for name, values in (columns or {}).items()})
        for row, case in enumerate(dataset.cases)
    )
    dataset = dataclasses.replace(dataset, cases=cases)
    return evaluate(Session(loaded, "cpu"), dataset, resamples=resamples, subgroups=subgroups)


def worse_in(stated, truth, rows):
    """Answers of which those to `rows` are all wrong."""
    told = stated.copy()
    told[rows] = np.eye(3)[(truth[rows] + 1) % 3] * 0.9 + 0.03
    return told


def test_a_group_has_the_figures_that_it_would_have_by_itself():
    stated, truth = three()
    sex = np.array(["F", "M"])[np.arange(120) % 3 // 2]
    patients = np.array([f"p{row // 2}" for row in range(120)])

    found = evaluated(stated, truth, {"sex": sex}, subgroups=["sex"], patients=patients)

    assert [(one.by, one.group, one.rows) for one in found.subgroups] == [("sex", "F", 80), ("sex", "M", 40)]
    for group in found.subgroups:
        rows = sex == group.group
        alone = evaluated(stated[rows], truth[rows], patients=patients[rows])
        assert group.patients == alone.patients
        for figure in group.figures:
            assert figure == alone.figure(figure.name, figure.label)
    assert {figure.name for figure in found.subgroups[0].figures} == {"accuracy", "balanced accuracy", "macro AUC"}


def test_a_group_that_is_worse_than_all_stands_in_red():
    stated, truth = three()
    site = np.array(["a", "b", "c", "d"])[np.arange(120) % 4]

    found = evaluated(worse_in(stated, truth, site == "b"), truth, {"site": site}, subgroups=["site"])

    [warning] = [one for one in found.warnings if one.startswith("worse where site is b")]
    assert "accuracy 0.000 (0.000 to 0.114; in all rows 0." in warning
    assert "macro AUC " in warning
    assert warning.endswith(", in 30 rows")
    assert not any("site is a" in one or "site is c" in one for one in found.warnings)


def test_a_group_with_hardly_a_row_of_a_label_is_not_called_worse_for_it():
    stated, truth = three()
    site = np.where(truth == 0, "a", "b")
    site[np.flatnonzero(truth == 1)[:3]] = "a"

    found = evaluated(worse_in(stated, truth, (site == "a") & (truth == 1)), truth, {"site": site}, subgroups=["site"])

    [group] = [one for one in found.subgroups if one.group == "a"]
    assert group.counts == {"a": int((truth == 0).sum()), "b": 3, "c": 0}
    balanced = next(one for one in group.figures if one.name == "balanced accuracy")
    assert balanced.high < found.figure("balanced accuracy").value
    assert not any("site is a" in one for one in found.warnings)


def test_a_column_of_many_numbers_is_cut_into_quarters_and_one_of_few_is_not():
    stated, truth = three()
    columns = {"age": np.arange(120) + 0.5, "grade": np.arange(120) % 3}

    found = evaluated(stated, truth, columns, subgroups=["age", "grade"], resamples=0)

    assert [(one.by, one.group, one.rows) for one in found.subgroups] == [
        ("age", "lowest quarter (0.5 to 30.25)", 30),
        ("age", "second quarter (30.25 to 60)", 30),
        ("age", "third quarter (60 to 89.75)", 30),
        ("age", "highest quarter (89.75 to 119.5)", 30),
        ("grade", "0", 40),
        ("grade", "1", 40),
        ("grade", "2", 40),
    ]


def test_small_groups_are_named_without_figures_and_empty_cells_are_a_group():
    stated, truth = three()
    view = np.array(["PA"] * 100 + ["AP"] * 9 + [""] * 11)

    found = evaluated(stated, truth, {"view": view}, subgroups=["view"], resamples=0)

    groups = {one.group: (one.rows, bool(one.figures)) for one in found.subgroups}
    assert groups == {"(empty)": (11, True), "AP": (9, False), "PA": (100, True)}


def test_without_columns_groups_are_made_by_brightness_and_sharpness():
    stated, truth = three()
    pixels = np.zeros((120, 9, 12))
    dark = np.arange(120) < 30
    told = worse_in(stated, truth, dark)
    pixels[:, 0, :3] = told
    pixels[:, 2:] = np.where(dark, 0.0, 5.0)[:, None, None] + np.linspace(0, 1, 120)[:, None, None]
    pixels[60:, 3::2] += 3  # stripes are sharp

    found = evaluated(pixels, truth)

    assert [(one.by, one.rows) for one in found.subgroups] == [("brightness", 30)] * 4 + [("sharpness", 30)] * 4
    assert any(one.startswith("worse where brightness is darkest quarter") for one in found.warnings)
    sharp = [one for one in found.subgroups if one.by == "sharpness"]
    assert sharp[3].figures[0].value > sharp[0].figures[0].value


def test_quarters_of_looks_are_called_as_a_reader_of_images_would():
    looks = [Look(np.zeros((1, 2, 2)), 0.2 + 0.005 * row, 0.01 + 0.0001 * row) for row in range(101)]

    bright, sharp = by_looks(looks)

    assert bright.groups[:4] == (
        "darkest quarter (mean grey 0.2 to 0.33)",
        "second darkest quarter (mean grey 0.33 to 0.45)",
        "second brightest quarter (mean grey 0.45 to 0.57)",
        "brightest quarter (mean grey 0.57 to 0.7)",
    )
    assert [one.partition(" (")[0] for one in sharp.groups[:4]] == [
        "most blurred quarter",
        "second most blurred quarter",
        "second sharpest quarter",
        "sharpest quarter",
    ]
    assert sharp.groups[3] == "sharpest quarter (edge strength 0.018 to 0.02)"


def test_the_greys_of_quarters_have_as_many_digits_as_tell_them_all_apart():
    looks = [Look(np.zeros((1, 2, 2)), 0.35 + 0.0001 * row, 0.01) for row in range(101)]

    [bright] = by_looks(looks)

    assert [one.partition("grey ")[2] for one in bright.groups[:4]] == [
        "0.35 to 0.352)",
        "0.352 to 0.355)",
        "0.355 to 0.357)",
        "0.357 to 0.36)",
    ]


def test_greys_of_a_quarter_are_those_before_the_networks_normalisation():
    image = np.linspace(0, 1, 36, dtype=np.float32).reshape(1, 6, 6)
    normalize = Normalize(mean=(0.4,), std=(0.2,))

    plain, normal = look(image), look((image - 0.4) / 0.2, normalize)

    assert normal.brightness == pytest.approx(plain.brightness) == pytest.approx(0.5)
    assert normal.sharpness == pytest.approx(plain.sharpness, abs=1e-6)


def test_a_column_that_is_not_there_or_holds_names_is_refused_before_the_model_is_asked():
    stated, truth = three()
    columns = {"name": [f"n{row}" for row in range(120)], "sex": ["F"] * 120}

    with pytest.raises(CallError, match="no column 'age' to make subgroups by; its columns: name, sex"):
        evaluated(stated, truth, columns, subgroups=["age"])
    with pytest.raises(CallError, match="column 'name' has 120 different values: name one that has at most 20"):
        evaluated(stated, truth, columns, subgroups=["name"])


def test_a_small_group_that_is_all_right_or_all_wrong_is_not_certain():
    """Draws of ten rows that are all right are all right: their interval would be no interval."""
    stated, truth = three()
    right = stated.argmax(axis=1) == truth
    small = np.zeros(120, bool)
    small[np.flatnonzero(right)[:10]] = True
    group = np.where(small, "few", "many")

    found = evaluated(stated, truth, {"device": group}, subgroups=["device"])

    [few] = [one for one in found.subgroups if one.group == "few"]
    accuracy = next(figure for figure in few.figures if figure.name == "accuracy")
    assert (accuracy.value, accuracy.high) == (1, 1)
    assert accuracy.low == pytest.approx(0.722, abs=1e-3)  # Wilson's interval of ten of ten
