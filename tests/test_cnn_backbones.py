"""The networks that `cnn` offers: explained, their features had, and begun from weights of elsewhere."""

from typing import get_args

import pytest
import torch
from medplug_cnn import Backbone, Cnn, CnnOptions

import medplug
from medplug import golden
from medplug.errors import CallError
from medplug.model_folder import sha256_of
from medplug.training.pretrained import Pretrained, read

LABELS = medplug.Labels(names=("a", "b", "c"))
MONAI = [name for name in get_args(Backbone) if name.startswith("monai:")]
# One of each family; the others differ in depth alone.
TRIED = [
    ("residual", 2),
    ("residual", 3),
    ("monai:densenet121", 2),
    ("monai:resnet10", 2),
    ("monai:resnet10", 3),
    ("monai:seresnet50", 2),
    ("monai:efficientnet-b0", 2),
    ("monai:efficientnet-b0", 3),
]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def made(backbone="residual", *, labels=LABELS, seed=0, **options):
    """A small network, its model, and a batch for it."""
    if backbone != "residual":
        pytest.importorskip("monai")
    model = Cnn(CnnOptions(**{"backbone": backbone, "size": 64, "width": 4, "views": 1, **options}), labels)
    torch.manual_seed(seed)
    network = model.build().eval()
    sides = [model.options.size] * model.options.dims
    image = torch.rand(2, model.options.channels, *sides, generator=torch.Generator().manual_seed(1))
    return model, network, medplug.Batch(image=image, images={"image": image})


def shifted(state):
    """Other numbers in the same places."""
    return {name: one + 1 if one.is_floating_point() else one for name, one in state.items()}


@pytest.mark.parametrize(("backbone", "dims"), TRIED)
def test_a_network_answers_with_features_that_make_its_logits(backbone, dims):
    model, network, batch = made(backbone, dims=dims, size=64 if dims == 2 else 48)

    with torch.inference_mode():
        output = model.forward(network, batch)

        assert output["logits"].shape == (2, 3)
        torch.testing.assert_close(output["features"], model.features(network, batch))
        torch.testing.assert_close(network.head(output["features"]), network(batch.image))


@pytest.mark.parametrize(("backbone", "dims"), [one for one in TRIED if one[1] == 2])
def test_what_grad_cam_reads_is_a_grid_that_nothing_overwrites(backbone, dims):
    model, network, batch = made(backbone, dims=dims)
    seen = []
    layer = model.attribution_layer(network)[0]
    layer.register_forward_hook(lambda _, inputs, output: seen.append((output, output.detach().clone())))

    model.forward(network, batch)["logits"].sum().backward()

    [(after, at_once)] = seen
    assert after.dim() == 4
    assert min(after.shape[2:]) >= 2
    assert (after == at_once).all()


@pytest.mark.parametrize("backbone", MONAI)
def test_every_name_belongs_to_a_family(backbone):
    from medplug_cnn.backbones import _of

    assert _of(backbone)[1].head


def test_a_backbone_that_is_not_in_the_table_is_no_option(tmp_path):
    with pytest.raises(CallError, match=r"option backbone .*os\.system"):
        medplug.train("cnn", _pictures(tmp_path), tmp_path / "m", options={"backbone": "os.system"}, steps=1)


def test_small_images_are_seen_larger_by_a_network_that_shrinks_much():
    survey = medplug.Survey((28, 28), 1, 100, LABELS)

    assert Cnn(CnnOptions(), LABELS).fit_options(survey).size == 28
    assert Cnn(CnnOptions(backbone="monai:resnet10"), LABELS).fit_options(survey).size == 64


def test_a_network_of_monais_is_trained_stored_and_loaded(tmp_path):
    pytest.importorskip("monai")
    options = {"backbone": "monai:resnet10", "views": 2, "recipe.batch_size": 4}

    trained = medplug.train("cnn", _pictures(tmp_path), tmp_path / "m", options=options, steps=1, device="cpu")

    assert trained.card.options["size"] == 64  # the pictures have 20: the options fit what the user chose
    assert all(check.passed for check in golden.verify(tmp_path / "m"))


def test_weights_are_taken_where_they_fit_and_the_rest_is_named():
    _, other, _ = made(labels=medplug.Labels(names=("x", "y")), seed=1)
    model, network, _ = made()
    fresh = network.head.weight.clone()

    record, told = Pretrained(shifted(other.state_dict()), "5ha").load_into(model, network)

    state = network.state_dict()
    assert all((state[name] == one).all() for name, one in shifted(other.state_dict()).items() if "head" not in name)
    assert (network.head.weight == fresh).all()
    assert (record.sha256, record.loaded, record.tensors) == ("5ha", len(state) - 2, len(state))
    assert f"{len(state) - 2} of {len(state)} tensors" in told
    assert "head.weight [3, 32], head.bias [3]" in told


def test_a_first_convolution_of_colour_is_summed_for_grey():
    _, colour, _ = made(channels=3, seed=1)
    model, network, batch = made()

    record, _ = Pretrained(colour.state_dict(), "").load_into(model, network)

    assert record.loaded == record.tensors
    with torch.inference_mode():
        torch.testing.assert_close(
            network(batch.image), colour(batch.image.expand(-1, 3, -1, -1)), atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize("backbone", ["monai:resnet10", "monai:densenet121", "monai:efficientnet-b0"])
def test_monais_own_names_are_understood(backbone):
    nets = pytest.importorskip("monai.networks.nets")
    theirs = {
        "monai:resnet10": lambda: nets.resnet10(
            spatial_dims=2, n_input_channels=3, num_classes=3, bias_downsample=False
        ),
        "monai:densenet121": lambda: nets.DenseNet121(2, 3, 3),
        "monai:efficientnet-b0": lambda: nets.EfficientNetBN("efficientnet-b0", False, True, 2, 3, 3),
    }[backbone]()
    model, network, _ = made(backbone)

    record, _ = Pretrained(shifted(theirs.state_dict()), "").load_into(model, network)

    assert record.loaded == record.tensors
    assert network.head.weight.shape == (3, network.head.in_features)
    assert (network.head.bias >= 0.5).all()


def test_weights_of_another_network_stop_training():
    _, other, _ = made(width=6)
    model, network, _ = made()

    with pytest.raises(CallError, match=r"of another network: .* of the .* tensors of cnn fit.*stem\.0\.weight"):
        Pretrained(other.state_dict(), "").load_into(model, network)


def test_weights_that_are_no_numbers_stop_training():
    model, network, _ = made()
    bad = {name: one * float("nan") if "stem.0" in name else one for name, one in network.state_dict().items()}

    with pytest.raises(CallError, match=r"not finite, in stem\.0\.weight"):
        Pretrained(bad, "").load_into(model, network)


def test_a_model_folder_starts_another_and_need_not_be_there_afterwards(tmp_path):
    data, options = _pictures(tmp_path), {"width": 4, "size": 16, "recipe.batch_size": 4, "learning_rate": 1e-9}
    first = medplug.train("cnn", data, tmp_path / "first", options=options, steps=2, device="cpu")

    second = medplug.train(
        "cnn", data, tmp_path / "second", options=options, steps=1, seed=5, device="cpu", pretrained=tmp_path / "first"
    )

    record = second.card.training.pretrained
    assert record.sha256 == first.card.weights_sha256
    assert record.loaded == record.tensors
    assert any("pretrained weights" in note for note in second.notes)
    before, after = (read(tmp_path / name).tensors["stem.0.weight"] for name in ("first", "second"))
    torch.testing.assert_close(before, after, atol=1e-6, rtol=0)
    (tmp_path / "first").rename(tmp_path / "elsewhere")
    assert str(tmp_path / "first") not in (tmp_path / "second" / "model.json").read_text()
    assert medplug.load(tmp_path / "second", device="cpu").predict(data_image()).answered


def test_what_holds_no_weights_is_named(tmp_path):
    (tmp_path / "weights.pt").write_bytes(b"not safetensors")

    with pytest.raises(CallError, match="absent holds no pretrained weights"):
        read(tmp_path / "absent")
    with pytest.raises(CallError, match="safetensors files alone"):
        read(tmp_path / "weights.pt")


def data_image(seed=0):
    return torch.randint(0, 255, (20, 20), generator=torch.Generator().manual_seed(seed)).to(torch.uint8).numpy()


def _pictures(folder):
    """A folder of two classes of pictures, of which no two are alike."""
    from PIL import Image as Picture

    for place, label in enumerate(("a", "b")):
        for number in range(10):
            file = folder / "data" / label / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Picture.fromarray(data_image(2 * number + place) // (2 - place)).save(file)
    return folder / "data"


def test_a_training_that_began_from_other_weights_goes_on_from_no_others(tmp_path):
    options = {"width": 4, "size": 8, "depth": (1, 1), "recipe.batch_size": 4, "recipe.schedule": "constant"}
    more = {"data": _pictures(tmp_path), "options": options, "device": "cpu"}
    medplug.train("cnn", output=tmp_path / "first", steps=2, seed=9, **more)
    medplug.train("cnn", output=tmp_path / "m", steps=2, pretrained=tmp_path / "first", **more)

    with pytest.raises(CallError, match=r"pretrained was '\w+' and is None"):
        medplug.train("cnn", output=tmp_path / "m", steps=4, resume=True, **more)
    moved = (tmp_path / "first" / "weights.safetensors").rename(tmp_path / "start.safetensors")
    trained = medplug.train("cnn", output=tmp_path / "m", steps=4, resume=True, pretrained=moved, **more)

    assert trained.card.training.steps == 4
    assert trained.card.training.pretrained.sha256 == sha256_of(moved)
