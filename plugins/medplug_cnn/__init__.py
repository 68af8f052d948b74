"""Classification by a residual network, in 2-D and 3-D."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import medplug

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


Backbone = Literal[
    "residual",
    "monai:densenet121",
    "monai:densenet169",
    "monai:densenet201",
    "monai:resnet10",
    "monai:resnet18",
    "monai:resnet34",
    "monai:resnet50",
    "monai:seresnet50",
    "monai:efficientnet-b0",
    "monai:efficientnet-b1",
    "monai:efficientnet-b2",
    "monai:efficientnet-b3",
    "monai:efficientnet-b4",
]
"""The networks that there are: this plugin's own, and those of MONAI's that it knows how to explain."""

_SMALLEST_FOR_MONAI = 64
"""The side, in pixels, below which MONAI's networks shrink an image to nothing."""

_THUMBNAIL = 64
"""The side, in pixels, below which images show so little that blending them teaches less than it blurs."""

_BATCH = 32
_STEPS, _EPOCHS = 2000, 35
"""A training takes so many steps or sees all rows so often, whichever is more."""
_STEPS_OF_THUMBNAILS, _EPOCHS_OF_THUMBNAILS = 1000, 12
_MOST_EPOCHS = 300  # of a few dozen rows

_PAIRED = frozenset(
    {"BREAST", "EYE", "SHOULDER", "ARM", "ELBOW", "FOREARM", "WRIST", "HAND", "FINGER"}
    | {"HIP", "THIGH", "KNEE", "LEG", "CALF", "ANKLE", "FOOT", "TOE", "SKIN"}
)
"""Body parts (PS3.16 annex L) whose left and right are each other's mirror image."""
_SIDELESS = frozenset({"MG", "OP", "OPT", "OCT", "GM", "SM", "XC"})
"""Modalities (PS3.3 C.7.3.1.1.1) of such parts, and of what has no left: breasts, eyes, skin, slides."""


class CnnOptions(medplug.ModelOptions, frozen=True):
    """What the network looks like; training fits some to the data unless they are set.

    `size` is the side of the square or cube that it sees, `channels` how many are given to it: 1 is grey, 3 colour, any
    other number the stored ones. `depth` counts the residual blocks of each stage, `width` the channels of the first.
    `standardise` brings each image to one mean and one deviation; `mirror` has training images mirrored left to right
    half of the time. `views` is how many slightly moved views of an image a trained network's answer is averaged over;
    1 is the image alone. `stem` is how much the network shrinks an image at once; where it is None, large ones more
    than small ones.
    `cutmix` is the share of the batches that get boxes of each other pasted in, instead of being blended by `mixup`.
    `epochs` is how often training sees all rows: the more often, the fewer they are.
    """

    size: int = 96
    dims: Literal[2, 3] = 2
    channels: int = 1
    mirror: bool = False
    standardise: bool = False
    backbone: Backbone = "residual"
    width: int = 32
    depth: tuple[int, ...] = (2, 2, 2, 2)
    stem: Literal[1, 2, 4] | None = None
    dropout: float = 0.2
    smoothing: float = 0.1
    mixup: float = 0.3
    cutmix: float = 0.3
    epochs: int = _EPOCHS
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    views: int = 1

    def __post_init__(self) -> None:
        self.require(
            ("epochs", self.epochs >= 1, "1 or more"),
            ("views", 1 <= self.views <= 64, "1, the image alone, to 64"),
            ("width", self.width >= 2, "2 or more"),
            ("depth", bool(self.depth) and min(self.depth) >= 1, "a stage or more, of 1 block or more each"),
            ("dropout", 0 <= self.dropout < 1, "0 to below 1"),
            ("smoothing", 0 <= self.smoothing < 1, "0 to below 1"),
            ("mixup", 0 <= self.mixup < math.inf, "0, which mixes nothing, or more"),
            ("cutmix", 0 <= self.cutmix <= 1, "0 to 1"),
            ("learning_rate", 0 < self.learning_rate < math.inf, "more than 0"),
            ("weight_decay", 0 <= self.weight_decay < math.inf, "0 or more"),
        )


class Cnn(medplug.Trainable):
    """A residual network (He et al. 2016) that says how probable each label is."""

    name: ClassVar[str] = "cnn"
    version: ClassVar[str] = "1.1"
    task: ClassVar[medplug.Task] = medplug.Task.CLASSIFICATION
    Options: ClassVar[type[medplug.ModelOptions]] = CnnOptions
    options: CnnOptions

    def fit_options(self, survey: medplug.Survey) -> CnnOptions:
        """See small images as they are and larger ones at 96 (2-D) or 48 (3-D); colour is read as grey.

        They are mirrored only where all rows are of parts or modalities in which that changes no meaning. What was
        chosen for rows in their hundreds and thousands was chosen by cross-validation of the train rows of
        PneumoniaMNIST (thumbnails) and of radiographs of children and of adults.
        """
        dims: Literal[2, 3] = 2 if len(survey.shape) == 2 else 3
        longest = max(survey.shape)
        limit = 96 if dims == 2 else 48
        if self.options.backbone != "residual":
            longest, limit = max(longest, _SMALLEST_FOR_MONAI), max(limit, _SMALLEST_FOR_MONAI)
        size = min(longest, limit)
        thumbnails = size < _THUMBNAIL and dims == 2
        steps, epochs = (_STEPS_OF_THUMBNAILS, _EPOCHS_OF_THUMBNAILS) if thumbnails else (_STEPS, _EPOCHS)
        mixing = {"mixup": 0.0, "cutmix": 0.0} if thumbnails else {}
        return self.options.replace(
            dims=dims,
            size=size,
            channels=1 if survey.channels in (1, 3) else survey.channels,
            mirror=_mirrored(survey),
            views=8 if dims == 2 and self.options.backbone == "residual" else 1,  # the others cost too much
            stem=2 if dims == 3 and size >= 16 else None,  # a volume's cost falls by eight
            epochs=min(max(epochs, math.ceil(steps * _BATCH / survey.count)), _MOST_EPOCHS),
            **mixing,
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
        """Small movements and exposures; a mirror only where `mirror` says so: the heart lies on the left."""
        return medplug.Augmentation(
            rotate=(-13, 13),
            scale=(0.8, 1.25),
            shear=(-8, 8),
            shift=(-0.08, 0.08),
            flip=(self.options.dims - 1,) if self.options.mirror else (),
            contrast=(0.8, 1.25),
            brightness=(-0.1, 0.1),
            gamma=(0.8, 1.25),
        )

    def recipe(self) -> medplug.Recipe:
        """Return how the host trains it, unless the user says otherwise."""
        return medplug.Recipe(
            epochs=self.options.epochs,
            batch_size=_BATCH,
            decay=0.4,
            ema=0.995,
            clip=5.0,
            balance=True,
            precision="bfloat16",
        )

    def build(self) -> nn.Module:
        """Return the network that `backbone` names; the stem of the own one shrinks large images early."""
        from .backbones import build

        options = self.options
        return build(
            options.backbone,
            options.channels,
            len(self.labels),
            dims=options.dims,
            size=options.size,
            width=options.width,
            depth=options.depth,
            stem=options.stem,
            dropout=options.dropout,
        )

    def forward(self, network: nn.Module, batch: medplug.Batch) -> Mapping[str, Tensor]:
        """Return "logits" [N, labels], the mean over the option's `views`, and "features" [N, F] of the image alone.

        Whoever follows gradients, to explain an answer say, is given the logits of the image alone.
        """
        import torch

        from .views import moved

        features = self.features(network, batch)
        logits: Tensor = network.classify(features)  # type: ignore[operator]  # ours has it
        if self.options.views > 1 and not network.training and not torch.is_grad_enabled():
            others = moved(self._seen(batch), self.options.views)[1:]
            logits = torch.stack([logits, *(network(view) for view in others)]).mean(dim=0)
        return {"logits": logits, "features": features}

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
        image, options = self._seen(batch), self.options
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
        return self._loss(network(self._seen(batch)), batch.target, 0.0)

    def features(self, network: nn.Module, batch: medplug.Batch) -> Tensor:
        """The pooled activations of the last stage."""
        found: Tensor = network.features(self._seen(batch))  # type: ignore[operator]  # ours has it
        return found

    def attribution_layer(self, network: nn.Module) -> Sequence[nn.Module]:
        """The last layer where a place still is a place; of the own network the finer ones before it, too."""
        layers: Sequence[nn.Module] = network.attribution_layers()  # type: ignore[operator]  # ours has it
        return layers

    def adapt_weights(self, network: nn.Module, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """MONAI's names are taken too, and a first convolution of colour is summed for grey images."""
        from .backbones import adapted

        return adapted(self.options.backbone, network, weights)

    def _seen(self, batch: medplug.Batch) -> Tensor:
        """What the network is shown."""
        from .network import standardised

        return standardised(batch.image) if self.options.standardise else batch.image

    def _loss(self, logits: Tensor, target: Tensor, smoothing: float) -> Tensor:
        from .network import exclusive_loss, multi_label_loss

        loss = exclusive_loss if self.labels.exclusive else multi_label_loss
        return loss(logits, target, smoothing=smoothing)


def _mirrored(survey: medplug.Survey) -> bool:
    """Whether left and right mean nothing in these rows, as far as they say what they show."""
    sides = any(word in name.lower() for name in survey.labels.names for word in ("left", "right"))
    stated, known = (survey.body_parts, _PAIRED) if survey.body_parts else (survey.modalities, _SIDELESS)
    return bool(stated) and stated <= known and not sides


@medplug.hookimpl
def medplug_register_models() -> list[type[medplug.Model]]:
    """Offer `cnn`."""
    return [Cnn]
