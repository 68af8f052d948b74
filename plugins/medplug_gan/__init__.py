"""Generation of 2-D images by two networks that learn from each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import medplug

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

SIZES = (28, 32, 64, 96, 128)


class GanOptions(medplug.ModelOptions, frozen=True):
    """What the networks look like; training fits `size` to the data unless it is set.

    `penalty` weighs R1 and R2, which are computed every `lazy` steps; `augment` is the strength of the augmentation of
    what the discriminator sees, 0 to 1. The discriminator learns faster than the generator: at one rate it goes flat.
    """

    size: int = 64
    latent: int = 64
    width: int = 16
    penalty: float = 0.01
    lazy: int = 4
    augment: float = 0.5
    generator_rate: float = 4e-4
    discriminator_rate: float = 2e-3


class Gan(medplug.Generative):
    """A generator and a discriminator under the relativistic loss with R1 and R2 (Huang et al. 2024)."""

    name: ClassVar[str] = "gan"
    version: ClassVar[str] = "1.0"
    task: ClassVar[medplug.Task] = medplug.Task.GENERATION
    Options: ClassVar[type[medplug.ModelOptions]] = GanOptions
    options: GanOptions

    def fit_options(self, survey: medplug.Survey) -> GanOptions:
        """Take the smallest size that holds the images, 64 at most."""
        longest = max(survey.shape)
        return self.options.replace(size=next((size for size in SIZES[:3] if longest <= size), 64))

    def preprocessing(self) -> medplug.Preprocessing:
        """As displayed, 0 to 1, stretched to `size`."""
        return medplug.Preprocessing(
            values=medplug.Display(fallback=medplug.Percentiles(0.5, 99.5)),
            geometry=(medplug.Resize((self.options.size, self.options.size)),),
        )

    def recipe(self) -> medplug.Recipe:
        """Return how the host trains it, unless the user says otherwise."""
        return medplug.Recipe(
            steps=8000, batch_size=32, warmup=50, decay=0.5, ema=0.996, clip=None, precision="bfloat16"
        )

    def build(self) -> nn.Module:
        """Return both networks in one module."""
        from .network import Adversaries

        options = self.options
        return Adversaries(size=options.size, latent=options.latent, width=options.width)

    def decode(self, output: Mapping[str, Tensor], batch: medplug.Batch) -> Sequence[medplug.Prediction]:
        """Return the images; the host numbers them."""
        return [medplug.Generated(image=image.numpy(), seed=0, index=0) for image in output["image"]]

    def sample(self, network: nn.Module, count: int, generator: torch.Generator) -> Mapping[str, Tensor]:
        """Return "image" [count, 1, size, size], 0 to 1."""
        return {"image": network(self._latent(network, count, generator)).clamp(0, 1)}

    def configure_optimizers(self, network: nn.Module) -> Mapping[str, torch.optim.Optimizer]:
        """Adam without momentum for each of the two."""
        from torch.optim import Adam

        rates = {"generator": self.options.generator_rate, "discriminator": self.options.discriminator_rate}
        return {
            name: Adam(network.get_submodule(name).parameters(), lr=rate, betas=(0.0, 0.99))
            for name, rate in rates.items()
        }

    def training_step(self, network: nn.Module, batch: medplug.Batch, loop: medplug.Loop) -> Mapping[str, Tensor]:
        """Let the discriminator take a step, then the generator."""
        return {**self._discriminate(network, batch.image, loop), **self._generate(network, batch.image, loop)}

    def _discriminate(self, network: nn.Module, real: Tensor, loop: medplug.Loop) -> dict[str, Tensor]:
        from .network import discriminator_loss, gradient_penalty

        penalised = loop.step % self.options.lazy == 0
        made = network(self._latent(network, len(real), loop.generator)).detach().float()
        real = real.detach().clone()
        real.requires_grad_(penalised)
        made.requires_grad_(penalised)
        judged_real, judged_made = (self._judge(network, images, loop) for images in (real, made))
        loss = discriminator_loss(judged_real, judged_made)
        logged = {"discriminator": loss}
        if penalised:
            steepness = gradient_penalty(judged_real.float(), real) + gradient_penalty(judged_made.float(), made)
            loss = loss + self.options.lazy * self.options.penalty / 2 * steepness
            logged["steepness"] = steepness
        loop.minimise(loss, by="discriminator")
        return logged

    def _generate(self, network: nn.Module, real: Tensor, loop: medplug.Loop) -> dict[str, Tensor]:
        from .network import generator_loss

        made = network(self._latent(network, len(real), loop.generator)).float()
        loss = generator_loss(self._judge(network, real, loop), self._judge(network, made, loop))
        loop.minimise(loss, by="generator")
        return {"generator": loss}

    def _judge(self, network: nn.Module, images: Tensor, loop: medplug.Loop) -> Tensor:
        from .network import differentiable_augmentation

        seen = differentiable_augmentation(images, loop.generator, strength=self.options.augment)
        judged: Tensor = network.discriminator(seen)  # type: ignore[operator]  # ours has one
        return judged

    def _latent(self, network: nn.Module, count: int, generator: torch.Generator) -> Tensor:
        import torch

        drawn = torch.randn(count, self.options.latent, generator=generator)
        return drawn.to(next(network.parameters()).device)


@medplug.hookimpl
def medplug_register_models() -> list[type[medplug.Model]]:
    """Offer `gan`."""
    return [Gan]
