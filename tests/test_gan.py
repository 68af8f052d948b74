"""The GAN plugin: labels, what it remembers of its training images, and its networks' shapes."""

import json

import numpy as np
import pytest
import torch
from medplug_gan import Gan, GanOptions
from medplug_gan.memory import NEAR, Memory
from medplug_gan.moments import COMPONENTS, Moments, Sample
from medplug_gan.network import Adversaries

import medplug
from medplug import golden
from medplug.errors import ModelFolderError
from medplug.evaluation import frechet as frechet_distance
from medplug.model import NO_LABELS, Batch, Labels
from medplug.model_folder import build, fresh
from medplug.training import train

torch.set_num_threads(1)

LABELS = Labels(names=("normal", "pneumonia"))


def faces(count, seed=0, side=28):
    """Smooth images [count, 1, side, side], all different."""
    coarse = torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")


@pytest.mark.parametrize("size", [28, 32, 64])
@pytest.mark.parametrize("labels", [0, 3])
def test_the_networks_make_and_judge_images_of_their_size(size, labels):
    network = Adversaries(size=size, width=4, labels=labels)
    shown = torch.eye(3)[:, :labels]

    with torch.no_grad():
        images = network(torch.randn(3, network.generator.latent), shown)

    assert images.shape == (3, 1, size, size)
    assert 0 <= float(images.min()) <= float(images.max()) <= 1
    assert network.discriminator(images, shown).shape == (3,)


def test_the_pixels_of_a_block_are_equal_before_anything_is_learned():
    network = Adversaries(size=28, width=8)

    with torch.no_grad():
        made = network.generator.to_pixels(torch.randn(2, 8, 14, 14))
        pixels = torch.nn.functional.pixel_shuffle(made, 2)

    assert torch.equal(pixels[..., ::2, ::2], pixels[..., 1::2, 1::2])
    assert torch.equal(pixels[..., ::2, ::2], pixels[..., ::2, 1::2])
    assert pixels.std() > 0.1


def test_the_label_changes_the_image_and_the_judgement():
    torch.manual_seed(0)
    network = Adversaries(size=28, width=4, labels=2)
    z = torch.randn(1, network.generator.latent)
    one, other = torch.eye(2)[:1], torch.eye(2)[1:]

    assert not torch.equal(network(z, one), network(z, other))
    assert network.discriminator(network(z, one), one) != network.discriminator(network(z, one), other)


def test_a_training_image_is_known_again_and_other_images_are_not():
    learned, others, new = faces(300, 1), faces(60, 2), faces(200, 3)
    memory = Memory(28 * 28, 400)
    memory.learn(learned.split(64), others.split(64))

    copied = learned[:50] + 0.01 * torch.randn(50, 1, 28, 28)

    assert memory.near_copies(learned[:50]).all()
    assert memory.near_copies(copied).all()
    assert memory.near_copies(new).float().mean() < 0.05


def test_distances_between_projections_are_those_between_images():
    learned, new = faces(300, 1), faces(100, 3)
    memory = Memory(28 * 28, 300)
    memory.learn([learned], [faces(60, 2)])

    exact = torch.cdist(new.flatten(1), learned.flatten(1)).amin(1) / 28

    assert torch.corrcoef(torch.stack([memory.distances(new), exact]))[0, 1] > 0.7
    assert float(memory.distances(new).median() / exact.median()) == pytest.approx(1, abs=0.15)
    real = torch.cdist(faces(60, 2).flatten(1), learned.flatten(1)).amin(1) / 28
    assert float(memory.limit) == pytest.approx(NEAR * float(real.median()), rel=0.15)


def test_without_validation_rows_the_limit_comes_from_the_training_images_themselves():
    memory = Memory(28 * 28, 300)
    memory.learn([faces(300, 1)], [])

    assert float(memory.limit) > 0
    assert memory.near_copies(faces(300, 1)).all()
    assert memory.near_copies(faces(200, 3)).float().mean() < 0.05


def test_what_is_kept_of_an_image_is_64_numbers_of_8_bits():
    memory = Memory(28 * 28, 10)
    memory.learn([faces(10)], [])

    kept = memory.state_dict()

    assert kept["kept"].shape == (10, 64)
    assert {name: tensor.dtype for name, tensor in kept.items() if tensor.numel() > 64} == {
        "patterns": torch.int8,
        "kept": torch.int8,
    }


def test_a_copy_that_the_generator_makes_is_withheld():
    """The generator itself gives a training image back; only the plugin's own memory can tell."""
    model = Gan(GanOptions(size=28, width=4, memory=100), LABELS)
    loaded = fresh(model)
    trained = faces(100)
    batches = [Batch(image=trained, target=torch.arange(100) % 4 // 3)]
    with torch.no_grad():
        model.after_training(loaded.network, batches, [Batch(image=faces(50, 9))])
        loaded.network.moments.ready.fill_(False)
        usual = loaded.network.generator.forward
        loaded.network.generator.forward = lambda z, labels: trained[:1] if z[0, 0] > 0 else usual(z, labels)

    found = [result.prediction for result in medplug.Session(loaded, device="cpu").generate(12)]

    assert sum(one.withheld for one in found) > 0
    assert not any(np.allclose(one.image, trained[0].numpy(), atol=1e-4) for one in found)
    assert loaded.network.shares.tolist() == [0.75, 0.25]


def test_labels_come_as_often_as_in_training():
    model = Gan(GanOptions(size=28, width=4), LABELS)
    network = build(model, seed=0)
    network.shares.copy_(torch.tensor([0.9, 0.1]))

    drawn = model.sample(network, 400, torch.Generator().manual_seed(0))["label"]

    assert 0.05 < drawn.float().mean() < 0.15


def test_the_same_noise_is_drawn_for_every_label():
    model = Gan(GanOptions(size=28, width=4), LABELS)
    network = build(model, seed=0)
    with torch.no_grad():
        network.generator.start.weight[:, -2:] = 0  # then the label makes no difference

    one, other = (model.sample(network, 2, torch.Generator().manual_seed(7), label)["image"] for label in LABELS.names)

    assert torch.equal(one, other)


@pytest.mark.parametrize("labels", [NO_LABELS, Labels(names=("a", "b"), exclusive=False), Labels(names=("a",))])
def test_without_exclusive_labels_it_learns_images_alone(labels):
    model = Gan(GanOptions(size=28, width=4), labels)

    with torch.no_grad():
        [one] = model.decode(model.sample(build(model, 0), 1, torch.Generator()), None)

    assert not model.conditional
    assert one.label is None


def textured(count, seed, *, contrast=1.0, loud=None):
    """Smooth images [count, 1, 28, 28] with grain: as loud as `loud` says of each, 0.03 by default."""
    drawn = torch.Generator().manual_seed(seed)
    grain = torch.randn(count, 1, 28, 28, generator=drawn) * (0.03 if loud is None else loud.view(-1, 1, 1, 1))
    return (0.5 + contrast * 0.6 * (faces(count, seed) - 0.5) + grain).clamp(0, 1)


def frechet(one, other):
    fitted = [frechet_distance.fit(images.flatten(1).numpy()[:, ::7]) for images in (one, other)]
    return frechet_distance.distance(*fitted)


def corrected_by(real, made, labels=None):
    """Moments that learned `real` against what `made(label, count)` makes."""
    labels = torch.zeros(len(real), dtype=torch.int64) if labels is None else labels
    moments = Moments(28 * 28, int(labels.max()) + 1)
    moments.learn(real, labels, made)
    return moments


def one_label(count):
    return torch.zeros(count, dtype=torch.int64)


def flat_images(_, count):
    return textured(count, 2, contrast=0.5)


def test_images_that_vary_too_little_are_given_the_moments_of_real_ones():
    real, new = textured(300, 1), textured(300, 3, contrast=0.5)

    moments = corrected_by(real, flat_images)
    changed = moments(new, one_label(300))

    assert torch.equal(Moments(28 * 28)(new, one_label(300)), new)  # nothing is done before anything is learned
    assert frechet(changed, real) < 0.3 * frechet(new, real)
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1


def test_images_of_each_label_are_given_the_moments_of_that_label():
    labels = torch.arange(400) % 2
    real = textured(400, 1) * torch.where(labels == 1, 1.0, 0.5).view(-1, 1, 1, 1)
    moments = corrected_by(real, flat_images, labels)
    new = flat_images(0, 100)

    means = [float(moments(new, torch.full((100,), label)).mean()) for label in (0, 1)]
    mixed = moments(new, torch.arange(100) % 2)

    assert means == pytest.approx([float(real[labels == label].mean()) for label in (0, 1)], abs=0.02)
    torch.testing.assert_close(mixed[1::2], moments(new[1::2], torch.ones(50)))


def test_images_that_are_as_they_should_be_are_hardly_changed():
    moments = corrected_by(textured(300, 1), lambda _, count: textured(count, 2))
    new = textured(200, 3)

    changed = (moments(new, one_label(200)) - new).square().mean().sqrt()

    assert changed < 0.3 * (new - new.mean(0)).square().mean().sqrt()


def test_some_images_get_more_texture_and_others_less_where_real_ones_differ_in_it():
    """No linear correction can do that: it makes all images equally loud."""

    def loud(count, seed, least, most):
        drawn = torch.rand(count, generator=torch.Generator().manual_seed(seed + 50))
        return textured(count, seed, loud=least + (most - least) * drawn)

    moments = corrected_by(loud(450, 1, 0.01, 0.09), lambda _, count: loud(count, 2, 0.04, 0.06))
    made = loud(300, 3, 0.04, 0.06)

    def spread(images):
        steps = (images[..., 1:] - images[..., :-1]).square().mean((1, 2, 3)).sqrt()
        return float(steps.std() / steps.mean())

    assert spread(moments(made, one_label(300))) > 1.5 * spread(made)


def test_images_that_are_all_the_same_stay_images():
    same = torch.full((60, 1, 28, 28), 0.4)

    changed = corrected_by(same, lambda _, count: same[:1].expand(count, -1, -1, -1))(same, one_label(60))

    torch.testing.assert_close(changed, same, atol=0.01, rtol=0)


def test_each_image_is_corrected_by_itself():
    moments = corrected_by(textured(200, 1), flat_images)
    new = textured(8, 3)

    torch.testing.assert_close(moments(new, one_label(8))[2:3], moments(new[2:3], one_label(1)))


def test_few_images_of_a_label_teach_few_components_and_too_few_none():
    some = corrected_by(textured(60, 1), flat_images, (torch.arange(60) % 4 == 0).long())
    none = corrected_by(textured(60, 1), flat_images, (torch.arange(60) == 0).long())

    assert [bool(one.ready) for one in (some, none)] == [True, False]
    assert int(some.basis.any(1).sum()) == 10 < COMPONENTS
    assert torch.equal(some.transport[1, 10:, 10:], torch.eye(COMPONENTS - 10))


def test_a_sample_is_spread_over_the_whole_stream():
    short, long = Sample(most=100), Sample(most=100)
    stream = torch.arange(1000.0).view(-1, 1, 1, 1)
    short.add(stream[:70])
    for batch in stream.split(64):
        long.add(batch, batch.flatten().long() % 5)

    assert torch.equal(short.images(), stream[:70])
    assert not short.labels().any()
    assert torch.equal(long.images().flatten(), torch.arange(0.0, 1000.0, 16))
    assert torch.equal(long.labels(), torch.arange(0, 1000, 16) % 5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A GAN that took four steps on 48 images of which a quarter is normal."""
    where = tmp_path_factory.mktemp("gan")
    images = (faces(72) * 255).round().to(torch.uint8).numpy()[:, 0]
    labels = np.array([[number % 4 > 0] for number in range(72)], np.uint8)
    parts = {"train": slice(0, 48), "val": slice(48, 66), "test": slice(66, 72)}
    arrays = {
        f"{split}_{kind}": values[part]
        for split, part in parts.items()
        for kind, values in (("images", images), ("labels", labels))
    }
    np.savez(where / "data.npz", **arrays)
    train("gan", where / "data.npz", where / "model", options={"width": 4, "lazy": 2}, steps=4, device="cpu")
    return where / "model"


def test_a_trained_folder_remembers_its_images_and_verifies(folder):
    session = medplug.load(folder, device="cpu")
    memory = session.network.memory

    assert (int(memory.count), memory.ready) == (48, True)
    assert session.network.shares.tolist() == [0.25, 0.75]
    assert session.network.moments.ready
    assert memory.near_copies(faces(72)[:48]).all()
    assert [check.same for check in golden.verify(folder)] == ["bit-equal"] * len(golden.verify(folder))
    assert {one.prediction.label for one in session.generate(6, label="1")} == {"1"}


def test_a_folder_of_an_older_gan_is_refused_with_the_way_out(folder, tmp_path):
    card = json.loads((folder / "model.json").read_text())
    card["plugin"]["model_version"] = "1.0"
    card["options"] = {"size": 28, "latent": 64, "width": 4, "penalty": 0.01, "lazy": 4, "augment": 0.5}
    for name in ("weights.safetensors", "golden.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "model.json").write_text(json.dumps(card))

    with pytest.raises(ModelFolderError, match="gan"):
        medplug.load(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 30}, "size is 30: want one of 28, 32, 64, 96, 128"),
        ({"lazy": 0}, "lazy is 0: want 1 or more"),
        ({"generator_rate": float("nan")}, "generator_rate is nan: want more than 0"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        GanOptions().replace(**options)
