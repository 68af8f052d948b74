"""Golden tensors: what a model made of a few inputs when it was saved, so that any later change is seen and named."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from .case import Case, CaseReference, Image, Pixels, ValueMeaning
from .errors import ModelFolderError
from .model import Generative
from .model_folder import (
    CARD,
    GOLDEN,
    NOVELTY,
    WEIGHTS,
    Card,
    LoadedModel,
    Metric,
    PluginReference,
    TrainingRecord,
    assemble,
    checked_preprocessing,
    read_card,
    read_tensors,
    sha256_of,
    write_card,
    write_tensors,
)
from .novelty import vectors_of
from .pipeline import Pipeline, collate

if TYPE_CHECKING:
    from torch import Tensor

TOLERANCE = 1e-4
NOVELTY_TOLERANCE = 1e-2
"""Of novelty scores, in which a difference of the features is divided by the little by which those of rows differ."""

_STATIONS = {"preprocessed": "preprocessing", "output": "network", "novelty": "novelty"}
_SEED = 20_000
_COUNT = 2


@dataclass(frozen=True)
class Check:
    """One station of a verification: `same` is "bit-equal", "close" (within its tolerance) or "differs"."""

    station: str
    same: Literal["bit-equal", "close", "differs"]
    detail: str = ""

    @property
    def passed(self) -> bool:
        """Whether the station still does what it did."""
        return self.same != "differs"


def inputs(loaded: LoadedModel) -> list[Case]:
    """Return the golden cases: smooth 12-bit images made from a seed, with every meaning that a plan may ask for."""
    dims, channels = loaded.contract.dimensions, min(loaded.contract.channels)
    shape = (97, 75) if dims == 2 else (21, 45, 39)
    generator = np.random.default_rng(_SEED)
    return [
        Case(
            CaseReference(source=f"golden {index}"),
            {name: _image(generator, shape, channels) for name in loaded.contract.images},
        )
        for index in range(_COUNT)
    ]


def _image(generator: np.random.Generator, shape: tuple[int, ...], channels: int) -> Image:
    axes = np.meshgrid(*[np.linspace(0, 3, n) for n in shape], indexing="ij")
    waves = sum(np.sin(axis * generator.uniform(1, 4) + generator.uniform(0, 6)) for axis in axes) / len(axes)
    noise = generator.integers(0, 256, (channels, *shape))
    pixels: Pixels = np.clip((waves + 1) * 1900 + noise, 0, 4095).astype(np.uint16)
    spacing = (0.9, 0.8) if len(shape) == 2 else (2.0, 0.9, 0.8)
    to_patient = np.zeros((4, 4))
    to_patient[2, 0], to_patient[1, 1], to_patient[0, 2], to_patient[3, 3] = spacing[0], spacing[-2], spacing[-1], 1
    return Image(
        shape=shape,
        dtype=np.dtype(np.uint16),
        read=lambda: pixels,
        channels=channels,
        values=ValueMeaning(full_range=(0.0, 4095.0)),
        bits=12,
        stored_range=(0, 4095),
        spacing=spacing,
        imager_spacing=spacing,
        to_patient=to_patient,
    )


def compute(loaded: LoadedModel) -> dict[str, Tensor]:
    """Return the golden tensors on the CPU: `preprocessed/<input>`, `output/<name>` and `novelty/scores`."""
    import torch

    pipeline = Pipeline(loaded.preprocessing, loaded.contract.images)
    network = loaded.network
    if any(tensor.device.type != "cpu" for tensor in (*network.parameters(), *network.buffers())):
        network = copy.deepcopy(network).cpu()  # whoever shares this one goes on computing where it is
    network.eval()
    batch = collate([pipeline.prepare(case) for case in inputs(loaded)])
    with torch.inference_mode():
        if isinstance(loaded.model, Generative):
            output = loaded.model.sample(network, _COUNT, torch.Generator().manual_seed(_SEED))
        else:
            output = loaded.model.forward(network, batch)
        novelty = {}
        if loaded.novelty is not None:
            scores = loaded.novelty.scores(vectors_of(loaded.model, network, batch, output))
            novelty["novelty/scores"] = torch.tensor(scores)
    return {
        **{f"preprocessed/{name}": tensor for name, tensor in batch.images.items()},
        **{f"output/{name}": tensor.float() for name, tensor in output.items()},
        **novelty,
    }


def verify(path: str | Path) -> list[Check]:
    """Check a model folder station by station: card, weights, novelty, golden file, preprocessing, network.

    Every station that can still be tried is tried; `ModelFolderError` only when there is no card to begin with.
    """
    path = Path(path)
    card = read_card(path)
    checks = []
    try:
        preprocessing = checked_preprocessing(card, path)
        checks.append(Check("preprocessing in model.json", "bit-equal", f"plan {card.plan_id[:12]}"))
    except ModelFolderError as error:
        return [Check("preprocessing in model.json", "differs", str(error))]
    stations = [("weights", WEIGHTS, card.weights_sha256), ("golden tensors", GOLDEN, card.golden_sha256)]
    if card.novelty is not None:
        stations.insert(1, ("novelty", NOVELTY, card.novelty_sha256 or ""))
    for station, name, expected in stations:
        found = sha256_of(path / name)
        if found == expected:
            checks.append(Check(station, "bit-equal", f"SHA-256 {expected[:12]}"))
        else:
            detail = f"{name} was changed: its SHA-256 is {found[:12]} and {CARD} says {expected[:12]}"
            checks.append(Check(station, "differs", detail))
    if not all(check.passed for check in checks):
        return checks
    now = compute(assemble(card, preprocessing, read_tensors(path / WEIGHTS), path))
    then = read_tensors(path / GOLDEN)
    # What a later version of the plugin gives beside them has nothing to be compared with.
    checks += [_compare(name, now[name], then[name]) for name in sorted(then.keys() & now.keys(), key=_order)]
    missing = ", ".join(sorted(then.keys() - now.keys()))
    return [*checks, Check("network", "differs", f"it no longer gives {missing}")] if missing else checks


def _order(name: str) -> tuple[int, str]:
    """In the order of the way of an image."""
    kind = name.partition("/")[0]
    return list(_STATIONS).index(kind) if kind in _STATIONS else len(_STATIONS), name


def _compare(name: str, now: Tensor, then: Tensor) -> Check:
    kind, _, tensor = name.partition("/")
    station, tolerance = (
        f"{_STATIONS.get(kind, kind)} ({tensor})",
        TOLERANCE if kind != "novelty" else NOVELTY_TOLERANCE,
    )
    if now.shape != then.shape:
        return Check(station, "differs", f"shape {list(now.shape)}, it was {list(then.shape)}")
    if now.equal(then):
        return Check(station, "bit-equal")
    worst = float((now - then).abs().max())
    return Check(station, "close" if worst <= tolerance else "differs", f"largest difference {worst:.2g}")


def save(
    path: str | Path,
    loaded: LoadedModel,
    plugin: PluginReference,
    training: TrainingRecord | None = None,
    metrics: tuple[Metric, ...] = (),
) -> Card:
    """Write a model folder: its tensors, and the card last, so that a folder with a card is whole."""
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    novelty = loaded.novelty
    if novelty is None:
        (path / NOVELTY).unlink(missing_ok=True)  # of an earlier model
    card = Card(
        plugin=plugin,
        task=loaded.model.task.value,
        options=msgspec.to_builtins(loaded.model.options),
        labels=loaded.labels,
        contract=loaded.contract,
        preprocessing=json.loads(loaded.preprocessing.to_json()),
        plan_id=loaded.preprocessing.plan_id,
        weights_sha256=write_tensors(path / WEIGHTS, loaded.network.state_dict()),
        golden_sha256=write_tensors(path / GOLDEN, compute(loaded)),
        training=training,
        calibration=loaded.calibration,
        thresholds=loaded.thresholds,
        operating_points=loaded.operating_points,
        abstention=loaded.abstention,
        metrics=metrics,
        novelty=None if novelty is None else novelty.fit,
        novelty_sha256=None if novelty is None else write_tensors(path / NOVELTY, novelty.tensors()),
    )
    write_card(path, card)
    return card
