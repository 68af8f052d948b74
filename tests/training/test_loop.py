"""One training step: what the host does around a model's own mathematics."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import medplug
from medplug.errors import PluginError
from medplug.model import Batch, Recipe
from medplug.training.loop import NotFiniteError, TrainingLoop


class Line(medplug.Trainable):
    """A line whose step the test writes."""

    name, version, task = "line", "1.0", medplug.Task.REGRESSION

    def __init__(self, step=None):
        super().__init__()
        self.step = step

    def build(self):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5))

    def configure_optimizers(self, network):
        return {"main": torch.optim.SGD(network.parameters(), lr=0.5)}

    def training_step(self, network, batch, loop):
        return self.step(network, batch, loop)

    def decode(self, output, batch):
        return []


def loop_of(step, **recipe):
    model = Line(step)
    recipe = Recipe(**{"schedule": "constant", "warmup": 0, "clip": None, **recipe})
    return TrainingLoop(model, model.build(), recipe, device=torch.device("cpu"), seed=0, steps=10)


def batch():
    return Batch(image=torch.ones(4, 8))


def test_the_second_loss_of_a_step_is_of_the_new_weights_under_autocast_too():
    def step(network, batch, loop):
        network.eval()  # no dropout
        losses = {}
        for name in ("first", "second"):
            losses[name] = F.mse_loss(network(batch.image).float(), torch.full((4, 8), 3.0))
            loop.minimise(losses[name])
        return losses

    loop = loop_of(step)
    loop.precision = "bfloat16"

    losses = loop.run(batch())

    assert losses["second"] < 0.9 * losses["first"]


def test_random_numbers_follow_from_seed_and_step_alone():
    def step(network, batch, loop):
        return {"dropped": network(batch.image).sum(), "drawn": torch.rand(1, generator=loop.generator)}

    loop, other = loop_of(step), loop_of(step)
    first, second = loop.run(batch()), loop.run(batch())
    torch.rand(100)
    other.step = 1

    again = other.run(batch())

    assert again == second
    assert first["dropped"] != second["dropped"]
    assert first["drawn"] != second["drawn"]


def test_the_rate_scales_every_group_and_nothing_accumulates():
    def step(network, batch, loop):
        loop.minimise(network[0].bias.sum())
        return {}

    loop = loop_of(step, warmup=4)
    before = loop.network[0].bias.detach().clone()

    for _ in range(4):
        loop.run(batch())

    torch.testing.assert_close(before - loop.network[0].bias, torch.full((8,), 0.5 * (0.25 + 0.5 + 0.75 + 1)))


def test_gradients_are_clipped_to_the_recipes_norm():
    def step(network, batch, loop):
        loop.minimise(1000 * network[0].bias.sum())
        return {}

    loop = loop_of(step, clip=0.1)
    before = loop.network[0].bias.detach().clone()

    loop.run(batch())

    assert (before - loop.network[0].bias).norm().item() == pytest.approx(0.05, rel=1e-3)


@pytest.mark.parametrize(("ema", "share"), [(0.0, 1.0), (0.9, 0.9)])  # the average follows fast at first
def test_the_average_follows_the_network_and_does_not_learn_itself(ema, share):
    def step(network, batch, loop):
        loop.minimise(network[0].bias.sum())
        return {}

    loop = loop_of(step, ema=ema)
    before = loop.average[0].bias.clone()

    loop.run(batch())

    moved = loop.network[0].bias.detach() - before
    torch.testing.assert_close(loop.average[0].bias - before, share * moved)
    assert not loop.average.training
    assert not any(parameter.requires_grad for parameter in loop.average.parameters())


@pytest.mark.parametrize("make", [lambda total: total * float("inf"), lambda total: (total * 0).sqrt()])
def test_a_loss_or_gradient_that_is_not_finite_changes_no_weight(make):
    def step(network, batch, loop):
        loop.minimise(make(network[0].bias.sum()))
        return {}

    loop = loop_of(step)
    before = {name: one.clone() for name, one in loop.network.state_dict().items()}

    with pytest.raises(NotFiniteError, match=r"step 1: the (loss|gradient of the loss) minimised by 'main'"):
        loop.run(batch())

    assert all(one.equal(before[name]) for name, one in loop.network.state_dict().items())
    assert all(one.equal(before[name]) for name, one in loop.average.state_dict().items())


def test_an_optimiser_that_is_not_there_is_named():
    def step(network, batch, loop):
        loop.minimise(network[0].bias.sum(), by="generator")

    with pytest.raises(PluginError, match="line minimises by 'generator'; its configure_optimizers names main"):
        loop_of(step).run(batch())
