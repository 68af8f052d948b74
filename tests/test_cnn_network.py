"""What the `cnn` plugin does to images in training."""

import pytest
import torch
from medplug_cnn.network import mixed, pasted, standardised


def a_batch(*sides: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Image i is i everywhere and belongs to label i."""
    count = 6
    images = torch.arange(count, dtype=torch.float32).view(-1, 1, *[1] * len(sides)).expand(count, 2, *sides)
    return images.clone(), torch.eye(count)


@pytest.mark.parametrize("sides", [(8, 8), (7, 12), (6, 6, 6)])
def test_a_pasted_box_counts_by_its_area(sides):
    images, shares = a_batch(*sides)
    seen = set()
    for seed in range(40):
        made, parts = pasted(images, shares, torch.Generator().manual_seed(seed))

        assert (images == a_batch(*sides)[0]).all()
        for mine, (image, part) in enumerate(zip(made, parts, strict=True)):
            assert part.sum() == pytest.approx(1)
            for label in range(len(parts)):
                assert (image == label).float().mean() == pytest.approx(part[label].item())
            foreign = (image[0] != mine).nonzero()
            if len(foreign):
                box = foreign.amax(0) - foreign.amin(0) + 1
                assert box.prod() == len(foreign)
                seen.add(tuple(foreign.amin(0).tolist()))
    assert len(seen) > 10


def test_mixed_images_are_mostly_themselves():
    images, shares = a_batch(4, 4)
    for seed in range(20):
        made, parts = mixed(images, shares, torch.Generator().manual_seed(seed))

        assert (parts.diagonal() >= 0.5).all()
        torch.testing.assert_close(made[:, 0, 0, 0], parts @ torch.arange(6.0))


@pytest.mark.parametrize("change", [mixed, pasted])
def test_a_seed_says_all(change):
    images, shares = a_batch(8, 8)
    first, second, other = (change(images, shares, torch.Generator().manual_seed(seed))[0] for seed in (1, 1, 2))

    assert (first == second).all()
    assert (first != other).any()


def test_a_standardised_image_does_not_say_how_it_was_exposed():
    images = torch.rand(3, 1, 9, 9, generator=torch.Generator().manual_seed(0)) * 4 - 2
    exposed = images * torch.tensor([0.5, 1.0, 1.7]).view(3, 1, 1, 1) + 0.4

    torch.testing.assert_close(standardised(exposed), standardised(images))
    assert standardised(images).std(dim=(1, 2, 3)).tolist() == pytest.approx([1, 1, 1])
    almost_flat = 0.001 * images
    assert standardised(almost_flat).abs().max() < 0.1
