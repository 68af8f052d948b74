"""The networks that the option `backbone` names: this plugin's own, and a closed table of MONAI's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from torch import Tensor, nn

import medplug

from . import Backbone


@dataclass(frozen=True)
class _Family:
    """How to make a family's networks, the layer that Grad-CAM reads, and the linear layer that is replaced.

    `make` is given MONAI's module of networks, the name, and what all of them want: dims, channels, outputs.
    """

    make: Callable[[Any, str, int, int, int], nn.Module]
    layer: str
    head: str


def _densenet(nets: Any, name: str, dims: int, channels: int, outputs: int) -> nn.Module:
    kinds = {"densenet121": nets.DenseNet121, "densenet169": nets.DenseNet169, "densenet201": nets.DenseNet201}
    made: nn.Module = kinds[name](spatial_dims=dims, in_channels=channels, out_channels=outputs)
    return made


def _resnet(nets: Any, name: str, dims: int, channels: int, outputs: int) -> nn.Module:
    kinds = {"resnet10": nets.resnet10, "resnet18": nets.resnet18, "resnet34": nets.resnet34, "resnet50": nets.resnet50}
    # As He et al. and torchvision have it, so that weights from there fit: a stem of stride 2, shortcuts without bias.
    made: nn.Module = kinds[name](
        spatial_dims=dims, n_input_channels=channels, num_classes=outputs, conv1_t_stride=2, bias_downsample=False
    )
    return made


def _seresnet(nets: Any, name: str, dims: int, channels: int, outputs: int) -> nn.Module:
    made: nn.Module = nets.SEResNet50(spatial_dims=dims, in_channels=channels, num_classes=outputs)
    return made


def _efficientnet(nets: Any, name: str, dims: int, channels: int, outputs: int) -> nn.Module:
    made: nn.Module = nets.EfficientNetBN(
        name, pretrained=False, spatial_dims=dims, in_channels=channels, num_classes=outputs
    )
    return made


_FAMILIES: dict[str, _Family] = {
    "densenet": _Family(_densenet, "features", "class_layers.out"),
    "resnet": _Family(_resnet, "layer4", "fc"),
    "seresnet": _Family(_seresnet, "layer4", "last_linear"),
    "efficientnet": _Family(_efficientnet, "_bn1", "_fc"),
}


class MonaiNetwork(nn.Module):
    """A network of MONAI's with a head of our own, so that its features can be had: `body` gives [N, F]."""

    def __init__(self, backbone: str, channels: int, outputs: int, *, dims: int = 2, dropout: float = 0.1) -> None:
        super().__init__()
        name, family = _of(backbone)
        try:
            from monai.networks import nets
        except ModuleNotFoundError as error:
            raise medplug.PluginError(f"the backbone {backbone} needs MONAI: pip install 'medplug[nets]'") from error
        self.body = family.make(nets, name, dims, channels, outputs)
        self.layer = family.layer
        last = self.body.get_submodule(family.head)
        assert isinstance(last, nn.Linear)  # of every family in the table
        self.body.set_submodule(family.head, nn.Identity())
        for module in self.body.modules():
            if getattr(module, "inplace", False):
                vars(module)["inplace"] = False  # an activation in place overwrites what attribution methods hook
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(last.in_features, outputs)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def features(self, x: Tensor) -> Tensor:
        """The vector [N, F] before the head."""
        found: Tensor = self.body(x)
        return found

    def classify(self, features: Tensor) -> Tensor:
        """Map features [N, F] to logits [N, outputs]."""
        logits: Tensor = self.head(self.dropout(features))
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, channels, (D,) H, W] to logits [N, outputs]."""
        return self.classify(self.features(x))

    def attribution_layers(self) -> list[nn.Module]:
        """The last layer whose output still has places."""
        return [self.body.get_submodule(self.layer)]


def build(
    backbone: Backbone,
    channels: int,
    outputs: int,
    *,
    dims: int,
    size: int,
    width: int,
    depth: tuple[int, ...],
    stem: Literal[1, 2, 4] | None,
    dropout: float,
) -> nn.Module:
    """Return the network that `backbone` names; `size`, `width`, `depth` and `stem` are the own network's."""
    if backbone != "residual":
        return MonaiNetwork(backbone, channels, outputs, dims=dims, dropout=dropout)
    from .network import ResidualNetwork, stem_stride

    return ResidualNetwork(
        channels, outputs, dims=dims, width=width, depth=depth, stem=stem or stem_stride(size), dropout=dropout
    )


def adapted(backbone: Backbone, network: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename MONAI's own tensors to those of `MonaiNetwork`, and sum a first convolution of colour for grey images."""
    own = network.state_dict()
    found = dict(weights)
    if backbone != "residual" and not any(name.startswith("body.") for name in found):
        head = _of(backbone)[1].head
        found = {
            name.replace(head, "head", 1) if name.startswith(f"{head}.") else f"body.{name}": one
            for name, one in found.items()
        }
    for name, one in found.items():
        mine = own.get(name)
        if mine is not None and one.dim() == mine.dim() >= 4 and one.shape[1] == 3 and mine.shape[1] == 1:
            found[name] = one.sum(dim=1, keepdim=True)  # grey is three equal channels
    return found


def _of(backbone: str) -> tuple[str, _Family]:
    """A name of the table without its prefix, and its family."""
    if backbone not in get_args(Backbone):
        raise ValueError(f"no backbone is named {backbone!r}")
    name = backbone.removeprefix("monai:")
    return name, _FAMILIES[name.rstrip("0123456789").partition("-")[0]]
