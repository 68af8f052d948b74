"""Reconstruction and anomaly by an autoencoder, in 2-D and 3-D."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, cast

import medplug

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from .network import Detector


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

    def __post_init__(self) -> None:
        self.require(
            ("size", self.size >= 8, "8 or more"),
            ("width", self.width >= 2, "2 or more"),
            ("latent", self.latent >= 1, "1 or more"),
            ("structure", 0 <= self.structure <= 1, "0 to 1"),
            ("sigma", 0 < self.sigma < math.inf, "more than 0"),
            ("learning_rate", 0 < self.learning_rate < math.inf, "more than 0"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "0 or more"),
        )


class Autoencoder(medplug.Trainable):
    """Rebuilds an image through a narrow code; what it cannot rebuild is unusual."""

    name: ClassVar[str] = "autoencoder"
    version: ClassVar[str] = "2.1"
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
            rotate=(-4, 4),
            scale=(0.95, 1.05),
            shift=(-0.025, 0.025),
            contrast=(0.92, 1.08),
            brightness=(-0.05, 0.05),
            gamma=(0.9, 1.12),
        )

    def recipe(self) -> medplug.Recipe:
        """Return how the host trains it, unless the user says otherwise."""
        return medplug.Recipe(steps=600, batch_size=64, ema=0.99, clip=5.0, precision="bfloat16")

    def build(self) -> nn.Module:
        """Return the network."""
        from .network import Detector

        options = self.options
        return Detector(
            size=options.size,
            dims=options.dims,
            width=options.width,
            latent=options.latent,
            sigma=options.sigma,
        )

    def forward(self, network: nn.Module, batch: medplug.Batch) -> Mapping[str, Tensor]:
        """Return "reconstruction" and "map" [N, 1, ...], "score" [N] and "features" [N, F].

        A pixel is unusual where it was badly rebuilt, or where a lesion is seen.
        """
        detector = cast("Detector", network)
        found = detector(batch.image)
        lesion = found.seen.where.float().sigmoid()
        return {
            "reconstruction": found.reconstruction,
            "map": 1 - (1 - found.unlike) * (1 - lesion),
            "score": detector.normals.score(found.each),
            "features": found.seen.features,
        }

    def decode(self, output: Mapping[str, Tensor], batch: medplug.Batch) -> Sequence[medplug.Prediction]:
        """The score is in standard deviations above the mean of normal images."""
        return [
            medplug.Anomaly(score=score, map=anomalous[0].numpy(), reconstruction=made[0].numpy())
            for score, anomalous, made in zip(output["score"].tolist(), output["map"], output["reconstruction"])
        ]

    def features(self, network: nn.Module, batch: medplug.Batch) -> Tensor:
        """Return what the discriminator makes its mind up by, [N, F]."""
        features: Tensor = network(batch.image).seen.features
        return features

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
        """Rebuild the image, and tell it from itself with a lesion."""
        import torch

        from .losses import losses

        found = losses(cast("Detector", network), batch.image, loop.generator, structure=self.options.structure)
        total = torch.stack(list(found.values())).sum()
        loop.minimise(total)
        return {"loss": total, **found}

    def validation_loss(self, network: nn.Module, batch: medplug.Batch) -> Tensor:
        """The sum of the losses, with lesions that are always the same."""
        import torch

        from .losses import losses

        same = torch.Generator().manual_seed(0)
        found = losses(cast("Detector", network), batch.image, same, structure=self.options.structure)
        return torch.stack(list(found.values())).sum()

    def after_training(
        self, network: nn.Module, train: Iterable[medplug.Batch], validation: Iterable[medplug.Batch]
    ) -> None:
        """Learn what surroundings let expect, then measure all evidence in rows that were not learned."""
        import torch

        detector = cast("Detector", network)
        detector.surroundings.learn(batch.image for batch in train)
        evidence = [detector(batch.image).each for batch in validation]
        if not evidence:  # no validation rows: those it learned look a little more normal than they should
            evidence = [detector(batch.image).each for batch in train]
        detector.normals.measure(torch.cat(evidence))


@medplug.hookimpl
def medplug_register_models() -> list[type[medplug.Model]]:
    """Offer `autoencoder`."""
    return [Autoencoder]
