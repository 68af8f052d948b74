"""Folds: every train row is held out once, and what belongs together stays together."""

import numpy as np
import pytest
from bench.models.parts import OPTIONS

from medplug.bench.models import folds
from medplug.bench.models.rows import read
from medplug.dataset import DataOptions
from medplug.errors import CallError


def test_every_train_row_is_held_out_once_and_no_other_row_is_anywhere(table):
    rows = read(table, OPTIONS)
    train = rows.of("train")
    grouped = folds.groups(rows, train, rows.content_hashes(train))

    made = folds.cross_validation(rows, train, grouped, 3)

    assert sorted(np.concatenate([fold.parts["test"] for fold in made])) == sorted(train)
    for fold in made:
        assert sorted(np.concatenate(list(fold.parts.values()))) == sorted(train)
        assert all({rows.labels[row] for row in part} == {"left", "right"} for part in fold.parts.values())


def test_patients_and_equal_images_stay_together(table):
    rows = read(table, OPTIONS)
    train = rows.of("train")
    contents = rows.content_hashes(train)
    contents[1] = contents[0]  # of P0 and P1
    contents[6] = contents[3]  # of P1 and P2
    grouped = folds.groups(rows, train, contents)

    assert len({grouped[row] for row in (0, 1, 2, 3, 4, 6)}) == 1
    assert len(set(grouped)) == 24 - 2
    for fold in folds.cross_validation(rows, train, grouped, 4):
        found = {name: {grouped[row] for row in part} for name, part in fold.parts.items()}
        assert not found["train"] & found["test"]
        assert not found["train"] & found["val"]
        assert not found["val"] & found["test"]


def test_too_few_groups_are_refused(table):
    rows = read(table, OPTIONS)
    train = rows.of("train")

    with pytest.raises(CallError, match=r"too few for 3 folds: fold \d has no"):
        folds.cross_validation(rows, train, ["one"] * len(train), 3)


def test_a_final_division_is_the_datas_own_and_lacks_no_validation_rows(npz):
    rows = read(npz, DataOptions())

    made = folds.final(rows, [f"{row}" for row in range(len(rows))])

    assert {name: len(part) for name, part in made.parts.items()} == {"train": 48, "val": 16, "test": 16}
    rows.splits[rows.splits == "val"] = "train"
    carved = folds.final(rows, [f"{row}" for row in range(len(rows))])
    assert {name: len(part) for name, part in carved.parts.items()} == {"train": 54, "val": 10, "test": 16}
    assert set(carved.parts["test"]) == set(made.parts["test"])
