"""Planted lesions: of known place, from the generator alone, in the body, and as bright as asked for."""

import numpy as np
import pytest

from medplug import CallError
from medplug.lesions import Lesions, body, plant

SHAPES = [(64, 80), (28, 28), (20, 24, 28)]


def a_body(shape: tuple[int, ...]) -> np.ndarray:
    """A grey ellipsoid with a dark hollow in black air."""
    grids = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    distance = np.sqrt(sum(grid**2 for grid in grids))
    image = np.where(distance < 0.85, 0.5, 0.0) + np.random.default_rng(5).normal(0, 0.01, shape)
    return np.clip(np.where(distance < 0.3, 0.15, image), 0, 1).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_generator_plants_the_same_lesion_and_another_one_another(shape):
    image = a_body(shape)

    first, second, other = (plant(image, np.random.default_rng(seed)) for seed in (1, 1, 2))

    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    assert not np.array_equal(first[1], other[1])
    assert (first[0].dtype, first[1].dtype, first[0].shape) == (np.float32, bool, shape)


@pytest.mark.parametrize("contrast", [0.3, -0.3])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_mask_is_where_the_image_changed_and_nothing_else_changed(shape, contrast):
    image = np.full(shape, 0.5, np.float32)
    lesions = Lesions(contrast=(contrast, contrast))
    for seed in range(10):
        planted, mask = plant(image, np.random.default_rng(seed), lesions, np.ones(shape, bool))

        change = (planted - image) / contrast
        assert change.max() == pytest.approx(1, abs=0.02)
        assert change.min() == pytest.approx(0, abs=1e-6)
        assert np.array_equal(mask, change >= 0.5 - 1e-4)
        radius = (mask.sum() / {2: np.pi, 3: 4 * np.pi / 3}[len(shape)]) ** (1 / len(shape))
        assert 0.8 * lesions.radius[0] <= radius / min(shape) <= 1.2 * lesions.radius[1]


@pytest.mark.parametrize("shape", SHAPES)
def test_lesions_lie_in_the_body_hollows_included_and_all_over_it(shape):
    image = a_body(shape)
    inside = body(image)
    middles = []
    for seed in range(60):
        planted, mask = plant(image, np.random.default_rng(seed))

        assert (mask & inside).sum() >= 0.8 * mask.sum()
        assert 0 <= planted.min() <= planted.max() <= 1
        middles.append(np.argwhere(mask).mean(axis=0) / shape)
    assert inside[tuple(n // 2 for n in shape)]
    assert not inside.reshape(-1)[0]
    assert (np.std(middles, axis=0) > 0.05).all()
    assert (np.abs(np.mean(middles, axis=0) - 0.5) < 0.12).all()


def test_a_lesion_keeps_the_texture_below_it():
    image = a_body((64, 64))

    planted, mask = plant(image, np.random.default_rng(0), Lesions(contrast=(0.2, 0.2)))

    assert np.corrcoef(planted[mask], image[mask])[0, 1] > 0.5


def test_what_cannot_be_planted_is_a_wrong_call():
    with pytest.raises(CallError, match="2 or 3 dimensions"):
        plant(np.zeros(8), np.random.default_rng(0))
    with pytest.raises(CallError, match=r"radius 0\.4 to 0\.6"):
        Lesions(radius=(0.4, 0.6))
    with pytest.raises(CallError, match=r"contrast 0\.4 to 0\.2: want finite numbers, low first"):
        Lesions(contrast=(0.4, 0.2))
