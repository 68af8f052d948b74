"""A whole third-party plugin that learns: two convolutions tell labels apart."""

import medplug
from medplug import Classification, Normalize, Preprocessing, Recipe, Resize


class TinyOptions(medplug.ModelOptions, frozen=True):
    width: int = 16
    learning_rate: float = 3e-3


class Tiny(medplug.Trainable):
    name, version, task = "tiny", "1.0", medplug.Task.CLASSIFICATION
    Options = TinyOptions

    def preprocessing(self):
        return Preprocessing(geometry=(Resize((32, 32)),), normalize=Normalize((0.5,), (0.25,)))

    def recipe(self):
        return Recipe(epochs=15, batch_size=16, ema=0.9)

    def build(self):
        from torch import nn  # here, so that listing the plugins does not import torch

        width = self.options.width
        layers = [nn.Conv2d(1, width, 3, stride=2, padding=1), nn.ReLU()]
        layers += [nn.Conv2d(width, width, 3, stride=2, padding=1), nn.ReLU()]
        layers += [nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(width, len(self.labels))]
        return nn.Sequential(*layers)

    def configure_optimizers(self, network):
        from torch.optim import AdamW

        return {"main": AdamW(network.parameters(), lr=self.options.learning_rate)}

    def validation_loss(self, network, batch):
        from torch.nn.functional import cross_entropy

        return cross_entropy(network(batch.image), batch.target)

    def training_step(self, network, batch, loop):
        loss = self.validation_loss(network, batch)
        loop.minimise(loss)
        return {"loss": loss}

    def decode(self, output, batch):
        names, rows = self.labels.names, output["output"].softmax(dim=1).tolist()
        return [Classification(probabilities=dict(zip(names, row))) for row in rows]


@medplug.hookimpl
def medplug_register_models():
    return [Tiny]
