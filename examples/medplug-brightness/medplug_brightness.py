"""A whole third-party plugin: one model and the hook that offers it."""

import medplug
from medplug import Preprocessing, Regression, Resize, Window


class Brightness(medplug.Model):
    """The mean of the windowed image: the smallest model there is."""

    name, version, task = "brightness", "1.0", medplug.Task.REGRESSION

    def preprocessing(self):
        return Preprocessing(values=Window(center=40, width=400), geometry=(Resize((64, 64)),))

    def build(self):
        from torch import nn  # here, so that listing the plugins does not import torch

        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def decode(self, output, batch):
        return [Regression(values={"brightness": value}) for value in output["output"][:, 0].tolist()]


@medplug.hookimpl
def medplug_register_models():
    return [Brightness]
