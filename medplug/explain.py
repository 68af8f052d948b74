"""Where a network looked: attribution maps on the model's grid, through captum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .errors import CallError
from .model import Batch, Model

if TYPE_CHECKING:
    from torch import Tensor, nn

METHOD = "grad-cam"


def check(model: Model, network: nn.Module) -> None:
    """Raise `CallError` when the model cannot be explained."""
    if model.attribution_layer(network) is None:
        raise CallError(
            f"{model.name} offers no layer for Grad-CAM (Model.attribution_layer), so it cannot be explained"
        )


def grad_cam(model: Model, network: nn.Module, batch: Batch, labels: Sequence[int]) -> NDArray[np.float32]:
    """Return [N, (D,) H, W], 0 to 1 each: Grad-CAM (Selvaraju et al. 2017) of the logits `labels`, one a case.

    The network's `forward` must give "logits" [N, L]; the map keeps the layer's own resolution, brought to the
    image's size linearly. A map without any positive evidence stays 0.
    """
    import torch

    check(model, network)
    try:
        from captum.attr import LayerAttribution, LayerGradCam
    except ModuleNotFoundError as error:
        raise CallError("explanations need captum: pip install 'medplug[explain]'") from error

    def logits(image: Tensor) -> Tensor:
        images = {**batch.images, **dict.fromkeys(list(batch.images)[:1], image)}  # the first input is `image`
        output = model.forward(network, replace(batch, image=image, images=images))
        if "logits" not in output:
            raise CallError(f"{model.name} cannot be explained: its forward gives {', '.join(output)}, and no logits")
        return output["logits"]

    with torch.enable_grad():
        image = batch.image.detach().clone().requires_grad_(True)
        method = LayerGradCam(logits, model.attribution_layer(network))
        activation: Any = method.attribute(image, target=list(labels), relu_attributions=True)
    mode = "bilinear" if image.dim() == 4 else "trilinear"
    maps = LayerAttribution.interpolate(activation.detach(), tuple(image.shape[2:]), interpolate_mode=mode)[:, 0]
    peaks = maps.flatten(1).amax(dim=1).clamp_min(1e-12).view(-1, *[1] * (maps.dim() - 1))
    result: NDArray[np.float32] = (maps / peaks).clamp(0, 1).float().cpu().numpy()
    return result
