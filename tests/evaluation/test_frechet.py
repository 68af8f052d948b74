"""The Fréchet distance against its closed forms, and the Gaussian that stands beside it."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from medplug.errors import CallError
from medplug.evaluation import frechet
from medplug.evaluation.frechet import Gaussian


def covariance(seed, size=6, rank=None):
    factors = np.random.default_rng(seed).normal(size=(size, rank or size))
    return factors @ factors.T


def test_a_gaussian_lies_at_no_distance_from_itself():
    for rank in (None, 2):
        one = Gaussian(np.arange(6.0), covariance(0, rank=rank))
        assert frechet.distance(one, one) == pytest.approx(0, abs=1e-6)


def test_a_shift_costs_its_square():
    shape = covariance(1)
    a, b = Gaussian(np.zeros(6), shape), Gaussian(np.full(6, 2.0), shape)

    assert frechet.distance(a, b) == pytest.approx(24)


def test_spreads_along_the_axes_differ_by_the_square_of_their_roots():
    a = Gaussian(np.zeros(3), np.diag([1.0, 4.0, 9.0]))
    b = Gaussian(np.zeros(3), np.diag([16.0, 4.0, 0.0]))

    assert frechet.distance(a, b) == pytest.approx((1 - 4) ** 2 + 0 + 3**2)


def test_it_is_what_the_root_of_the_product_gives_and_is_the_same_from_both_sides():
    a, b = Gaussian(np.zeros(6), covariance(2)), Gaussian(np.ones(6), covariance(3))

    twin = 6 + np.trace(a.covariance + b.covariance - 2 * sqrtm(a.covariance @ b.covariance).real)

    assert frechet.distance(a, b) == pytest.approx(twin)
    assert frechet.distance(b, a) == pytest.approx(frechet.distance(a, b))


def test_a_fit_is_numpys_mean_and_covariance():
    features = np.random.default_rng(4).normal(size=(50, 5)).astype(np.float32)

    found = frechet.fit(features)

    assert found.mean == pytest.approx(features.mean(axis=0), abs=1e-6)
    assert found.covariance == pytest.approx(np.cov(features.astype(float), rowvar=False))


def test_images_drawn_like_others_have_their_mean_and_covariance():
    mixed = np.random.default_rng(5).normal(size=(60, 2)) @ np.array(
        [[0.05, 0.02, 0.0, -0.03], [0.0, 0.04, 0.03, 0.01]]
    )
    images = (0.5 + mixed).reshape(60, 1, 2, 2)

    drawn = frechet.sample_like(images, 40_000, seed=0)

    assert drawn.shape == (40_000, 1, 2, 2)
    assert drawn.mean(axis=0) == pytest.approx(images.mean(axis=0), abs=2e-3)
    expected = np.cov(images.reshape(60, 4), rowvar=False)
    assert np.cov(drawn.reshape(-1, 4), rowvar=False) == pytest.approx(expected, abs=1e-4)
    assert np.linalg.matrix_rank(np.cov(drawn.reshape(-1, 4), rowvar=False), tol=1e-6) == 2


def test_drawn_images_stay_on_the_scale_and_come_from_the_seed():
    images = np.random.default_rng(6).integers(0, 2, (20, 1, 3, 3)).astype(np.float32)

    drawn = frechet.sample_like(images, 100, seed=1)

    assert drawn.min() == 0
    assert drawn.max() == 1
    assert np.array_equal(drawn, frechet.sample_like(images, 100, seed=1))
    assert not np.array_equal(drawn, frechet.sample_like(images, 100, seed=2))


def test_one_image_has_no_covariance():
    with pytest.raises(CallError, match="at least 2"):
        frechet.fit(np.ones((1, 4)))
    with pytest.raises(CallError, match="at least 2"):
        frechet.sample_like(np.ones((1, 4)), 3, 0)
