"""Precision and recall on sets that are made so that the answer is known."""

import numpy as np
import pytest

from medplug.errors import CallError
from medplug.evaluation.manifold import distances, inside, nearest


def line(start, stop, step=1.0):
    return np.arange(start, stop, step)[:, None]


def slow_inside(rows, manifold, neighbours):
    found = []
    for row in rows:
        hit = False
        for place, centre in enumerate(manifold):
            others = sorted(np.linalg.norm(centre - other) for k, other in enumerate(manifold) if k != place)
            hit |= np.linalg.norm(row - centre) <= others[neighbours - 1] + 1e-12
        found.append(hit)
    return found


def test_the_same_set_lies_in_itself_and_a_far_one_does_not():
    near, far = line(0, 10), line(100, 110)

    assert inside(near, near).all()
    assert not inside(far, near).any()


def test_half_of_a_set_that_is_twice_as_long_lies_in_the_other():
    manifold, rows = line(0, 100, 0.5), line(0, 200, 0.5) + 0.25

    assert inside(rows, manifold).mean() == pytest.approx(0.5, abs=0.01)
    assert inside(manifold, rows).mean() == 1


def test_a_generator_of_one_image_is_precise_and_recalls_little():
    generator = np.random.default_rng(0)
    real, made = generator.standard_normal((200, 4)), 0.01 * generator.standard_normal((200, 4))

    assert inside(made, real).mean() == 1
    assert inside(real, made).mean() < 0.02


def test_it_agrees_with_the_definition_row_by_row():
    generator = np.random.default_rng(1)
    rows, manifold = generator.standard_normal((30, 3)) * 1.5, generator.standard_normal((25, 3))

    for neighbours in (1, 3, 5):
        assert inside(rows, manifold, neighbours).tolist() == slow_inside(rows, manifold, neighbours)


def test_the_nearest_row_is_found_across_blocks():
    generator = np.random.default_rng(2)
    rows, others = generator.standard_normal((1500, 2)), generator.standard_normal((40, 2))

    apart, which = nearest(rows, others)

    full = distances(rows, others)
    assert np.array_equal(which, full.argmin(axis=1))
    assert np.allclose(apart, np.linalg.norm(rows - others[which], axis=1), atol=1e-7)


def test_too_few_rows_make_no_manifold():
    with pytest.raises(CallError, match="a manifold of 3 images: want more than 3"):
        inside(line(0, 3), line(0, 3))
