"""The sections about a model: what it takes, how it was made, where its thresholds come from."""

from __future__ import annotations

import json
from typing import Any

from ..model import InputContract, Labels, Task
from ..model_folder import Calibration, Card, LoadedModel, Metric, Threshold, TrainingRecord
from ..novelty import NoveltyFit
from ..preprocessing import Preprocessing, to_plain
from ..result import Provenance
from .html_page import Section, count, fill, number

_CHOICES = {"youden": "largest sum of sensitivity and specificity (Youden)"}
_FIELDS = ("modality", "body_part", "view", "photometric", "spacing", "bits")


def model_sections(loaded: LoadedModel, provenance: Provenance | None = None) -> tuple[Section, ...]:
    """Return the model's card and its provenance; of a model without a folder, what is known of it."""
    card = loaded.card
    reference = loaded.reference
    identity = [
        ("Model", f"{loaded.model.name} {loaded.model.version}"),
        ("Task", loaded.model.task.value),
        ("Plugin", "not stored" if reference is None else f"{reference.distribution}:{reference.name}"),
        ("Weights (SHA-256)", "none stored" if reference is None else reference.weights_sha256),
        ("Model folder", "none: the weights were made for this run" if loaded.path is None else str(loaded.path)),
    ]
    if provenance is not None:
        identity += [
            ("medplug", provenance.medplug),
            ("PyTorch", provenance.torch),
            ("Device", f"{provenance.device}, {provenance.precision}"),
        ]
    return _sections(
        identity,
        loaded.model.task.value,
        loaded.labels,
        loaded.contract,
        loaded.preprocessing,
        loaded.thresholds,
        loaded.calibration,
        card.metrics if card else (),
        card.training if card else None,
        card.options if card else {},
        None if loaded.novelty is None else loaded.novelty.fit,
    )


def card_sections(card: Card, preprocessing: Preprocessing) -> tuple[Section, ...]:
    """As `model_sections`, for the card of a model folder alone."""
    identity = [
        ("Model", f"{card.plugin.name} {card.plugin.model_version}"),
        ("Task", card.task),
        ("Plugin", f"{card.plugin.distribution}:{card.plugin.name} {card.plugin.distribution_version}"),
        ("Weights (SHA-256)", card.weights_sha256),
    ]
    return _sections(
        identity,
        card.task,
        card.labels,
        card.contract,
        preprocessing,
        card.thresholds,
        card.calibration,
        card.metrics,
        card.training,
        card.options,
        card.novelty,
    )


def _sections(
    identity: list[tuple[str, str]],
    task: str,
    labels: Labels,
    contract: InputContract,
    preprocessing: Preprocessing,
    thresholds: tuple[Threshold, ...],
    calibration: Calibration | None,
    metrics: tuple[Metric, ...],
    training: TrainingRecord | None,
    options: dict[str, Any],
    novelty: NoveltyFit | None,
) -> tuple[Section, ...]:
    body = fill(
        "model.html",
        identity=[*identity, *_labels(labels)],
        contract=_contract(contract) if task != Task.GENERATION else [],
        contract_unit=contract.unit.value,
        steps=_steps(preprocessing),
        plan_id=preprocessing.plan_id,
        thresholds=thresholds,
        choices=_CHOICES,
        calibration=calibration,
        metrics=metrics,
        novelty=novelty,
        training=_training(training) if training else [],
        options=[(name, json.dumps(value, ensure_ascii=False)) for name, value in options.items()],
    )
    return (Section("The model", body),)


def _labels(labels: Labels) -> list[tuple[str, str]]:
    if not labels.names:
        return []
    described = []
    for name in labels.names:
        code = labels.codes.get(name)
        described.append(name if code is None else f"{name} ({code.scheme} {code.value}, {code.meaning})")
    return [("Labels", f"{', '.join(described)} - {'one of them' if labels.exclusive else 'each by itself'}")]


def _contract(contract: InputContract) -> list[tuple[str, str, str]]:
    """(field, what is admitted, what happens when the source does not say) for every field that is not open."""
    lines = [
        ("dimensions", str(contract.dimensions), ""),
        ("channels", " or ".join(map(str, contract.channels)), ""),
    ]
    for field in _FIELDS:
        constraint = getattr(contract, field)
        if constraint is None:
            continue
        if hasattr(constraint, "values"):
            wanted = ", ".join(constraint.values)
        else:
            wanted = f"{number(constraint.low)} to {number(constraint.high)}"
        absent = "admitted, marked unverified" if constraint.absent == "admit" else "refused"
        lines.append((field.replace("_", " "), wanted, absent))
    return lines


def _steps(preprocessing: Preprocessing) -> list[tuple[str, str]]:
    """The preprocessing in the order in which it is written down."""
    plain = to_plain(preprocessing)
    [(kind, body)] = plain["values"].items()
    steps = [(f"values: {kind}", _numbers(body))]
    steps += [
        (step["op"], _numbers({key: value for key, value in step.items() if key != "op"})) for step in plain["geometry"]
    ]
    rest = {key: plain[key] for key in ("order", "channels", "border", "filter", "spacing_from")}
    steps.append(("sampling", _numbers(rest)))
    if plain["normalize"]:
        steps.append(("normalize", _numbers(plain["normalize"])))
    return steps


def _numbers(body: Any) -> str:
    if not isinstance(body, dict):
        return json.dumps(body)
    return ", ".join(f"{key} {_plain(value)}" for key, value in body.items() if value is not None)


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return number(value)
    if isinstance(value, list | tuple):
        return " × ".join(_plain(one) for one in value)
    return value if isinstance(value, str) else json.dumps(value)


def _training(record: TrainingRecord) -> list[tuple[str, str]]:
    rows = ", ".join(f"{count(number_)} {split}" for split, number_ in record.rows.items())
    grouped = f", patients kept together by {record.grouped_by}" if record.grouped_by else ", without patient ids"
    return [
        ("Rows", rows + grouped),
        *([("Trained on", f"rows labelled {record.normal}")] if record.normal else []),
        *(
            [("Left out", f"{count(record.duplicates_dropped)} rows whose images stand in a later split")]
            if record.duplicates_dropped
            else []
        ),
        *[("Known to be wrong", leak) for leak in record.leaks],
        ("Steps", f"{count(record.steps)} of {record.batch_size} images; step {count(record.best_step)} was kept"),
        ("Ended", record.stopped),
        ("Seed", str(record.seed)),
        ("On", f"{record.device}, {record.precision}"),
        *([("Data", record.data)] if record.data else []),
        ("Data (SHA-256)", record.data_sha256),
        ("Versions", ", ".join(f"{name} {version}" for name, version in record.versions.items())),
    ]
