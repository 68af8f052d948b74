"""Which row comes when: by seed, epoch and row alone."""

from collections import Counter

import numpy as np
import pytest

from medplug.augmentation import Augmentation
from medplug.case import Case, CaseReference
from medplug.dataset import Dataset
from medplug.model import Labels
from medplug.training.sampling import Sampler


def rows(targets):
    targets = np.asarray(targets)
    cases = tuple(Case(CaseReference(source=str(index)), {}) for index in range(len(targets)))
    return Dataset(cases, Labels(), targets, np.full(len(targets), "train"))


def epoch(sampler, number):
    return [sampler.item(number * len(sampler) + place) for place in range(len(sampler))]


def test_every_epoch_shows_every_row_once_in_its_own_order():
    sampler = Sampler(rows(np.zeros(50, np.int64)), seed=0, balance=False)

    orders = [[item.row for item in epoch(sampler, number)] for number in range(3)]

    assert all(sorted(order) == list(range(50)) for order in orders)
    assert orders[0] != orders[1] != orders[2]


def test_the_place_in_the_stream_is_all_that_counts():
    one, other = (Sampler(rows(np.zeros(20, np.int64)), seed=4, balance=False) for _ in range(2))

    backwards = [other.item(place) for place in reversed(range(100))]

    assert [one.item(place) for place in range(100)] == backwards[::-1]
    assert [item.row for item in epoch(one, 0)] != [
        item.row for item in epoch(Sampler(rows(np.zeros(20, np.int64)), seed=5, balance=False), 0)
    ]


def test_a_balanced_epoch_shows_each_label_equally_often():
    targets = np.array([0] * 80 + [1] * 15 + [2] * 5)
    sampler = Sampler(rows(targets), seed=0, balance=True)

    items = epoch(sampler, 0) + epoch(sampler, 1) + epoch(sampler, 2)

    assert Counter(targets[item.row] for item in items) == {0: 100, 1: 100, 2: 100}
    shown = Counter(item.row for item in items)
    assert max(shown[row] for row in range(95, 100)) - min(shown[row] for row in range(95, 100)) <= 3


def test_a_row_of_several_labels_counts_for_its_rarest():
    nan = float("nan")
    targets = np.array([[1, 0]] * 8 + [[1, 1]] * 2 + [[0, nan]] * 2, np.float32)
    sampler = Sampler(rows(targets), seed=0, balance=True)

    shown = Counter(item.row for number in range(3) for item in epoch(sampler, number))

    assert sum(shown[row] for row in range(8)) == sum(shown[row] for row in (8, 9)) == 12
    assert sum(shown[row] for row in (10, 11)) == 12


@pytest.mark.parametrize("balance", [False, True])
def test_an_augmentation_follows_from_the_row_and_the_epoch(balance):
    sampler = Sampler(rows(np.array([0, 0, 0, 1])), seed=0, balance=balance)
    augmentation = Augmentation(rotate=(-90, 90), gamma=(0.5, 2))
    items = epoch(sampler, 0) + epoch(sampler, 1)

    gammas = [sampler.draw(item, augmentation, 2).gamma for item in items]

    assert len(set(gammas)) == len(items) == 8
    assert gammas == [sampler.draw(item, augmentation, 2).gamma for item in items]
