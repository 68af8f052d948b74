"""What a trained `cnn` looks at: an image and small movements of it, always the same."""

import pytest
import torch
from medplug_cnn import Cnn, CnnOptions
from medplug_cnn.views import moved

import medplug
from medplug.dataset import DataOptions

LABELS = medplug.Labels(names=("a", "b"))


def a_model(**options):
    model = Cnn(CnnOptions(**{"size": 32, "width": 4, "views": 5, **options}), LABELS)
    torch.manual_seed(0)
    network = model.build()
    image = torch.rand(3, 1, *[model.options.size] * model.options.dims)
    network(image)  # so that the norms' statistics are of something
    with torch.no_grad():
        network.head.weight.normal_(std=3)
    return model, network.eval(), medplug.Batch(image=image, images={"image": image})


@pytest.mark.parametrize("dims", [2, 3])
def test_views_are_the_image_and_small_movements_of_it(dims):
    side = 24
    at = torch.stack(torch.meshgrid(*[torch.linspace(-1, 1, side)] * dims, indexing="ij"))[None].double()

    first, *others = moved(at, 9)

    assert (first == at).all()
    inside = (slice(None), slice(None), *[slice(side // 4, -side // 4)] * dims)
    distances = [(other - at)[inside].abs().amax().item() for other in others]
    assert all(0.01 < distance < 0.25 for distance in distances)  # of a frame that is 2 wide
    assert len({round(distance, 6) for distance in distances}) == len(others)
    # A turn, a scale and a shift keep angles: the rows' direction stays square to the columns'.
    for other in others:
        right = other[0, -2:, side // 2, -6] - other[0, -2:, side // 2, 6] if dims == 2 else None
        if right is not None:
            down = other[0, -2:, -6, side // 2] - other[0, -2:, 6, side // 2]
            assert (right @ down).abs() < 1e-3


@pytest.mark.parametrize("dims", [2, 3])
def test_a_trained_network_answers_by_the_mean_of_its_views(dims):
    model, network, batch = a_model(dims=dims, size=32 if dims == 2 else 16)

    with torch.inference_mode():
        answered = model.forward(network, batch)
        single = [network(view) for view in moved(batch.image, 5)]

    torch.testing.assert_close(answered["logits"], torch.stack(single).mean(0))
    assert (answered["logits"] - single[0]).abs().max() > 1e-3
    torch.testing.assert_close(answered["features"], network.features(batch.image))


def test_training_and_explanations_see_the_image_alone():
    model, network, batch = a_model()
    seen = []
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))

    explained = model.forward(network, batch)["logits"]
    with torch.no_grad():
        torch.testing.assert_close(explained, network(batch.image))
        seen.clear()
        model.forward(network.train(), batch)

    assert seen == []


def test_one_view_is_the_image_alone():
    model, network, batch = a_model(views=1)

    with torch.inference_mode():
        torch.testing.assert_close(model.forward(network, batch)["logits"], network(batch.image))


@pytest.mark.parametrize(
    ("shape", "backbone", "views"),
    [
        ((28, 28), "residual", 8),
        ((1024, 900), "residual", 8),
        ((28, 28), "monai:resnet10", 1),
        ((24, 24, 24), "residual", 1),
    ],
)
def test_the_own_network_looks_at_a_2d_image_eight_times_and_what_costs_more_once(shape, backbone, views):
    survey = medplug.Survey(shape, 1, 9, LABELS)

    assert Cnn(CnnOptions(backbone=backbone), LABELS).fit_options(survey).views == views


@pytest.mark.parametrize(
    ("shape", "rows", "epochs", "mixed"),
    [
        ((28, 28), 4700, 12, False),
        ((28, 28), 1000, 32, False),
        ((63, 40), 9, 300, False),
        ((64, 64), 10_000, 35, True),
        ((1024, 900), 566, 114, True),
        ((24, 24, 24), 1000, 64, True),
    ],
)
def test_the_fewer_rows_the_more_epochs_and_thumbnails_are_not_mixed(shape, rows, epochs, mixed):
    fitted = Cnn(CnnOptions(), LABELS).fit_options(medplug.Survey(shape, 1, rows, LABELS))

    assert fitted.epochs == epochs
    assert Cnn(fitted, LABELS).recipe().epochs == epochs
    assert (fitted.mixup > 0, fitted.cutmix > 0) == (mixed, mixed)


def test_no_epochs_are_no_option():
    with pytest.raises(ValueError, match="epochs is 0"):
        CnnOptions(epochs=0)


def test_no_views_are_no_option():
    with pytest.raises(ValueError, match="views is 0"):
        CnnOptions(views=0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", 0),
        ("width", -4),
        ("depth", ()),
        ("depth", (2, 0)),
        ("dropout", 3.0),
        ("smoothing", 7.0),
        ("mixup", -3.0),
        ("cutmix", 1.5),
        ("learning_rate", float("nan")),
        ("learning_rate", -1.0),
        ("weight_decay", -1.0),
    ],
)
def test_a_number_that_makes_no_network_or_no_training_is_refused_by_its_name(name, value):
    with pytest.raises(ValueError, match=f"{name} is .*: want "):
        CnnOptions(**{name: value})


@pytest.mark.parametrize(
    ("parts", "modalities", "names", "mirrored"),
    [
        ((), (), ("a", "b"), False),
        (("CHEST",), ("DX",), ("a", "b"), False),
        ((), ("MG",), ("a", "b"), True),
        (("KNEE",), ("DX",), ("a", "b"), True),
        (("KNEE", "CHEST"), ("DX",), ("a", "b"), False),
        (("CHEST",), ("MG",), ("a", "b"), False),
        (("EYE",), ("OP",), ("Left eye", "right eye"), False),
    ],
)
def test_images_are_mirrored_only_where_left_and_right_mean_nothing(parts, modalities, names, mirrored):
    labels = medplug.Labels(names=names)
    survey = medplug.Survey((64, 64), 1, 9, labels, modalities=frozenset(modalities), body_parts=frozenset(parts))

    options = Cnn(CnnOptions(), labels).fit_options(survey)

    assert options.mirror is mirrored
    assert Cnn(options, labels).augmentation().flip == ((1,) if mirrored else ())


@pytest.mark.parametrize(("named", "mirrored"), [(("MG",), True), ((), False)])
def test_what_the_user_names_says_what_the_rows_show(tmp_path, named, mirrored):
    from learners import write_npz

    options = {"width": 4, "size": 8, "views": 1, "recipe.batch_size": 4}
    shown = DataOptions(modality=named)
    trained = medplug.train(
        "cnn", write_npz(tmp_path / "x.npz"), tmp_path / "m", options=options, data_options=shown, steps=1, device="cpu"
    )

    assert trained.card.options["mirror"] is mirrored


def test_a_model_that_standardises_does_so_wherever_it_looks():
    model, network, batch = a_model(standardise=True)
    brighter = medplug.Batch(image=batch.image * 0.8 + 0.3, target=torch.zeros(3, dtype=torch.int64))
    batch = medplug.Batch(image=batch.image, target=brighter.target)

    with torch.inference_mode():
        for name, one in model.forward(network, batch).items():
            torch.testing.assert_close(one, model.forward(network, brighter)[name])
        torch.testing.assert_close(model.features(network, batch), model.features(network, brighter))
        torch.testing.assert_close(model.validation_loss(network, batch), model.validation_loss(network, brighter))
