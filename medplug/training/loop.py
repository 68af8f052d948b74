"""One training step on one device: precision, gradients, schedule and averaged weights are the host's."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ..errors import PluginError, TrainingError
from ..model import Batch, Recipe, Trainable
from .schedule import Schedule

if TYPE_CHECKING:
    from torch import Tensor, nn

Precision = Literal["bfloat16", "float32"]


class NotFiniteError(TrainingError):
    """A loss or its gradient is no number any more; no weight has been changed by it."""


def precision_on(device: torch.device, wanted: Precision) -> Precision:
    """Return `wanted` where it pays: on a CPU without instructions for bfloat16, float32 is faster and finer."""
    if wanted == "float32":
        return wanted
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    able: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return "bfloat16" if able.get("avx512_bf16") or able.get("amx_bf16") else "float32"


class TrainingLoop:
    """What a model's `training_step` is given, and what the host does around it.

    `network` is what learns; `average` is its exponential average, in evaluation mode, which is what counts. Every
    random number of a step follows from (seed, step): those of `generator`, on the CPU, and those of torch's own, from
    which dropout draws. No generator's state has to be stored.
    """

    def __init__(
        self, model: Trainable, network: nn.Module, recipe: Recipe, *, device: torch.device, seed: int, steps: int
    ) -> None:
        self._model, self._recipe, self._device, self._seed = model, recipe, device, seed
        self._schedule = Schedule(recipe.schedule, recipe.warmup, recipe.decay)
        # Channels last in memory is what convolutions are fastest at, on the CPU (1.4 times as fast) and on CUDA.
        self.network = _in_channels_last(network.to(device)).train()
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.precision = precision_on(device, recipe.precision)
        self.optimizers = dict(model.configure_optimizers(self.network))
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["initial_lr"] = group["lr"]
        self.step, self.steps = 0, steps
        self.generator = torch.Generator()

    def run(self, batch: Batch) -> dict[str, Tensor]:
        """Take one step and return the losses that the model logs, detached.

        `NotFiniteError` leaves `average` as it was before the step.
        """
        rate = self._schedule.rate(self.step, self.steps)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * rate
        self.generator.manual_seed(_drawn(self._seed, self.step, 0))
        torch.manual_seed(_drawn(self._seed, self.step, 1))
        self.network.train()
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            losses = self._model.training_step(self.network, _channels_last(batch), self)
        self.step += 1
        self._follow()
        return {name: loss.detach().float() for name, loss in losses.items()}

    def minimise(self, loss: Tensor, by: str = "main") -> None:
        """Step the optimiser named `by` down the gradient of `loss`, which must come from the weights as they are."""
        if by not in self.optimizers:
            named = ", ".join(self.optimizers) or "none"
            raise PluginError(f"{self._model.name} minimises by {by!r}; its configure_optimizers names {named}")
        optimizer = self.optimizers[by]
        own = [one for group in optimizer.param_groups for one in group["params"] if one.requires_grad]
        with self.full_precision():
            optimizer.zero_grad(set_to_none=True)
            loss.backward(inputs=own)  # type: ignore[no-untyped-call]
            norm = torch.nn.utils.clip_grad_norm_(own, self._recipe.clip or math.inf)
            if not bool(torch.isfinite(loss.detach()) & torch.isfinite(norm)):
                what = "loss" if not bool(torch.isfinite(loss.detach())) else "gradient of the loss"
                raise NotFiniteError(
                    f"step {self.step + 1}: the {what} minimised by {by!r} is not finite (loss {loss.item():g})"
                )
            optimizer.step()
        # Autocast keeps copies of the weights for the whole step; those of a second loss must be of the new weights.
        torch.clear_autocast_cache()

    @contextmanager
    def full_precision(self) -> Iterator[None]:
        """Return a context in which autocast is off, for losses that need float32."""
        with torch.autocast(self._device.type, enabled=False):
            yield

    def _follow(self) -> None:
        """Move the average after the network; early on it follows faster, since it began at random."""
        decay = min(self._recipe.ema, self.step / (self.step + 9.0)) if self._recipe.ema else 0.0
        follow = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        theirs = [*self.network.parameters(), *self.network.buffers()]
        ours = [*self.average.parameters(), *self.average.buffers()]
        follow(
            [mine for mine in ours if mine.is_floating_point()],
            [one.detach() for one in theirs if one.is_floating_point()],
            self.step,
        )
        for mine, one in zip(ours, theirs):
            if not one.is_floating_point():
                mine.copy_(one)

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor that the next step depends on, by name."""
        found = {f"network/{name}": tensor for name, tensor in self.network.state_dict().items()}
        found |= {f"average/{name}": tensor for name, tensor in self.average.state_dict().items()}
        for by, optimizer in self.optimizers.items():
            for index, state in optimizer.state_dict()["state"].items():
                found |= {f"optimizer/{by}/{index}/{key}": one for key, one in state.items() if torch.is_tensor(one)}
        return found

    def plain(self) -> dict[str, Any]:
        """Return the rest of the optimisers' state, by optimiser: parameter groups, and what is no tensor."""
        kept = {}
        for by, optimizer in self.optimizers.items():
            state = optimizer.state_dict()
            numbers = {
                str(index): {key: one for key, one in values.items() if not torch.is_tensor(one)}
                for index, values in state["state"].items()
            }
            kept[by] = {"groups": state["param_groups"], "numbers": numbers}
        return kept

    def restore(self, step: int, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
        """Continue from what `tensors` and `plain` held after `step` steps."""
        self.step = step
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "average": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition("/")
            if kind in parts:
                parts[kind][rest] = tensor
        self.network.load_state_dict(parts["network"])
        self.average.load_state_dict(parts["average"])
        for by, optimizer in self.optimizers.items():
            state = {int(index): dict(numbers) for index, numbers in plain[by]["numbers"].items()}
            for name, tensor in parts["optimizer"].items():
                owner, index, key = name.rsplit("/", 2)
                if owner == by:
                    state[int(index)][key] = tensor
            groups = [
                {key: tuple(one) if isinstance(one, list) and key != "params" else one for key, one in group.items()}
                for group in plain[by]["groups"]
            ]
            optimizer.load_state_dict({"state": state, "param_groups": groups})
            for weights, values in optimizer.state.items():
                values.update({key: _laid_out_as(weights, one) for key, one in values.items() if torch.is_tensor(one)})


def _laid_out_as(weights: Tensor, one: Tensor) -> Tensor:
    """Lay out a restored tensor as its weights are: fused optimisers go through memory and not through places."""
    if one.shape != weights.shape or one.stride() == weights.stride():
        return one
    return torch.empty_like(weights, dtype=one.dtype).copy_(one)


def _in_channels_last(network: nn.Module) -> nn.Module:
    """Lay out the weights of 2-D convolutions so; a network with those of volumes stays as it is."""
    if any(weights.dim() == 5 for weights in network.parameters()):
        return network
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _channels_last(batch: Batch) -> Batch:
    """Lay out 2-D images as the network's weights are; volumes stay as they are."""
    if batch.image.dim() != 4:
        return batch
    images = {name: image.contiguous(memory_format=torch.channels_last) for name, image in batch.images.items()}
    return replace(batch, image=batch.image.contiguous(memory_format=torch.channels_last), images=images)


def _drawn(*numbers: int) -> int:
    """A seed of 63 bits that follows from the numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
