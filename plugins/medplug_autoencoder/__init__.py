"""Reconstruction and anomaly by an autoencoder, in 2-D and 3-D."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import medplug

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class AutoencoderOptions(medplug.ModelOptions, frozen=True):
    """What the network looks like; training fits `size` and `dims` to the data unless they are set.

    `latent` counts the channels of the code: the narrower, the less of an anomaly it can carry. `structure` is the
    share of structural similarity in the loss, `sigma` the width in pixels of the window that the score compares.
    """

    size: int = 64
    dims: Literal[2, 3] = 2
    width: int = 16
    latent: int = 1
    structure: float = 0.5
    sigma: float = 2.5
    learning_rate: float = 2e-3
    weight_decay: float = 0.01


class Autoencoder(medplug.Trainable):
    """Rebuilds an image through a narrow code; what it cannot rebuild is unusual."""

    name: ClassVar[str] = "autoencoder"
    version: ClassVar[str] = "1.0"
    task: ClassVar[medplug.Task] = medplug.Task.ANOMALY
    Options: ClassVar[type[medplug.ModelOptions]] = AutoencoderOptions
    options: AutoencoderOptions

    def fit_options(self, survey: medplug.Survey) -> AutoencoderOptions:
        """See small images as they are, larger ones at 64 (2-D) or 32 (3-D)."""
        dims: Literal[2, 3] = 2 if len(survey.shape) == 2 else 3
        return self.options.replace(dims=dims, size=min(max(survey.shape), 64 if dims == 2 else 32))

    def contract(self) -> medplug.InputContract:
        """Grey or colour images; colour is read as grey."""
        two = self.options.dims == 2
        return medplug.InputContract(
            unit=medplug.Unit.INSTANCE if two else medplug.Unit.SERIES, dimensions=self.options.dims
        )

    def preprocessing(self) -> medplug.Preprocessing:
        """As displayed, 0 to 1, stretched to `size`."""
        return medplug.Preprocessing(
            values=medplug.Display(fallback=medplug.Percentiles(0.5, 99.5)),
            geometry=(medplug.Resize((self.options.size,) * self.options.dims),),
        )

    def augmentation(self) -> medplug.Augmentation:
        """Small movements and exposures: what must not count as unusual."""
        return medplug.Augmentation(
            rotate=(-7, 7),
            scale=(0.9, 1.1),
            shift=(-0.05, 0.05),
            contrast=(0.85, 1.15),
            brightness=(-0.1, 0.1),
            gamma=(0.8, 1.25),
        )

    def recipe(self) -> medplug.Recipe:
        """Return how the host trains it, unless the user says otherwise."""
        return medplug.Recipe(epochs=15, batch_size=32, ema=0.99, clip=5.0, precision="bfloat16")

    def build(self) -> nn.Module:
        """Return the network."""
        from .network import Autoencoder as Network
        from .network import levels_for

        options = self.options
        return Network(
            1, levels=levels_for(options.size), dims=options.dims, width=options.width, latent=options.latent
        )

    def forward(self, network: nn.Module, batch: medplug.Batch) -> Mapping[str, Tensor]:
        """Return "reconstruction" and "map" [N, 1, ...] and "score" [N]."""
        from .network import anomaly_map, anomaly_score

        made = network(batch.image)
        return {
            "reconstruction": made,
            "map": anomaly_map(made, batch.image, sigma=self.options.sigma),
            "score": anomaly_score(made, batch.image, sigma=self.options.sigma),
        }

    def decode(self, output: Mapping[str, Tensor], batch: medplug.Batch) -> Sequence[medplug.Prediction]:
        """The score is the mean of the map: 0 for a perfect reconstruction."""
        return [
            medplug.Anomaly(score=score, map=anomalous[0].numpy(), reconstruction=made[0].numpy())
            for score, anomalous, made in zip(output["score"].tolist(), output["map"], output["reconstruction"])
        ]

    def configure_optimizers(self, network: nn.Module) -> Mapping[str, torch.optim.Optimizer]:
        """AdamW."""
        from torch.optim import AdamW

        options = self.options
        return {
            "main": AdamW(
                network.parameters(), lr=options.learning_rate, betas=(0.9, 0.99), weight_decay=options.weight_decay
            )
        }

    def training_step(self, network: nn.Module, batch: medplug.Batch, loop: medplug.Loop) -> Mapping[str, Tensor]:
        """Minimise the reconstruction loss."""
        loss = self.validation_loss(network, batch)
        loop.minimise(loss)
        return {"loss": loss}

    def validation_loss(self, network: nn.Module, batch: medplug.Batch) -> Tensor:
        """Absolute error and structural similarity, weighed by `structure`."""
        from .network import reconstruction_loss

        return reconstruction_loss(network(batch.image), batch.image, structure=self.options.structure)


@medplug.hookimpl
def medplug_register_models() -> list[type[medplug.Model]]:
    """Offer `autoencoder`."""
    return [Autoencoder]
