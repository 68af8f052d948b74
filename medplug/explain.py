"""Where a network looked: attribution maps on the model's grid, through captum."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .errors import CallError
from .model import Batch, Model, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

Method = Literal["grad-cam", "integrated-gradients", "occlusion"]

METHOD: Method = "grad-cam"
"""What explains unless something else is asked for."""

_PATH = 24  # points between the grey image and the image
_AT_ONCE = 32  # images that the network is given at a time
_WINDOWS = {2: 6, 3: 4}  # how many windows lie along a side, by dimensions; they overlap by half


def check(model: Model, network: nn.Module, method: str = METHOD) -> None:
    """Raise `CallError` when the model cannot be explained by `method`."""
    if method not in get_args(Method):
        raise CallError(f"no method {method!r} of explaining; there are {', '.join(get_args(Method))}")
    if model.task in (Task.ANOMALY, Task.REGRESSION, Task.GENERATION):
        raise CallError(
            f"{model.name} answers with no label that could be explained: its task is {model.task}. "
            "Leave --explain out (explanations=False); a map of its own, as of anomaly models, comes with the answer"
        )
    if method == "grad-cam" and not _layers(model, network):
        raise CallError(
            f"{model.name} offers no layer for Grad-CAM (Model.attribution_layer), so it cannot be explained by it: "
            "choose integrated-gradients or occlusion"
        )


def attribute(
    model: Model, network: nn.Module, batch: Batch, labels: Sequence[int], method: Method = METHOD
) -> NDArray[np.float32]:
    """Return [N, (D,) H, W], 0 to 1 each: what spoke for the label `labels[i]` in image i, by place.

    The network's `forward` must give "logits" [N, L]. What is explained is the log of the label's odds, so that what
    speaks against the other labels speaks for it. A map without any evidence stays 0.
    """
    import torch

    check(model, network, method)
    try:
        import captum.attr  # noqa: F401
    except ModuleNotFoundError as error:
        raise CallError("explanations need captum: pip install 'medplug[explain]'") from error
    others = dict(list(batch.images.items())[1:])

    def stands(image: Tensor, *rest: Tensor) -> Tensor:
        first = dict.fromkeys(list(batch.images)[:1], image)  # the first input is `image`
        given = Batch(image=image, images={**first, **dict(zip(others, rest))})
        output = model.forward(network, given)
        if "logits" not in output:
            raise CallError(f"{model.name} cannot be explained: its forward gives {', '.join(output)}, and no logits")
        logits = output["logits"].float()
        return _log_odds(logits) if model.labels.exclusive and logits.shape[1] > 1 else logits

    explain = {"grad-cam": _grad_cam, "integrated-gradients": _integrated_gradients, "occlusion": _occlusion}[method]
    with torch.inference_mode(False), _out_of_place(network):
        image = batch.image.detach().clone()
        rest = tuple(other.detach().clone() for other in others.values())
        maps = explain(stands, image, rest, list(labels), _layers(model, network)).detach().float()
    maps = torch.nan_to_num(maps).clamp_min(0)
    peaks = maps.flatten(1).amax(dim=1).clamp_min(1e-12).view(-1, *[1] * (maps.dim() - 1))
    result: NDArray[np.float32] = (maps / peaks).clamp(0, 1).cpu().numpy()
    return result


_Stands = Callable[..., "Tensor"]


def _log_odds(logits: Tensor) -> Tensor:
    """[N, L]: how each of exclusive labels stands against all others together; its slope does not fade as it wins."""
    import torch

    own = torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device)
    others = logits[:, None].expand(-1, logits.shape[1], -1).masked_fill(own, -torch.inf)
    return logits - others.logsumexp(dim=2)


def _layers(model: Model, network: nn.Module) -> list[nn.Module]:
    """The layers that Grad-CAM reads, the deepest first."""
    found = model.attribution_layer(network)
    return [] if found is None else list(found) if isinstance(found, Sequence) else [found]


def _grad_cam(
    stands: _Stands, image: Tensor, rest: tuple[Tensor, ...], labels: list[int], layers: list[nn.Module]
) -> Tensor:
    """Grad-CAM (Selvaraju et al. 2017) of the deepest layer, sharpened by LayerCAM (Jiang et al. 2021) of the others.

    The deepest layer says which part of the image, on a coarse grid; finer ones, where in it: the maps are multiplied.
    """
    import torch
    from captum.attr import LayerAttribution, LayerGradCam, LayerGradientXActivation

    def enlarged(map: Tensor) -> Tensor:
        mode = "bilinear" if image.dim() == 4 else "trilinear"
        large: Tensor = LayerAttribution.interpolate(
            map.detach().float(), tuple(image.shape[2:]), interpolate_mode=mode
        )
        large = large[:, 0].clamp_min(0)
        return large / large.flatten(1).amax(dim=1).clamp_min(1e-12).view(-1, *[1] * (large.dim() - 1))

    with torch.enable_grad():
        image = image.requires_grad_(True)
        cam: Any = LayerGradCam(stands, layers[0]).attribute(image, labels, rest, relu_attributions=True)
        made = enlarged(cam)
        for layer in layers[1:]:
            products: Any = LayerGradientXActivation(stands, layer).attribute(image, labels, rest)
            made = made * enlarged(products.clamp_min(0).sum(dim=1, keepdim=True))
    return made


def _integrated_gradients(
    stands: _Stands, image: Tensor, rest: tuple[Tensor, ...], labels: list[int], layers: list[nn.Module]
) -> Tensor:
    """Integrated gradients (Sundararajan et al. 2017) from an even image of the same mean: what speaks for the label.

    Smoothed over a sixteenth of the side: a single pixel's share says little.
    """
    import torch
    from captum.attr import IntegratedGradients

    with torch.enable_grad():
        found: Any = IntegratedGradients(stands).attribute(
            image,
            baselines=_even(image),
            target=labels,
            additional_forward_args=rest,
            n_steps=_PATH,
            method="riemann_middle",
            internal_batch_size=max(_AT_ONCE, len(image)),
        )
    return _smoothed(found.float().sum(dim=1).clamp_min(0))


def _occlusion(
    stands: _Stands, image: Tensor, rest: tuple[Tensor, ...], labels: list[int], layers: list[nn.Module]
) -> Tensor:
    """Occlusion (Zeiler and Fergus 2014): how much the label loses where a window is painted in the image's mean."""
    import torch
    from captum.attr import Occlusion

    sides = image.shape[2:]
    window = tuple(max(1, round(side / _WINDOWS[len(sides)])) for side in sides)
    stride = tuple(max(1, side // 2) for side in window)
    with torch.no_grad():
        found: Any = Occlusion(stands).attribute(
            image,
            sliding_window_shapes=(image.shape[1], *window),
            strides=(image.shape[1], *stride),
            baselines=_even(image),
            target=labels,
            additional_forward_args=rest,
            perturbations_per_eval=max(1, _AT_ONCE // len(image)),
        )
    lost: Tensor = found.float().mean(dim=1)
    return lost


def _even(image: Tensor) -> Tensor:
    """An image of [N, C, ...] without content: each channel's mean."""
    axes = tuple(range(2, image.dim()))
    return image.mean(dim=axes, keepdim=True).expand_as(image).contiguous()


def _smoothed(maps: Tensor) -> Tensor:
    """Box-blur [N, (D,) H, W] twice, by a sixteenth of its longest side."""
    from torch.nn import functional as F

    width = max(maps.shape[1:]) // 16 // 2 * 2 + 1
    pool: Callable[..., Tensor] = F.avg_pool2d if maps.dim() == 3 else F.avg_pool3d
    for _ in range(2):
        maps = pool(maps[:, None], width, 1, width // 2, count_include_pad=False)[:, 0]
    return maps


@contextmanager
def _out_of_place(network: nn.Module) -> Iterator[None]:
    """Let no activation overwrite its input meanwhile: the hooks of attribution need it as it was."""
    changed = [module for module in network.modules() if getattr(module, "inplace", False) is True]
    for module in changed:
        module.inplace = False  # type: ignore[assignment]
    try:
        yield
    finally:
        for module in changed:
            module.inplace = True  # type: ignore[assignment]
