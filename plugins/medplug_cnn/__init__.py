"""Classification by a residual network, in 2-D and 3-D."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import medplug

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class CnnOptions(medplug.ModelOptions, frozen=True):
    """What the network looks like; training fits the first three to the data unless they are set.

    `size` is the side of the square or cube that it sees, `channels` how many are given to it: 1 is grey, 3 colour, any
    other number the stored ones. `depth` counts the residual blocks of each stage, `width` the channels of the first.
    `cutmix` is the share of the batches that get boxes of each other pasted in, instead of being blended by `mixup`.
    """

    size: int = 96
    dims: Literal[2, 3] = 2
    channels: int = 1
    width: int = 32
    depth: tuple[int, ...] = (2, 2, 2, 2)
    dropout: float = 0.2
    smoothing: float = 0.1
    mixup: float = 0.3
    cutmix: float = 0.3
    learning_rate: float = 2e-3
    weight_decay: float = 0.05


class Cnn(medplug.Trainable):
    """A residual network (He et al. 2016) that says how probable each label is."""

    name: ClassVar[str] = "cnn"
    version: ClassVar[str] = "1.0"
    task: ClassVar[medplug.Task] = medplug.Task.CLASSIFICATION
    Options: ClassVar[type[medplug.ModelOptions]] = CnnOptions
    options: CnnOptions

    def fit_options(self, survey: medplug.Survey) -> CnnOptions:
        """See small images as they are and larger ones at 96 (2-D) or 48 (3-D); colour is read as grey."""
        dims: Literal[2, 3] = 2 if len(survey.shape) == 2 else 3
        longest = max(survey.shape)
        limit = 96 if dims == 2 else 48
        return self.options.replace(
            dims=dims,
            size=min(longest, limit),
            channels=1 if survey.channels in (1, 3) else survey.channels,
        )

    def contract(self) -> medplug.InputContract:
        """Grey or colour images, or exactly the channels that it was trained on."""
        options = self.options
        return medplug.InputContract(
            unit=medplug.Unit.INSTANCE if options.dims == 2 else medplug.Unit.SERIES,
            dimensions=options.dims,
            channels=(1, 3) if options.channels in (1, 3) else (options.channels,),
        )

    def preprocessing(self) -> medplug.Preprocessing:
        """As displayed, stretched to `size`, on -2 to 2."""
        options = self.options
        names: dict[int, Literal["grey", "rgb"]] = {1: "grey", 3: "rgb"}
        return medplug.Preprocessing(
            values=medplug.Display(fallback=medplug.Percentiles(0.5, 99.5)),
            channels=names.get(options.channels, "stored"),
            geometry=(medplug.Resize((options.size,) * options.dims),),
            normalize=medplug.Normalize((0.5,), (0.25,)),
        )

    def augmentation(self) -> medplug.Augmentation:
        """Small movements and exposures; no mirror, since the heart lies on the left."""
        return medplug.Augmentation(
            rotate=(-13, 13),
            scale=(0.8, 1.25),
            shear=(-8, 8),
            shift=(-0.08, 0.08),
            contrast=(0.8, 1.25),
            brightness=(-0.1, 0.1),
            gamma=(0.8, 1.25),
        )

    def recipe(self) -> medplug.Recipe:
        """Return how the host trains it, unless the user says otherwise: small images are learnt by heart sooner."""
        return medplug.Recipe(
            epochs=50 if self.options.size >= 64 else 20,
            batch_size=32,
            decay=0.4,
            ema=0.995,
            clip=5.0,
            balance=True,
            precision="bfloat16",
        )

    def build(self) -> nn.Module:
        """Return the network; its stem shrinks large images early."""
        from .network import ResidualNetwork, stem_stride

        options = self.options
        return ResidualNetwork(
            options.channels,
            len(self.labels),
            dims=options.dims,
            width=options.width,
            depth=options.depth,
            stem=stem_stride(options.size),
            dropout=options.dropout,
        )

    def forward(self, network: nn.Module, batch: medplug.Batch) -> Mapping[str, Tensor]:
        """Return "logits" [N, labels] and "features" [N, F]."""
        features = self.features(network, batch)
        return {"logits": network.head(network.dropout(features)), "features": features}  # type: ignore[operator]

    def decode(self, output: Mapping[str, Tensor], batch: medplug.Batch) -> Sequence[medplug.Prediction]:
        """Softmax of exclusive labels, a sigmoid of each other one."""
        logits = output["logits"].double()
        exclusive = self.labels.exclusive
        rows = (logits.softmax(dim=1) if exclusive else logits.sigmoid()).tolist()
        return [
            medplug.Classification(probabilities=dict(zip(self.labels.names, row)), exclusive=exclusive) for row in rows
        ]

    def configure_optimizers(self, network: nn.Module) -> Mapping[str, torch.optim.Optimizer]:
        """AdamW; norms and biases do not decay."""
        from torch.optim import AdamW

        weights = [one for one in network.parameters() if one.dim() > 1]
        others = [one for one in network.parameters() if one.dim() <= 1]
        groups: list[dict[str, Any]] = [
            {"params": weights, "weight_decay": self.options.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        return {"main": AdamW(groups, lr=self.options.learning_rate, betas=(0.9, 0.99), fused=True)}

    def training_step(self, network: nn.Module, batch: medplug.Batch, loop: medplug.Loop) -> Mapping[str, Tensor]:
        """Minimise the cross-entropy with mixed images and smoothed labels."""
        import torch
        from torch.nn import functional as F

        from .network import mixed, pasted

        assert batch.target is not None  # the host gives a target to a classifier
        image, options = batch.image, self.options
        target = F.one_hot(batch.target, len(self.labels)).float() if self.labels.exclusive else batch.target
        if options.cutmix > 0 and torch.rand((), generator=loop.generator) < options.cutmix:
            image, target = pasted(image, target, loop.generator)
        elif options.mixup > 0:
            image, target = mixed(image, target, loop.generator, alpha=options.mixup)
        loss = self._loss(network(image), target, self.options.smoothing)
        loop.minimise(loss)
        return {"loss": loss}

    def validation_loss(self, network: nn.Module, batch: medplug.Batch) -> Tensor:
        """The cross-entropy without mixing or smoothing."""
        assert batch.target is not None
        return self._loss(network(batch.image), batch.target, 0.0)

    def features(self, network: nn.Module, batch: medplug.Batch) -> Tensor:
        """The pooled activations of the last stage."""
        found: Tensor = network.features(batch.image)  # type: ignore[operator]  # ours has it
        return found

    def attribution_layer(self, network: nn.Module) -> nn.Module:
        """The last stage, where a place still is a place."""
        return network.get_submodule(f"stages.{len(self.options.depth) - 1}")

    def _loss(self, logits: Tensor, target: Tensor, smoothing: float) -> Tensor:
        from .network import exclusive_loss, multi_label_loss

        loss = exclusive_loss if self.labels.exclusive else multi_label_loss
        return loss(logits, target, smoothing=smoothing)


@medplug.hookimpl
def medplug_register_models() -> list[type[medplug.Model]]:
    """Offer `cnn`."""
    return [Cnn]
