"""Maps of where a network looked: each method finds the place that decides, in 2-D and 3-D, in source pixels."""

from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

import medplug
from medplug import Preprocessing, Resize, Session
from medplug.explain import METHOD, Method, attribute
from medplug.model import Batch

METHODS = get_args(Method)


class Blobs(medplug.Model):
    """Says `spot` where something small and bright is seen anywhere; made by hand, so it needs no training."""

    name, version, task = "blobs", "1.0", medplug.Task.CLASSIFICATION
    dims, side, inplace, gain = 2, 32, False, 40

    def __init__(self, options=None, labels=None):
        super().__init__(options, labels or medplug.Labels(names=("clear", "spot")))

    def contract(self):
        unit = medplug.Unit.INSTANCE if self.dims == 2 else medplug.Unit.SERIES
        return medplug.InputContract(unit=unit, dimensions=self.dims, channels=(1,))

    def preprocessing(self):
        return Preprocessing(
            values=medplug.Display(fallback=medplug.Full()), geometry=(Resize((self.side,) * self.dims),)
        )

    def build(self):
        convolution, norm = {2: (nn.Conv2d, nn.AvgPool2d), 3: (nn.Conv3d, nn.AvgPool3d)}[self.dims]
        network = nn.Sequential(
            nn.Sequential(convolution(1, 8, 3, padding=1), nn.ReLU(inplace=self.inplace)),
            nn.Sequential(norm(4), convolution(8, 8, 1), nn.ReLU(inplace=self.inplace)),
        )
        with torch.no_grad():
            for part in (network[0][0], network[1][1]):
                part.weight.zero_()
                part.bias.zero_()
            network[0][0].weight[0].fill_(1 / 3**self.dims)
            network[0][0].bias[0] = -0.55  # brighter than a half, over a neighbourhood
            network[1][1].weight[0, 0] = 1
        return network

    def forward(self, network, batch):
        seen = network(batch.image).flatten(2).mean(2)[:, 0]
        return {"logits": torch.stack([0.2 - self.gain * seen, self.gain * seen - 0.2], dim=1)}

    def attribution_layer(self, network):
        return [network[1], network[0]]

    def decode(self, output, batch):
        rows = output["logits"].softmax(1).tolist()
        return [medplug.Classification(probabilities=dict(zip(self.labels.names, row))) for row in rows]


class Blobs3(Blobs):
    name, dims, side, gain = "blobs3", 3, 16, 600


class Overwriting(Blobs):
    """Its activations overwrite their inputs, as those of many published networks do."""

    name, inplace = "overwriting", True


def spotted(shape: tuple[int, ...], place: tuple[int, ...], radius: float) -> np.ndarray:
    grids = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    near = sum((grid - at) ** 2 for grid, at in zip(grids, place)) < radius**2
    return np.where(near, 230, 60).astype(np.uint8)


def peak(explanation: medplug.Explanation) -> np.ndarray:
    """The middle of what is nearly as high as the map's highest place."""
    return np.argwhere(explanation.map >= 0.95 * explanation.map.max()).mean(axis=0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", [Blobs, Overwriting])
def test_each_method_points_at_the_spot_in_the_pixels_of_the_source(model, method):
    pixels = spotted((48, 64), (10, 50), 6)  # neither in the middle, nor on its mirror image

    result = Session(model(), device="cpu").explain(pixels, method=method)

    assert (result.explanation.method, result.explanation.label) == (method, "spot")
    assert result.explanation.map.shape == (48, 64)
    assert (result.explanation.map.min(), result.explanation.map.max()) == (0, pytest.approx(1, abs=0.1))
    assert np.abs(peak(result.explanation) - (10, 50)).max() < 4


@pytest.mark.parametrize("method", METHODS)
def test_each_method_points_at_the_spot_of_a_volume(method):
    pixels = spotted((20, 24, 32), (5, 17, 25), 4)

    [result] = Session(Blobs3(), device="cpu").run(pixels, explanations=True, method=method)

    assert result.explanation.label == "spot"
    assert result.explanation.map.shape == (20, 24, 32)
    assert np.abs(peak(result.explanation) - (5, 17, 25)).max() < 3


@pytest.mark.parametrize("method", METHODS)
def test_a_case_has_the_same_map_alone_and_among_others(method):
    images = [spotted((32, 32), place, 4) for place in ((8, 8), (8, 24), (24, 16))]
    session = Session(Blobs(), device="cpu")

    together = [result.explanation.map for result in session.run(images, explanations="spot", method=method)]

    for image, found in zip(images, together, strict=True):
        alone = session.explain(image, "spot", method=method).explanation.map
        np.testing.assert_allclose(found, alone, atol=1e-4)


def test_a_finer_layer_sharpens_the_map_of_the_deepest():
    class Coarse(Blobs):
        name = "coarse"

        def attribution_layer(self, network):
            return network[1]

    pixels = spotted((32, 32), (9, 22), 4)
    spread = [(Session(model(), device="cpu").explain(pixels).explanation.map > 0.5).sum() for model in (Coarse, Blobs)]

    assert spread[1] < spread[0]


def test_a_sure_answer_is_explained_as_an_unsure_one_is():
    class Sure(Blobs):
        name = "sure"

        def forward(self, network, batch):
            return {"logits": 1000 * super().forward(network, batch)["logits"]}

    pixels = spotted((32, 32), (9, 22), 4)
    unsure, sure = (Session(model(), device="cpu").explain(pixels).explanation.map for model in (Blobs, Sure))

    np.testing.assert_allclose(sure, unsure, atol=1e-4)


def test_further_images_of_a_case_stay_beside_their_own(monkeypatch):
    class Pairs(Blobs):
        """Sees the difference of two images."""

        name = "pairs"

        def forward(self, network, batch):
            assert set(batch.images) == {"image", "before"}
            change = batch.images["image"] - batch.images["before"]
            return super().forward(network, Batch(image=change))

    model = Pairs()
    both = torch.from_numpy(
        np.stack([spotted((32, 32), place, 4) for place in ((8, 8), (24, 24))])[:, None] / 255
    ).float()
    gone = torch.stack([both[0].clone(), both[0].clone()])  # the first image has not changed, the second has
    network = model.build()
    for method in METHODS:
        maps = attribute(
            model, network, Batch(image=both, images={"image": both, "before": gone}), [1, 1], method=method
        )
        assert maps.shape == (2, 32, 32)
        assert np.unravel_index(maps[1].argmax(), (32, 32)) == pytest.approx((24, 24), abs=4), method


def test_a_network_is_left_as_it_was():
    session = Session(Overwriting(), device="cpu")
    before = {name: value.clone() for name, value in session.network.state_dict().items()}

    for method in METHODS:
        session.explain(spotted((32, 32), (8, 8), 4), method=method)

    assert all(torch.equal(value, before[name]) for name, value in session.network.state_dict().items())
    assert session.network[0][1].inplace
    assert all(weight.grad is None for weight in session.network.parameters())


def test_a_method_that_there_is_not_is_a_wrong_call():
    with pytest.raises(medplug.CallError, match="no method 'lime' of explaining; there are grad-cam, integrated"):
        Session(Blobs(), device="cpu").explain(np.zeros((8, 8), np.uint8), method="lime")


@pytest.mark.parametrize("method", ["grad-cam", "occlusion"])
def test_a_model_without_labels_to_explain_is_not_said_to_want_another_method(method):
    class Scores(Blobs):
        name, task = "scores", medplug.Task.ANOMALY

    with pytest.raises(medplug.CallError, match=r"its task is anomaly\. Leave --explain out"):
        Session(Scores(), device="cpu").explain(spotted((32, 32), (8, 8), 4), method=method)


def test_a_model_without_a_layer_can_be_explained_by_the_other_methods():
    class Layerless(Blobs):
        name = "layerless"

        def attribution_layer(self, network):
            return None

    session = Session(Layerless(), device="cpu")
    with pytest.raises(medplug.CallError, match="choose integrated-gradients or occlusion"):
        session.explain(spotted((32, 32), (8, 8), 4), method=METHOD)

    assert session.explain(spotted((32, 32), (8, 8), 4), method="occlusion").explanation.map[8, 8] > 0.5
