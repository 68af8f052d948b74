"""The smallest real model of each task, as a third party would write it."""

import torch
from torch import nn

import medplug
from medplug import Preprocessing, Resize, Spacing, Window


class Brightness(medplug.Model):
    """The mean of the windowed image."""

    name, version, task = "brightness", "1.0", medplug.Task.REGRESSION

    def preprocessing(self):
        return Preprocessing(values=Window(center=40, width=400), geometry=(Resize((64, 64)),))

    def build(self):
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def decode(self, output, batch):
        return [medplug.Regression(values={"brightness": value}) for value in output["output"][:, 0].tolist()]


class Above(medplug.Model):
    """Segments what lies above the middle of its window, on a grid of 1 mm."""

    name, version, task = "above", "1.0", medplug.Task.SEGMENTATION

    def preprocessing(self):
        return Preprocessing(values=Window(center=300, width=200), geometry=(Spacing((1.0, 1.0)),))

    def build(self):
        return nn.Identity()

    def decode(self, output, batch):
        above = output["output"][:, 0]
        stacked = torch.stack([1 - above, above], dim=1)
        return [
            medplug.Segmentation(labels=("bone",), probabilities=probabilities)
            for probabilities in stacked.float().numpy()
        ]


class Slices(Above):
    """The same for a volume."""

    name = "slices"

    def contract(self):
        return medplug.InputContract(unit=medplug.Unit.SERIES, dimensions=3, channels=(1,))

    def preprocessing(self):
        return Preprocessing(values=Window(center=300, width=200), geometry=(Spacing((2.0, 2.0, 2.0)),))


class Halves(medplug.Model):
    """Says which half of the image is brighter; its last convolution can be explained."""

    name, version, task = "halves", "1.0", medplug.Task.CLASSIFICATION

    def __init__(self, options=None, labels=None):
        super().__init__(options, labels or medplug.Labels(names=("left", "right")))

    def preprocessing(self):
        return Preprocessing(geometry=(Resize((32, 32)),))

    def build(self):
        class Network(nn.Module):
            def __init__(self):
                super().__init__()
                self.halves = nn.Conv2d(1, 2, 1, bias=False)
                nn.init.ones_(self.halves.weight)
                ramp = torch.linspace(1, -1, 32)
                self.register_buffer("sides", torch.stack([ramp, -ramp])[None, :, None, :])

            def forward(self, image):
                return (self.halves(image) * self.sides).mean(dim=(2, 3)) * 10

        return Network()

    def forward(self, network, batch):
        return {"logits": network(batch.image)}

    def attribution_layer(self, network):
        return network.halves

    def decode(self, output, batch):
        return [
            medplug.Classification(probabilities=dict(zip(self.labels.names, row)))
            for row in output["logits"].softmax(dim=1).tolist()
        ]


class Loudest(medplug.Model):
    """Anomaly: the brightest pixel, and the image itself as the map."""

    name, version, task = "loudest", "1.0", medplug.Task.ANOMALY

    def build(self):
        return nn.Identity()

    def decode(self, output, batch):
        return [medplug.Anomaly(score=float(one.max()), map=one[0].numpy()) for one in output["output"]]
