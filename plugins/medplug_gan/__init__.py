"""Generation of 2-D images by two networks that learn from each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, cast

import medplug

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from .network import Adversaries

SIZES = (28, 32, 64, 96, 128)

_DRAWN = 64  # images at a time, of those from which the moments are learned


class GanOptions(medplug.ModelOptions, frozen=True):
    """What the networks look like; training fits `size` and `memory` to the data unless they are set.

    `memory` is how many training images the network can know again, to withhold what is nearly one of them.
    `penalty` weighs R1 and R2, which are computed every `lazy` steps; `augment` is the strength of the augmentation of
    what the discriminator sees, 0 to 1. The discriminator learns faster than the generator: at one rate it goes flat.
    """

    size: int = 64
    latent: int = 64
    width: int = 32
    memory: int = 0
    penalty: float = 0.0002
    lazy: int = 8
    augment: float = 0.25
    generator_rate: float = 1e-3
    discriminator_rate: float = 2e-3

    def __post_init__(self) -> None:
        self.require(
            ("size", self.size in SIZES, f"one of {', '.join(map(str, SIZES))}"),
            ("latent", self.latent >= 1, "1 or more"),
            ("width", self.width >= 2, "2 or more"),
            ("memory", self.memory >= 0, "0, which withholds nothing, or more"),
            ("penalty", 0 <= self.penalty < math.inf, "0 or more"),
            ("lazy", self.lazy >= 1, "1 or more"),
            ("augment", 0 <= self.augment <= 1, "0 to 1"),
            ("generator_rate", 0 < self.generator_rate < math.inf, "more than 0"),
            ("discriminator_rate", 0 < self.discriminator_rate < math.inf, "more than 0"),
        )


class Gan(medplug.Generative):
    """A generator and a discriminator under the relativistic loss with R1 and R2 (Huang et al. 2024)."""

    name: ClassVar[str] = "gan"
    version: ClassVar[str] = "2.0"
    task: ClassVar[medplug.Task] = medplug.Task.GENERATION
    Options: ClassVar[type[medplug.ModelOptions]] = GanOptions
    options: GanOptions

    @property
    def conditional(self) -> bool:
        """With two exclusive labels or more."""
        return self.labels.exclusive and len(self.labels) > 1

    def fit_options(self, survey: medplug.Survey) -> GanOptions:
        """Take the smallest size that holds the images, 64 at most, and a memory for all of them."""
        longest = max(survey.shape)
        size = next((size for size in SIZES[:3] if longest <= size), 64)
        return self.options.replace(size=size, memory=survey.count)

    def preprocessing(self) -> medplug.Preprocessing:
        """As displayed, 0 to 1, stretched to `size`."""
        return medplug.Preprocessing(
            values=medplug.Display(fallback=medplug.Percentiles(0.5, 99.5)),
            geometry=(medplug.Resize((self.options.size, self.options.size)),),
        )

    def recipe(self) -> medplug.Recipe:
        """Return how the host trains it, unless the user says otherwise."""
        return medplug.Recipe(
            steps=4000, batch_size=64, warmup=50, decay=0.5, ema=0.999, clip=None, precision="bfloat16"
        )

    def build(self) -> nn.Module:
        """Return both networks in one module."""
        from .network import Adversaries

        options = self.options
        return Adversaries(
            size=options.size,
            latent=options.latent,
            width=options.width,
            labels=len(self.labels) if self.conditional else 0,
            rows=options.memory,
        )

    def decode(self, output: Mapping[str, Tensor], batch: medplug.Batch) -> Sequence[medplug.Prediction]:
        """Return the images with their labels; the host numbers them."""
        names: list[str | None] = [None] * len(output["image"])
        if self.conditional:
            names = [self.labels.names[int(index)] for index in output["label"].tolist()]
        return [
            medplug.Generated(image=image.numpy(), seed=0, index=0, label=name)
            for image, name in zip(output["image"], names, strict=True)
        ]

    def sample(
        self, network: nn.Module, count: int, generator: torch.Generator, label: str | None = None
    ) -> Mapping[str, Tensor]:
        """Return "image" [count, 1, size, size], 0 to 1, and with labels "label" [count]: their numbers."""
        import torch

        network = cast("Adversaries", network)
        z = self._noise(network, count, generator)
        numbers = torch.full((count,), -1)
        if self.conditional:
            drawn = torch.multinomial(network.shares.cpu(), count, replacement=True, generator=generator)
            numbers = drawn if label is None else torch.full((count,), self.labels.names.index(label))
        image = network(z, _one_hot(numbers.to(z.device), network.labels))
        image = network.moments(image, numbers.clamp_min(0))
        return {"image": image, "label": numbers} if self.conditional else {"image": image}

    def near_copies(self, network: nn.Module, output: Mapping[str, Tensor]) -> Tensor | None:
        """Compare the images with what the network's memory kept of the training images."""
        memory = cast("Adversaries", network).memory
        return memory.near_copies(output["image"]) if memory.ready else None

    def after_training(
        self, network: nn.Module, train: Iterable[medplug.Batch], validation: Iterable[medplug.Batch]
    ) -> None:
        """Count the labels, remember the training images, and learn in what the generator's are unlike them."""
        import torch

        from .moments import Sample

        network = cast("Adversaries", network)
        counts = torch.zeros_like(network.shares)
        some = Sample()

        def images() -> Iterator[Tensor]:
            for batch in train:
                shown = self._labels(network, batch)
                counts.add_(shown.sum(0))
                known = shown.any(1) | (not self.conditional)
                some.add(batch.image[known], shown[known].argmax(1) if self.conditional else None)
                yield batch.image

        network.memory.learn(images(), (batch.image for batch in validation))
        if counts.sum() > 0:
            network.shares.copy_(counts / counts.sum())
        if len(some):
            draws = torch.Generator().manual_seed(0)
            network.moments.learn(
                some.images(), some.labels(), lambda label, count: self._made(network, label, count, draws)
            )

    def _made(self, network: Adversaries, label: int, count: int, generator: torch.Generator) -> Tensor:
        import torch

        name = self.labels.names[label] if self.conditional else None
        sizes = [min(_DRAWN, count - start) for start in range(0, count, _DRAWN)]
        return torch.cat([self.sample(network, size, generator, name)["image"].cpu() for size in sizes])

    def configure_optimizers(self, network: nn.Module) -> Mapping[str, torch.optim.Optimizer]:
        """Adam without momentum for each of the two."""
        from torch.optim import Adam

        rates = {"generator": self.options.generator_rate, "discriminator": self.options.discriminator_rate}
        return {
            name: Adam(network.get_submodule(name).parameters(), lr=rate, betas=(0.0, 0.99))
            for name, rate in rates.items()
        }

    def training_step(self, network: nn.Module, batch: medplug.Batch, loop: medplug.Loop) -> Mapping[str, Tensor]:
        """Let the generator take a step, then the discriminator by the same images: they are made once."""
        network = cast("Adversaries", network)
        labels = self._labels(network, batch)
        made = network(self._noise(network, len(batch), loop.generator), labels).float()
        generated = self._generate(network, batch.image, made, labels, loop)
        return {**self._discriminate(network, batch.image, made.detach(), labels, loop), **generated}

    def _generate(
        self, network: Adversaries, real: Tensor, made: Tensor, labels: Tensor, loop: medplug.Loop
    ) -> dict[str, Tensor]:
        import torch

        from .network import generator_loss

        with torch.no_grad():  # the generator cannot change how real images are judged
            judged_real = self._judge(network, real, labels, loop)
        loss = generator_loss(judged_real, self._judge(network, made, labels, loop))
        loop.minimise(loss, by="generator")
        return {"generator": loss}

    def _discriminate(
        self, network: Adversaries, real: Tensor, made: Tensor, labels: Tensor, loop: medplug.Loop
    ) -> dict[str, Tensor]:
        from .network import discriminator_loss, gradient_penalty

        penalised = loop.step % self.options.lazy == 0
        real = real.detach().clone().requires_grad_(penalised)
        made = made.requires_grad_(penalised)
        judged_real, judged_made = (self._judge(network, images, labels, loop) for images in (real, made))
        loss = discriminator_loss(judged_real, judged_made)
        logged = {"discriminator": loss}
        if penalised:
            steepness = gradient_penalty(judged_real.float(), real) + gradient_penalty(judged_made.float(), made)
            loss = loss + self.options.lazy * self.options.penalty / 2 * steepness
            logged["steepness"] = self.options.lazy * steepness
        loop.minimise(loss, by="discriminator")
        return logged

    def _judge(self, network: Adversaries, images: Tensor, labels: Tensor, loop: medplug.Loop) -> Tensor:
        from .network import differentiable_augmentation

        seen = differentiable_augmentation(images, loop.generator, strength=self.options.augment)
        judged: Tensor = network.discriminator(seen, labels)
        return judged

    def _noise(self, network: Adversaries, count: int, generator: torch.Generator) -> Tensor:
        import torch

        drawn = torch.randn(count, network.generator.latent, generator=generator)
        return drawn.to(network.shares.device)

    def _labels(self, network: Adversaries, batch: medplug.Batch) -> Tensor:
        """The labels of a batch, one hot; zeros where they are not known, and of no length without labels."""
        import torch

        unknown = torch.full((len(batch),), -1, device=batch.image.device)
        numbers = batch.target if self.conditional and batch.target is not None else unknown
        return _one_hot(numbers, network.labels)


def _one_hot(numbers: Tensor, labels: int) -> Tensor:
    import torch

    return (numbers[:, None] == torch.arange(labels, device=numbers.device)).float()


@medplug.hookimpl
def medplug_register_models() -> list[type[medplug.Model]]:
    """Offer `gan`."""
    return [Gan]
