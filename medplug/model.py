"""The contract between the host and a model plugin."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

import msgspec

from .augmentation import Augmentation
from .case import Case, CaseReference, Unit
from .preprocessing import Preprocessing
from .result import Prediction, RefusalCode, Refused

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from torch.optim import Optimizer


class Task(enum.StrEnum):
    """What a model answers."""

    CLASSIFICATION = "classification"
    ANOMALY = "anomaly"
    GENERATION = "generation"
    SEGMENTATION = "segmentation"
    REGRESSION = "regression"


class Code(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A coded concept, PS3.3 8.8: Code Value, Coding Scheme Designator, Code Meaning."""

    value: str
    scheme: str
    meaning: str


class Labels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The labels of a model, in the order of its outputs.

    `exclusive` labels shut each other out; otherwise each is present or absent by itself. `values` are what the
    training data called them (cells of one column, or the names of several), empty where it used the names.
    """

    names: tuple[str, ...] = ()
    exclusive: bool = True
    codes: dict[str, Code] = msgspec.field(default_factory=dict)
    values: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.names)


NO_LABELS = Labels()


class ModelOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Parent of a model's options: typed fields with defaults. Unknown keys are refused."""

    def replace(self, **changes: Any) -> Self:
        """Return the same options but for `changes`."""
        return msgspec.structs.replace(self, **changes)

    def require(self, *bounds: tuple[str, bool, str]) -> None:
        """Raise `ValueError` for the first option that is out of bounds, for `__post_init__`.

        Each bound is a field's name, whether its value is right, and what is wanted: `("width", self.width >= 2, "2 or
        more")`. A comparison with NaN is never right.
        """
        _require(self, bounds)


def _require(options: msgspec.Struct, bounds: Iterable[tuple[str, bool, str]]) -> None:
    for name, right, wanted in bounds:
        if not right:
            raise ValueError(f"{name} is {getattr(options, name)}: want {wanted}")


class NoOptions(ModelOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A model without options."""


class Constraint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The values that a code string may have; `absent` says what happens when the source does not state it."""

    values: tuple[str, ...]
    absent: Literal["admit", "refuse"] = "admit"


class Span(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The range that each number may lie in, ends included; `absent` as in `Constraint`."""

    low: float
    high: float
    absent: Literal["admit", "refuse"] = "admit"


class InputContract(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The images that a model may be asked about. None leaves a field open.

    `images` names a case's inputs, of which the first fixes the grid; `unit` is what one case is. `spacing` is in mm
    along every axis, `bits` is Bits Stored.
    """

    unit: Unit = Unit.INSTANCE
    images: tuple[str, ...] = ("image",)
    dimensions: Literal[2, 3] = 2
    channels: tuple[int, ...] = (1, 3)
    modality: Constraint | None = None
    body_part: Constraint | None = None
    view: Constraint | None = None
    photometric: Constraint | None = None
    spacing: Span | None = None
    bits: Span | None = None

    def admit(self, case: Case) -> Refused | None:
        """Let a case in (None) or say why not, without decoding a pixel."""
        missing = [name for name in self.images if name not in case.images]
        if missing:
            return Refused(code="dimensions", reason=f"the case has no image named {', '.join(missing)}")
        return next(self._objections(case), None)

    def unverified(self, case: Case) -> tuple[str, ...]:
        """Return the fields that the contract names, the source does not state, and that were admitted."""
        return tuple(name for name, constraint, value in self._stated(case) if constraint and value is None)

    def _objections(self, case: Case) -> Iterator[Refused]:
        for name in self.images:
            image = case.images[name]
            if len(image.shape) != self.dimensions:
                yield Refused(
                    code="dimensions",
                    reason=f"the image has {len(image.shape)} dimensions; the model wants {self.dimensions}",
                )
            if image.channels not in self.channels:
                wanted = " or ".join(map(str, self.channels))
                yield Refused(
                    code="channels",
                    reason=f"the image has {image.channels} channels; the model wants {wanted}",
                )
        for field_name, constraint, value in self._stated(case):
            code: RefusalCode = _CODES[field_name]
            words = field_name.replace("_", " ")
            if constraint is None:
                continue
            if value is None:
                if constraint.absent == "refuse":
                    yield Refused(code=code, reason=f"the source states no {words}, and the model wants it")
            elif isinstance(constraint, Constraint):
                if value not in constraint.values:
                    wanted = " or ".join(constraint.values)
                    yield Refused(code=code, reason=f"{words} is {value}; the model was made for {wanted}")
            elif not all(constraint.low <= number <= constraint.high for number in value):
                numbers = " x ".join(f"{number:g}" for number in value)
                yield Refused(
                    code=code,
                    reason=f"{words} is {numbers}; the model was made for {constraint.low:g} to {constraint.high:g}",
                )

    def _stated(self, case: Case) -> Iterator[tuple[str, Constraint | Span | None, Any]]:
        image = case.images[self.images[0]]  # the one that fixes the grid
        yield "modality", self.modality, image.modality
        yield "body_part", self.body_part, image.body_part
        yield "view", self.view, image.view
        yield "photometric", self.photometric, image.photometric
        yield "spacing", self.spacing, image.spacing
        yield "bits", self.bits, None if image.bits is None else (image.bits,)


_CODES: dict[str, RefusalCode] = {
    "modality": "modality",
    "body_part": "body-part",
    "view": "view",
    "photometric": "photometric",
    "spacing": "spacing",
    "bits": "bits",
}


@dataclass(frozen=True)
class Survey:
    """What the training rows look like, for a model that fits its options to them.

    `shape` is the median shape of the images, `channels` their most frequent number of channels, `count` how many.
    `modalities` and `body_parts` are those that the user named for the model, else those that the rows state, and
    empty where a row states none.
    """

    shape: tuple[int, ...]
    channels: int
    count: int
    labels: Labels
    modalities: frozenset[str] = frozenset()
    body_parts: frozenset[str] = frozenset()


@dataclass
class Batch:
    """What a network is given: all tensors on one device, float32 unless said otherwise.

    `image` is [N, C, (D,) H, W]; `images` holds every named input, the first included. `target` is [N] int64 for
    exclusive labels, [N, L] float32 for others (NaN where unknown), [N, V] float32 for regression. `mask` is
    [N, (D,) H, W] int64.
    """

    image: Tensor
    cases: tuple[CaseReference, ...] = ()
    images: Mapping[str, Tensor] = field(default_factory=dict)
    target: Tensor | None = None
    mask: Tensor | None = None

    def __len__(self) -> int:
        return len(self.image)


class Loop(Protocol):
    """What the host's training loop offers to `Trainable.training_step`.

    `step` counts from 0. `steps` is what is planned: a loss that depends on it makes a resumed training differ.
    """

    step: int
    steps: int
    generator: torch.Generator

    def minimise(self, loss: Tensor, by: str = "main") -> None:
        """Step the optimiser named `by`: zero_grad, backward, clipping, schedule and EMA are the host's."""

    def full_precision(self) -> AbstractContextManager[None]:
        """Return a context in which autocast is off, for losses that need float32."""


class Model(ABC):
    """A network, the input it expects, and the meaning of its output."""

    name: ClassVar[str]
    version: ClassVar[str]
    task: ClassVar[Task]
    Options: ClassVar[type[ModelOptions]] = NoOptions

    def __init__(self, options: Any = None, labels: Labels = NO_LABELS) -> None:
        self.options: Any = self.Options() if options is None else options
        self.labels = labels

    def contract(self) -> InputContract:
        """Return which images the model may be asked about: one 2-D image, unless it says more."""
        return InputContract()

    def preprocessing(self) -> Preprocessing:
        """Return the way from stored pixels to `Batch.image`. Asked once, when training starts, and stored."""
        return Preprocessing()

    @abstractmethod
    def build(self) -> nn.Module:
        """Return the network, on the CPU, with fresh weights; the host seeds, loads and moves it."""

    def forward(self, network: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Run the network: named tensors, each with N first.

        One named "features" [N, F] spares the host the call of `Model.features`, when it measures novelty.
        """
        return {"output": network(batch.image)}

    @abstractmethod
    def decode(self, output: Mapping[str, Tensor], batch: Batch) -> Sequence[Prediction]:
        """Say what `forward`'s numbers mean, one prediction a case: raw, on the model's grid, without thresholds."""

    def features(self, network: nn.Module, batch: Batch) -> Tensor | None:
        """Return [N, F] features in which images may be compared, or None when the model has none."""
        return None

    def attribution_layer(self, network: nn.Module) -> nn.Module | Sequence[nn.Module] | None:
        """Return the layer whose activations Grad-CAM reads, or None; `forward` must then give "logits" [N, L].

        Of several, the first, the deepest, says which part of the image counted, and finer ones where in it.
        """
        return None


class Trainable(Model):
    """A model that medplug can train."""

    def fit_options(self, survey: Survey) -> Any:
        """Return the options that suit this data; what the user set by hand is laid over them, before `build`.

        `self.options` holds what the user set, and the defaults of the rest.
        """
        return self.options

    def adapt_weights(self, network: nn.Module, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return pretrained `weights` under the names and in the shapes of `network.state_dict()`.

        The host copies those that fit, before the first step. What fits nowhere may be left as it is.
        """
        return weights

    def recipe(self) -> Recipe:
        """Return how the host trains it, unless the user says otherwise."""
        return Recipe()

    def augmentation(self) -> Augmentation:
        """Return the ranges from which the host augments the training rows."""
        return Augmentation()

    @abstractmethod
    def configure_optimizers(self, network: nn.Module) -> Mapping[str, Optimizer]:
        """Return the optimisers by the names that `loop.minimise` is given."""

    @abstractmethod
    def training_step(self, network: nn.Module, batch: Batch, loop: Loop) -> Mapping[str, Tensor]:
        """Compute losses, have `loop` minimise them, and return scalars to log. Draw only from `loop.generator`."""

    def validation_loss(self, network: nn.Module, batch: Batch) -> Tensor | None:
        """Return the mean loss of a validation batch, by which the best weights are kept; None keeps the last."""
        return None

    def after_training(self, network: nn.Module, train: Iterable[Batch], validation: Iterable[Batch]) -> None:
        """Measure what the finished network makes of its rows, once, and keep it in the network's buffers.

        `network` has the weights that are kept and is in evaluation mode, without gradients. `train` and `validation`
        yield the rows it learned and was validated on (of an anomaly model the normal ones), not augmented, as often as
        they are iterated; `validation` may be empty. What is put into registered buffers is saved with the weights.
        """


class Generative(Trainable):
    """A model that makes images out of noise."""

    @property
    def conditional(self) -> bool:
        """Whether `sample` can be told which label to show."""
        return False

    @abstractmethod
    def sample(
        self, network: nn.Module, count: int, generator: torch.Generator, label: str | None = None
    ) -> Mapping[str, Tensor]:
        """Return what `decode` turns into `Generated`, `count` of them, drawn from `generator` on the CPU.

        Only a `conditional` model is given a `label`; without, it draws labels as often as training met them.
        """

    def near_copies(self, network: nn.Module, output: Mapping[str, Tensor]) -> Tensor | None:
        """Say of what `sample` returned, [N] bool, what is nearly a training image: the host draws it again.

        None where the model keeps nothing to tell them by.
        """
        return None


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the host trains: everything that is not the model's own mathematics.

    `steps` or `epochs` (when steps is None) bound the training. The schedule scales every learning rate: a `trapezoid`
    rises over the first `warmup` steps, stays, and falls to zero over the last `decay` (a fraction) of the steps. `ema`
    is the decay of the averaged weights, which are what is validated, stored and served; 0 serves the raw ones.
    `clip` bounds the norm of the gradients. `patience` counts validations without a better loss. `balance` draws each
    label equally often. `precision` is what autocast uses where it pays.
    """

    steps: int | None = None
    epochs: float = 10.0
    batch_size: int = 32
    schedule: Literal["trapezoid", "constant"] = "trapezoid"
    warmup: int = 40
    decay: float = 0.3
    ema: float = 0.99
    clip: float | None = 1.0
    patience: int | None = None
    balance: bool = False
    precision: Literal["bfloat16", "float32"] = "float32"

    def __post_init__(self) -> None:
        bounds = (
            ("steps", self.steps is None or self.steps >= 1, "1 or more"),
            ("epochs", 0 < self.epochs < float("inf"), "more than 0"),
            ("batch_size", self.batch_size >= 1, "1 or more"),
            ("warmup", self.warmup >= 0, "0 or more"),
            ("decay", 0 <= self.decay <= 0.9, "0 to 0.9"),
            ("ema", 0 <= self.ema < 1, "0 to below 1"),
            ("clip", self.clip is None or self.clip > 0, "more than 0"),
            ("patience", self.patience is None or self.patience >= 1, "1 or more"),
        )
        _require(self, bounds)


def model_kind(model: type[Model]) -> str:
    """Return one word for what can be done with a model: generative, trainable or fixed."""
    if issubclass(model, Generative):
        return "generative"
    return "trainable" if issubclass(model, Trainable) else "fixed"
