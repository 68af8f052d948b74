"""The `autoencoder` plugin: the lesions that it learns from, what it keeps of normal rows, and what it answers."""

import numpy as np
import pytest
import torch
from medplug_autoencoder.lesions import VISIBLE, with_lesions
from medplug_autoencoder.network import Detector
from medplug_autoencoder.similarity import blur
from medplug_autoencoder.surroundings import Surroundings

import medplug
from medplug import golden, model_folder
from medplug.errors import CallError, ModelFolderError
from medplug.training import train

SMALL = {"width": 4, "recipe.batch_size": 16}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def chest(generator, shift=0.0):
    """A grey picture, 24 x 24 in 0 to 1, with two dark fields, a little different every time."""
    row, column = np.mgrid[-1:1:24j, -1:1:24j]
    picture = np.full((24, 24), 0.7) + 0.03 * generator.normal(size=(24, 24))
    for side in (-1, 1):
        middle, half = side * generator.uniform(0.4, 0.5), generator.uniform(0.25, 0.3)
        field = ((column - middle) / half) ** 2 + ((row - shift) / generator.uniform(0.6, 0.7)) ** 2
        picture -= 0.4 / (1 + np.exp(8 * (field - 1)))
    return np.clip(picture, 0, 1)


def opaque(picture, row, column):
    """The picture with a soft white ball at a pixel."""
    rows, columns = np.mgrid[:24, :24]
    ball = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * 2.5**2))
    return picture + ball * np.maximum(0.75 - picture, 0)


def stored(pictures):
    return np.round(np.asarray(pictures) * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """80 normal rows to learn from, and 24 + 24 to choose by, of which the second have a lesion in a field."""
    generator, arrays = np.random.default_rng(0), {}
    for split, normal, sick in (("train", 80, 0), ("val", 24, 24), ("test", 0, 4)):
        pictures = [chest(generator) for _ in range(normal + sick)]
        for index in range(normal, normal + sick):
            pictures[index] = opaque(pictures[index], generator.uniform(8, 16), generator.choice([6, 17]))
        arrays[f"{split}_images"] = stored(pictures)
        arrays[f"{split}_labels"] = np.repeat([0, 1], (normal, sick))[:, None].astype(np.uint8)
    path = tmp_path_factory.mktemp("chests") / "chests.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def model(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "m"
    options = {"width": 8, "recipe.batch_size": 16}
    train("autoencoder", data, folder, normal="0", options=options, steps=150, seed=1, device="cpu")
    return folder


@pytest.mark.parametrize("sides", [(20, 28), (10, 12, 14)])
def test_lesions_follow_from_the_generator_and_lie_where_they_are_said_to(sides):
    images = torch.rand(96, 1, *sides, generator=torch.Generator().manual_seed(1))
    before = images.clone()

    sick, where = with_lesions(images, torch.Generator().manual_seed(3))

    again = with_lesions(images, torch.Generator().manual_seed(3))
    assert all(one.equal(other) for one, other in zip((sick, where), again))
    assert not sick.equal(with_lesions(images, torch.Generator().manual_seed(4))[0])
    assert images.equal(before)
    assert 0 <= sick.min() <= sick.max() <= 1
    assert where.unique().tolist() == [0, 1]
    assert (blur((sick - images).abs(), 1.0) > VISIBLE).equal(where > 0)
    assert where.flatten(1).amax(1).mean() > 0.9


def test_lesions_are_lighter_or_darker_and_hide_in_what_is_as_light_or_as_dark():
    dark, light = (torch.full((200, 1, 16, 16), grey) for grey in (0.05, 0.9))

    over_dark, over_light = (
        (with_lesions(images, torch.Generator().manual_seed(3))[0] - images).flatten(1) for images in (dark, light)
    )

    lighter = over_dark.amax(1) > 0
    assert 0.55 < lighter.float().mean() < 0.85
    for change in (over_dark, over_light):
        assert (change[lighter] >= 0).all()
        assert (change[~lighter] <= 0).all()
    assert (over_light[lighter].mean(1) < 0.5 * over_dark[lighter].mean(1)).all()
    assert (over_dark[~lighter].mean(1) > 0.5 * over_light[~lighter].mean(1)).all()


@pytest.mark.parametrize("sides", [(28, 28), (12, 12, 12)])
def test_exposure_and_contrast_do_not_tell_the_discriminator_anything(sides):
    torch.manual_seed(0)
    network = Detector(size=sides[0], dims=len(sides), width=4, latent=1, sigma=2.5).eval()
    image = blur(torch.rand(4, 1, *sides), 1.0)

    plain, faint = network(image).seen, network(0.3 + 0.6 * image).seen
    other = network(image.flip(-1)).seen

    spread = (plain.lesion - other.lesion).abs().max()
    assert (plain.lesion - faint.lesion).abs().max() < 0.2 * spread


def test_an_opacity_raises_the_score_and_the_map_peaks_there(model):
    session = medplug.load(model, device="cpu")
    generator = np.random.default_rng(9)
    raised, far = [], []
    for _ in range(12):
        picture, row, column = chest(generator), generator.uniform(8, 16), generator.choice([6, 17])
        plain, sick = (session.predict(stored(one)).prediction for one in (picture, opaque(picture, row, column)))
        raised.append(sick.score - plain.score)
        more = blur(torch.tensor(sick.map - plain.map)[None, None], 1.0)[0, 0].numpy()
        far.append(np.hypot(*np.subtract(np.unravel_index(more.argmax(), more.shape), (row, column))))
        assert sick.map.shape == sick.reconstruction.shape == (24, 24)
        assert 0 <= sick.map.min() <= sick.map.max() <= 1

    assert np.mean(np.array(raised) > 0) > 0.9
    assert np.median(far) < 5


def test_evidence_is_standardised_on_normal_validation_rows(data, model):
    session = medplug.load(model, device="cpu")
    with np.load(data) as arrays:
        normal = arrays["val_images"][arrays["val_labels"].ravel() == 0]
    images = torch.tensor(normal, dtype=torch.float32)[:, None] / 255

    with torch.inference_mode():
        normals = session.network.normals
        evidence = (session.network(images).each - normals.center) / normals.spread

    assert evidence.mean(0).numpy() == pytest.approx(0, abs=1e-3)
    assert evidence.std(0, correction=0).numpy() == pytest.approx(1, abs=1e-3)
    scores = [session.predict(one).prediction.score for one in normal]
    assert np.mean(scores) == pytest.approx(0, abs=1e-3)
    assert all(check.passed for check in golden.verify(model))


def test_two_trainings_give_the_same_bytes(data, tmp_path):
    for name in ("one", "other"):
        train("autoencoder", data, tmp_path / name, normal="0", options=SMALL, steps=3, device="cpu")

    first, second = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("one", "other"))
    assert first == second


def test_without_normal_validation_rows_the_learned_ones_are_the_measure(data, tmp_path):
    with np.load(data) as arrays:
        changed = {**arrays, "val_labels": np.ones_like(arrays["val_labels"])}
    np.savez(tmp_path / "data.npz", **changed)

    train("autoencoder", tmp_path / "data.npz", tmp_path / "m", normal="0", options=SMALL, steps=2, device="cpu")

    session = medplug.load(tmp_path / "m", device="cpu")
    scores = [session.predict(one).prediction.score for one in changed["train_images"]]
    assert np.mean(scores) == pytest.approx(0, abs=1e-3)


def test_a_folder_of_the_network_without_a_discriminator_is_refused(model):
    loaded = model_folder.load(model)
    card = model_folder.read_card(model)
    older = {name: one for name, one in loaded.network.state_dict().items() if name.startswith("autoencoder.")}

    with pytest.raises(ModelFolderError, match="weights do not fit the network that medplug:autoencoder"):
        model_folder.assemble(card, loaded.preprocessing, older)


def test_options_that_cannot_be_are_refused(data, tmp_path):
    for options, message in (
        ({"widht": 4}, "autoencoder has no option 'widht'"),
        ({"structure": 1.5}, "structure is 1.5: want 0 to 1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan: want more than 0"),
    ):
        with pytest.raises(CallError, match=message):
            train("autoencoder", data, tmp_path / "m", normal="0", options=options, device="cpu")


def learned_surroundings(images, dims=2):
    surroundings = Surroundings(dims)
    surroundings.learn(images.split(16))
    return surroundings


def fields(count, generator, dims=2):
    """Smooth noise, of which a part says what lies beside it."""
    return torch.sigmoid(8 * blur(torch.randn(count, 1, *[28] * dims, generator=generator), 3.0))


@pytest.mark.parametrize("dims", [2, 3])
def test_what_surroundings_let_expect_is_the_conditional_mean_of_a_gaussian(dims):
    generator = torch.Generator().manual_seed(0)
    images = fields(60, generator, dims)
    surroundings = learned_surroundings(images, dims)
    rows = surroundings._contrast_normalised(images).double()
    patches = list(surroundings._patches())
    patch = patches[len(patches) // 3]
    rest = torch.tensor([point for point in range(rows.shape[1]) if point not in set(patch.tolist())])
    covariance = rows.T.cov(correction=0)
    covariance += 0.3 * covariance.diagonal().mean() * torch.eye(len(covariance))

    off = rows - rows.mean(0)
    from_rest = torch.linalg.solve(covariance[rest][:, rest], covariance[rest][:, patch])
    left = covariance[patch][:, patch] - covariance[patch][:, rest] @ from_rest
    expected = (off[:, patch] - off[:, rest] @ from_rest).mean(1) / left.mean().sqrt()

    found = (rows - surroundings.mean) @ surroundings.readings[len(patches) // 3].double()
    assert found.numpy() == pytest.approx(expected.numpy(), abs=1e-3)
    assert len(patches) == {2: 100, 3: 216}[dims]
    assert all(len(one) == {2: 25, 3: 27}[dims] for one in patches)
    assert set(torch.cat(patches).tolist()) == set(range(rows.shape[1]))


def test_an_opacity_is_unexpected_and_another_exposure_is_not():
    generator = np.random.default_rng(0)
    pictures = [chest(generator) for _ in range(200)]
    sick = [opaque(one, generator.uniform(8, 16), generator.choice([6, 17])) for one in pictures[150:]]
    known, normal, sick = (torch.tensor(np.array(one))[:, None] for one in (pictures[:150], pictures[150:], sick))
    surroundings = learned_surroundings(known)

    plain, raised, dimmed = (surroundings(one) for one in (normal, sick, 0.8 * normal + 0.1))

    assert (raised > plain.max()).float().mean() > 0.9
    assert (raised - plain).median() > 20 * (dimmed - plain).abs().median()


def test_surroundings_of_nothing_of_one_image_and_of_one_grey_expect_nothing_odd():
    images = fields(4, torch.Generator().manual_seed(0))

    assert (Surroundings(2)(images) == 0).all()
    assert (learned_surroundings(images[:1])(images) == 0).all()
    assert learned_surroundings(torch.full((20, 1, 28, 28), 0.5))(images).isfinite().all()
