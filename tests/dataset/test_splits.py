"""Splits that are made: every split gets its share, however small the strata, and nobody is parted."""

from collections import Counter

import numpy as np
import pytest

from medplug.dataset.splits import CARVED, make


@pytest.mark.parametrize(
    ("classes", "each", "wanted"),
    [(2, 3, {"train": 4, "val": 1, "test": 1}), (20, 3, {"train": 42, "val": 9, "test": 9})],
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_small_classes_together_give_every_split_its_share(classes, each, wanted, seed):
    strata = [f"class {row // each}" for row in range(classes * each)]

    splits = make(strata, [f"p{row}" for row in range(classes * each)], seed)

    assert Counter(splits.tolist()) == wanted
    assert set(strata) == {stratum for stratum, split in zip(strata, splits) if split == "train"}


def test_the_order_of_the_rows_does_not_matter():
    generator = np.random.default_rng(0)
    strata = [str(one) for one in generator.integers(0, 12, 90)]
    groups = [f"p{row // 2}" for row in range(90)]

    turned = make(strata[::-1], groups[::-1], 3)[::-1]

    assert make(strata, groups, 3).tolist() == turned.tolist()


@pytest.mark.parametrize("shares", [{"train": 0.70, "val": 0.15, "test": 0.15}, CARVED])
def test_rows_of_a_patient_are_never_parted_and_the_shares_are_kept(shares):
    generator = np.random.default_rng(1)
    groups = [f"p{one}" for one in generator.integers(0, 100, 400)]
    strata = [str(one) for one in generator.integers(0, 9, 400)]

    splits = make(strata, groups, 0, shares).tolist()

    assert len(set(zip(groups, splits))) == len(set(groups))
    for split, share in shares.items():
        assert splits.count(split) / 400 == pytest.approx(share, abs=0.04)


def test_a_patient_with_most_rows_does_not_cost_another_class_its_train_rows():
    strata = ["large"] * 100 + ["small"] * 20
    groups = ["p"] * 100 + [f"q{row}" for row in range(20)]

    splits = make(strata, groups, 0)

    assert Counter(splits[100:].tolist())["train"] >= 12
