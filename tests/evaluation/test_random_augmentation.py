"""Slight changes: each image its own, from one seed, and none so large that it shows something else."""

import numpy as np
import pytest
import torch

from medplug.evaluation import random_augmentation
from medplug.evaluation.random_augmentation import augmented

torch.set_num_threads(1)


def changed(images, seed=0):
    return augmented(images, torch.Generator().manual_seed(seed))


def blobs(count, side=24):
    """Images [count, 1, side, side] of 0.2 with a blob of 0.8 right of the middle and above it."""
    down, right = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    far = (down - side * 0.3) ** 2 + (right - side * 0.7) ** 2
    return (0.2 + 0.6 * torch.exp(-far / (side * 0.1) ** 2)).expand(count, 1, side, side).clone()


@pytest.fixture
def places_only(monkeypatch):
    for name in ("_BRIGHTNESS", "_CONTRAST", "_GAMMA", "_SHARPNESS", "_NOISE"):
        monkeypatch.setattr(random_augmentation, name, 0.0)


def test_each_image_is_changed_in_its_own_way_and_the_seed_decides():
    images = blobs(16)

    one, same, other = changed(images, 1), changed(images, 1), changed(images, 2)

    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    apart = torch.pdist(one.flatten(1))
    assert apart.min() > 0.1


def test_no_image_is_mirrored_or_leaves_its_place(places_only):
    found = changed(blobs(200))

    peaks = found.flatten(1).argmax(1)
    down, right = peaks // 24, peaks % 24
    assert (right > 12).all()
    assert (down < 12).all()
    assert right.unique().numel() > 3
    assert down.unique().numel() > 3


def test_the_border_is_repeated_and_not_black(places_only):
    images = torch.full((50, 1, 20, 28), 0.7)

    assert torch.allclose(changed(images), images, atol=1e-5)


def test_pixels_are_shifted_by_as_many_on_either_side_of_an_oblong_image(places_only, monkeypatch):
    monkeypatch.setattr(random_augmentation, "_ZOOM", 0.0)
    monkeypatch.setattr(random_augmentation, "_TURN", 0.0)
    images = torch.zeros(400, 1, 20, 40)
    images[:, :, :, :] = torch.arange(40.0) / 40
    across = (changed(images) - images)[:, 0, 10, 20] * 40
    images[:] = (torch.arange(20.0) / 20)[:, None]
    along = (changed(images) - images)[:, 0, 10, 20] * 20

    for pixels in (across, along):
        assert 1.8 < pixels.max() <= 2.001
        assert -2.001 <= pixels.min() < -1.8
    assert abs(np.corrcoef(across, along)[0, 1]) < 0.2  # one axis does not follow the other


def test_an_oblong_image_is_turned_and_not_sheared(places_only, monkeypatch):
    monkeypatch.setattr(random_augmentation, "_ZOOM", 0.0)
    monkeypatch.setattr(random_augmentation, "_SHIFT", 0.0)
    monkeypatch.setattr(random_augmentation, "_TURN", 30.0)
    down, right = torch.meshgrid(torch.arange(31) - 15.0, torch.arange(61) - 30.0, indexing="ij")
    disc = torch.exp(-((down**2 + right**2) / 60)).expand(20, 1, 31, 61)

    assert (changed(disc) - disc).abs().max() < 0.03


def test_means_are_moved_either_way_but_little():
    images = blobs(300)

    moved = (changed(images) - images).mean((1, 2, 3)).numpy()

    assert moved.min() < -0.1
    assert moved.max() > 0.1
    assert np.abs(moved).max() < 0.35


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_are_changed_alike(channels):
    images = torch.rand(5, 1, 12, 12).expand(5, channels, 12, 12)

    found = changed(images)

    assert found.shape == images.shape
    assert torch.isfinite(found).all()
    assert (found - found.mean(1, keepdim=True)).abs().max() < 0.3  # noise alone
