"""The model folder: `model.json`, and tensors as safetensors beside it. No pickle, nothing executed."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from .errors import ModelFolderError, PluginError, PreprocessingError
from .model import InputContract, Labels, Model, Trainable
from .novelty import NoveltyFit, NoveltyMeasure, measure_of
from .preprocessing import Preprocessing, from_plain
from .result import ModelReference

if TYPE_CHECKING:
    from torch import Tensor, nn

_log = logging.getLogger(__name__)

CARD, WEIGHTS, GOLDEN = "model.json", "weights.safetensors", "golden.safetensors"
NOVELTY = "novelty.safetensors"


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class PluginReference(_Part, frozen=True):
    """Which plugin makes the network: `distribution:name`, and the versions that wrote the folder."""

    name: str
    distribution: str
    distribution_version: str
    model_version: str


class Calibration(_Part, frozen=True):
    """A temperature that divides the logits, and the rows that it was fitted on."""

    temperature: float
    split: str
    rows: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"a temperature of {self.temperature}: it divides, so it must be above 0 and finite")


class Threshold(_Part, frozen=True):
    """An operating point: a case is positive for `label` from `value` on. `how` and `split` are its provenance.

    `how` is "youden", "sensitivity 0.95" or "specificity 0.90" (at least that, see `evaluation.operating_points`), or
    says a percentile. The rates are those of the `rows` that it was chosen on, the intervals 95 % ones. It may only
    come from validation rows: what test rows chose would flatter every figure on them.
    """

    label: str
    value: float
    how: str
    split: str
    rows: int
    sensitivity: float | None = None
    specificity: float | None = None
    sensitivity_interval: tuple[float, float] | None = None
    specificity_interval: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        _only_from_validation(f"an operating point for {self.label}", self.split)
        if not math.isfinite(self.value):
            raise ValueError(f"an operating point at {self.value} for {self.label}: a finite value is wanted")


class Abstention(_Part, frozen=True):
    """How sure an answer must be, or none is given: so sure were `coverage` of the `rows` that it was fitted on.

    `confidence` is what `operating.confidence` gives, 0 to 1. Answers are withheld only where it is `in_force`.
    """

    confidence: float
    coverage: float
    split: str
    rows: int
    in_force: bool = False

    def __post_init__(self) -> None:
        _only_from_validation("a limit of abstention", self.split)
        if not (0 <= self.confidence <= 1 and 0 < self.coverage < 1):
            raise ValueError(
                f"abstention below {self.confidence} for a coverage of {self.coverage}: both are fractions"
            )


def _only_from_validation(what: str, split: str) -> None:
    if split != "val":
        raise ValueError(f"{what} chosen on {split} rows: only validation rows (val) may choose one")


class Metric(_Part, frozen=True):
    """A figure with its 95 % interval, on `rows` of `split`."""

    name: str
    value: float
    low: float | None
    high: float | None
    split: str
    rows: int


class PretrainedRecord(_Part, frozen=True):
    """The file that a training started from, by its SHA-256: `loaded` of the network's `tensors` were taken from it."""

    sha256: str
    loaded: int
    tensors: int


class TrainingRecord(_Part, frozen=True):
    """How the weights were made.

    `data` and the columns of its table are as they were given: where `evaluate` looks when it is told no other.
    `counts` are the train rows of each label; empty where they were not counted. `leaks` says what is known to be wrong
    with the rows and names none, `duplicates_dropped` how many were left out since a later split has their images too.
    """

    data_sha256: str
    rows: dict[str, int]
    seed: int
    steps: int
    batch_size: int
    best_step: int
    stopped: str
    device: str
    precision: str
    versions: dict[str, str]
    grouped_by: str | None = None
    normal: str | None = None
    data: str | None = None
    label_columns: tuple[str, ...] = ()
    patient_column: str | None = None
    split_column: str | None = None
    mask_column: str | None = None
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    leaks: tuple[str, ...] = ()
    duplicates_dropped: int = 0
    pretrained: PretrainedRecord | None = None


class Card(_Part, frozen=True):
    """The contents of `model.json`: from training on, only what stands here counts.

    `operating_points` are all that were chosen, `thresholds` those in force: one for each label at most. `warnings` are
    those of the latest evaluation of test rows.
    """

    plugin: PluginReference
    task: str
    options: dict[str, Any]
    labels: Labels
    contract: InputContract
    preprocessing: dict[str, Any]
    plan_id: str
    weights_sha256: str
    golden_sha256: str
    training: TrainingRecord | None = None
    calibration: Calibration | None = None
    thresholds: tuple[Threshold, ...] = ()
    metrics: tuple[Metric, ...] = ()
    warnings: tuple[str, ...] = ()
    operating_points: tuple[Threshold, ...] = ()
    abstention: Abstention | None = None
    novelty: NoveltyFit | None = None
    novelty_sha256: str | None = None
    format: Literal[1] = 1


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model with its network and everything that is stored beside the weights. `path` is None for a fresh one."""

    model: Model
    network: nn.Module
    labels: Labels
    contract: InputContract
    preprocessing: Preprocessing
    reference: ModelReference | None = None
    calibration: Calibration | None = None
    thresholds: tuple[Threshold, ...] = ()
    operating_points: tuple[Threshold, ...] = ()
    abstention: Abstention | None = None
    novelty: NoveltyMeasure | None = None
    card: Card | None = None
    path: Path | None = None


def fresh(model: Model, seed: int = 0) -> LoadedModel:
    """Return an untrained model with weights made from `seed`: for models that need no training, and for tests."""
    preprocessing = model.preprocessing()
    return LoadedModel(
        model=model,
        network=build(model, seed),
        labels=model.labels,
        contract=model.contract(),
        preprocessing=preprocessing,
    )


def build(model: Model, seed: int) -> nn.Module:
    """Return a model's network with weights that depend on `seed` alone."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model.build()


def read_card(path: str | Path) -> Card:
    """Read `model.json` strictly; `ModelFolderError` says what is wrong with it."""
    file = Path(path) / CARD
    try:
        return msgspec.json.decode(file.read_bytes(), type=Card)
    except (FileNotFoundError, NotADirectoryError):
        known = (
            "is no model folder" if Path(path).is_dir() else "is a file" if Path(path).exists() else "does not exist"
        )
        wanted = f"a folder that holds {CARD} is needed, as written by `medplug train`"
        trained = "" if Path(path).exists() else _if_a_plugin(str(path))
        raise ModelFolderError(f"{path} {known}: {wanted}{trained}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelFolderError(f"{file} is not a model card: {error}") from error


def _if_a_plugin(name: str) -> str:
    """What to say to one who names a plugin where a model folder is wanted."""
    from .plugins import discover

    offer = next((offer for offer in discover().offers if offer.name == name), None)
    if offer is None:
        return ""
    if not issubclass(offer.model, Trainable):
        return f". {name} is an installed plugin that learns nothing: run it from Python, {offer.as_it_is}"
    return f". {name} is an installed plugin: train it first, with `medplug train {name} DATA -o MODEL`"


def checked_preprocessing(card: Card, path: str | Path) -> Preprocessing:
    """Return the card's preprocessing after comparing it with the card's `plan_id`."""
    try:
        preprocessing = from_plain(card.preprocessing)
        plan_id = preprocessing.plan_id
    except PreprocessingError as error:
        raise ModelFolderError(f"{Path(path) / CARD}: {error}") from error
    if plan_id != card.plan_id:
        raise ModelFolderError(
            f"{Path(path) / CARD}: the preprocessing was changed after it was written: its id is {plan_id[:12]} "
            f"and the folder says {card.plan_id[:12]}. Restore the file, or train again"
        )
    return preprocessing


def load(path: str | Path) -> LoadedModel:
    """Load a model folder: check its hashes, import its plugin alone, and fill its network."""
    path = Path(path)
    card = read_card(path)
    preprocessing = checked_preprocessing(card, path)
    _check_sha256(path / WEIGHTS, card.weights_sha256)
    return assemble(card, preprocessing, read_tensors(path / WEIGHTS), path)


def assemble(
    card: Card, preprocessing: Preprocessing, weights: Mapping[str, Tensor], path: Path | None = None
) -> LoadedModel:
    """Build the network that a card describes and fill it with `weights`.

    The `reference` names the version of the plugin that computes now; another one than the card's is warned of.
    """
    model = _model_of(card)
    network = build(model, seed=0)
    _check_tensors(card.plugin, model.version, weights, network.state_dict())
    network.load_state_dict(dict(weights), strict=True)
    network.eval()
    return LoadedModel(
        model=model,
        network=network,
        labels=card.labels,
        contract=card.contract,
        preprocessing=preprocessing,
        reference=ModelReference(
            name=card.plugin.name,
            version=model.version,
            distribution=card.plugin.distribution,
            weights_sha256=card.weights_sha256,
        ),
        calibration=card.calibration,
        thresholds=card.thresholds,
        operating_points=card.operating_points,
        abstention=card.abstention,
        novelty=None if path is None else _novelty(card, path),
        card=card,
        path=path,
    )


def _novelty(card: Card, path: Path) -> NoveltyMeasure | None:
    """The measure of novelty beside a card; None in a folder that was written without one."""
    if card.novelty is None:
        return None
    if card.novelty_sha256 is None:
        raise ModelFolderError(f"{path / CARD} has a novelty and no SHA-256 of {NOVELTY}: it was changed by hand")
    _check_sha256(path / NOVELTY, card.novelty_sha256)
    return measure_of(card.novelty, read_tensors(path / NOVELTY), str(path / NOVELTY))


def _check_tensors(
    plugin: PluginReference, version: str, stored: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> None:
    """Raise `ModelFolderError` where the stored tensors are not those of the network."""
    differ = {
        "missing": sorted(wanted.keys() - stored.keys()),
        "too many": sorted(stored.keys() - wanted.keys()),
        "of another shape": sorted(
            name for name in wanted.keys() & stored.keys() if wanted[name].shape != stored[name].shape
        ),
    }
    if any(differ.values()):
        counts = ", ".join(f"{len(names)} {how} ({names[0]})" for how, names in differ.items() if names)
        raise ModelFolderError(
            f"the weights do not fit the network that {plugin.distribution}:{plugin.name} {version} builds: of its "
            f"{len(wanted)} tensors, {counts}. They were written by its version {plugin.model_version}: install "
            f"{plugin.distribution} {plugin.distribution_version} as it was then, or train again"
        )


def _model_of(card: Card) -> Model:
    from .plugins import discover

    distribution, name = card.plugin.distribution, card.plugin.name
    try:
        offer = discover(only=distribution).find(f"{distribution}:{name}")
    except PluginError as error:
        raise ModelFolderError(
            f"the model was made by the plugin {distribution}:{name}, which cannot be used here: {error}"
        ) from error
    try:
        options = msgspec.convert(card.options, offer.model.Options)
    except msgspec.ValidationError as error:
        raise ModelFolderError(f"the stored options do not fit {distribution}:{name}: {error}") from error
    if offer.task.value != card.task:
        raise ModelFolderError(
            f"the folder is a model for {card.task}, and {distribution}:{name} is now one for {offer.task.value}: "
            f"install {distribution} {card.plugin.distribution_version}, which wrote it, or train again"
        )
    then = (card.plugin.model_version, card.plugin.distribution_version)
    if then != (offer.model.version, offer.distribution_version):
        _log.warning(
            "%s:%s was trained with its version %s of %s %s, and runs with version %s of %s %s: "
            "`medplug verify` says whether it still answers the same",
            *(distribution, name, then[0], distribution, then[1]),
            *(offer.model.version, distribution, offer.distribution_version),
        )
    return offer.model(options, card.labels)


def write_card(path: Path, card: Card) -> None:
    """Write `model.json` whole or not at all."""
    text = json.dumps(msgspec.to_builtins(card), indent=2, ensure_ascii=False) + "\n"
    write_whole(path / CARD, text.encode())


def describe_plugin(model: Model, distribution: str, distribution_version: str) -> PluginReference:
    """Return how a model folder speaks of a plugin's model."""
    return PluginReference(
        name=model.name,
        distribution=distribution,
        distribution_version=distribution_version,
        model_version=model.version,
    )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file; `ModelFolderError` when it is missing or damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except FileNotFoundError:
        raise ModelFolderError(f"{path} is missing: the model folder is not whole") from None
    except (SafetensorError, OSError) as error:
        raise ModelFolderError(f"{path} cannot be read: {error}") from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write a safetensors file whole or not at all; return its SHA-256."""
    from safetensors.torch import save

    content = save({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()})
    write_whole(path, content)
    return hashlib.sha256(content).hexdigest()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is never seen half-written: beside it first, then renamed over it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256; `ModelFolderError` when it is missing."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        raise ModelFolderError(f"{path} is missing: the model folder is not whole") from None


def _check_sha256(path: Path, expected: str) -> None:
    found = sha256_of(path)
    if found != expected:
        raise ModelFolderError(
            f"{path} was changed after it was written: its SHA-256 is {found[:12]} and {CARD} says {expected[:12]}"
        )
