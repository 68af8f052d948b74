"""The model card: what a model is for, how good it is, and what it is not for, in sentences made from its folder.

After Mitchell et al. 2019, «Model Cards for Model Reporting», with only what the folder knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..model import Constraint, Labels, Span, Task
from ..model_folder import Card, Metric, Threshold, TrainingRecord
from .card_limits import not_for


@dataclass(frozen=True)
class Table:
    """Rows of text under a head."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class CardPart:
    """A part of a model card: sentences, and a table where it has one. `points` says that the sentences are a list."""

    title: str
    sentences: tuple[str, ...]
    table: Table | None = None
    points: bool = False


def card_parts(card: Card) -> tuple[CardPart, ...]:
    """Return the parts of a model folder's card."""
    parts = [
        CardPart("What it is", tuple(_is(card))),
        CardPart("What it takes", tuple(_takes(card))),
        CardPart("What it was trained on", tuple(_trained(card.training)), _counts(card.training)),
        CardPart("How good it is", tuple(_measured(card)), _figures(card.metrics)),
    ]
    if card.warnings:
        parts.append(CardPart("What its evaluation warned of", card.warnings, points=True))
    if card.task in (Task.CLASSIFICATION, Task.ANOMALY):
        parts.append(CardPart("Where it says yes", tuple(_operating(card)), _points(card)))
    parts.append(CardPart("What it is not for", not_for(card), points=True))
    return tuple(parts)


def markdown(card: Card) -> str:
    """Return the card as a Markdown page."""
    lines = [f"# Model card: {card.plugin.name}", ""]
    for part in card_parts(card):
        lines += [f"## {part.title}", ""]
        lines += [f"- {one}" for one in part.sentences] if part.points else [" ".join(part.sentences)]
        lines.append("")
        if part.table is not None:
            rows = [part.table.head, tuple("---" for _ in part.table.head), *part.table.rows]
            lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows] + [""]
    return "\n".join(lines).rstrip() + "\n"


def listed(labels: Labels) -> str:
    """Say labels in words: "normal, pneumonia or tuberculosis", or joined by "and" where each stands by itself."""
    *most, last = labels.names
    return f"{', '.join(most)} {'or' if labels.exclusive else 'and'} {last}" if most else last


def _is(card: Card) -> Iterator[str]:
    plugin = card.plugin
    yield (
        f"{plugin.name} {plugin.model_version}, made by the plugin {plugin.distribution}:{plugin.name} "
        f"{plugin.distribution_version}; weights {card.weights_sha256[:12]}."
    )
    if card.task == Task.CLASSIFICATION and card.labels.exclusive:
        yield f"It answers each image with one of {len(card.labels)} labels: {listed(card.labels)}."
    elif card.task == Task.CLASSIFICATION:
        yield f"It says of each image, for each by itself, how probable it is: {listed(card.labels)}."
    elif card.task == Task.ANOMALY:
        usual = f"labelled {card.training.normal}" if card.training and card.training.normal else "that it learned"
        yield f"It says how far each image differs from the images {usual}. It does not say what the difference is."
    elif card.task == Task.GENERATION:
        yield "It makes images. They show no patient."
    elif len(card.labels):
        kind = "outlines in each image" if card.task == Task.SEGMENTATION else "measures in each image"
        yield f"It {kind}: {', '.join(card.labels.names)}."


def _takes(card: Card) -> Iterator[str]:
    if card.task == Task.GENERATION:
        yield "No image: a seed, and a label where it has learned labels."
        return
    contract = card.contract
    channels = " or ".join(map(str, contract.channels))
    yield f"One {contract.unit.value} at a time: {contract.dimensions}-D, {channels} channels."
    for name in ("modality", "body_part", "view", "photometric", "spacing", "bits"):
        constraint: Constraint | Span | None = getattr(contract, name)
        if constraint is None:
            continue
        if isinstance(constraint, Constraint):
            wanted = " or ".join(constraint.values)
        else:
            wanted = f"{constraint.low:g} to {constraint.high:g}"
        else_ = "is answered and marked as unverified" if constraint.absent == "admit" else "is refused"
        yield f"{name.replace('_', ' ').capitalize()}: {wanted}; others are refused, and what does not say it {else_}."
    yield "Images outside of this contract get a refusal, no answer."


def _trained(training: TrainingRecord | None) -> Iterator[str]:
    if training is None:
        yield "Nothing is stored about a training."
        return
    counts = ", ".join(f"{count} {split}" for split, count in training.rows.items())
    yield f"Rows: {counts}; data {training.data_sha256[:12]} (SHA-256)."
    if training.grouped_by:
        yield f"The rows of a patient ({training.grouped_by}) stand in one split."
    else:
        yield "Patients are not known."
    if training.normal:
        yield f"It learned from the rows labelled {training.normal} alone."
    if training.duplicates_dropped:
        yield f"Left out, since their images stand in a later split too: {training.duplicates_dropped} rows."
    yield from map(_capital, training.leaks)


def _capital(said: str) -> str:
    return f"{said[:1].upper()}{said[1:].rstrip('.')}."


def _counts(training: TrainingRecord | None) -> Table | None:
    if training is None or not training.counts:
        return None
    return Table(("label", "train rows"), tuple((name, str(count)) for name, count in training.counts.items()))


def _measured(card: Card) -> Iterator[str]:
    if not card.metrics:
        yield "It had not been measured when this was written: medplug evaluate does, and medplug show --card tells."
        return
    yield "Each figure with its 95 % interval, and the rows that it was measured on."


def _figures(metrics: tuple[Metric, ...]) -> Table | None:
    if not metrics:
        return None
    return Table(
        ("metric", "value", "95 % interval", "on"),
        tuple(
            (one.name, f"{one.value:.3f}", _interval(one.low, one.high), f"{one.rows} {one.split} rows")
            for one in sorted(metrics, key=lambda metric: metric.split != "test")
        ),
    )


def _operating(card: Card) -> Iterator[str]:
    if card.calibration is not None:
        calibration = card.calibration
        yield (
            f"Its probabilities are calibrated by a temperature of {calibration.temperature:.3f}, fitted on "
            f"{calibration.rows} {calibration.split} rows."
        )
    elif card.task == Task.CLASSIFICATION:
        yield "Its probabilities are not calibrated."
    if card.thresholds:
        yield "The thresholds were chosen on validation rows, and their rates are those of these rows."
    else:
        yield "It has no threshold."
    if card.abstention is not None:
        limit = card.abstention
        state = "It abstains" if limit.in_force else "It can abstain (medplug run --abstain)"
        yield (
            f"{state} below a confidence of {limit.confidence:.3f}, which {100 * limit.coverage:.3g} % of "
            f"{limit.rows} {limit.split} rows reached."
        )


def _points(card: Card) -> Table | None:
    points = list(dict.fromkeys([*card.thresholds, *card.operating_points]))
    if not points:
        return None
    return Table(
        ("label", "chosen for", "positive from", "sensitivity", "specificity", "on", ""),
        tuple(_point(one, one in card.thresholds) for one in points),
    )


def _point(one: Threshold, in_force: bool) -> tuple[str, ...]:
    return (
        one.label,
        one.how,
        f"{one.value:.4g}",
        _rate(one.sensitivity, one.sensitivity_interval),
        _rate(one.specificity, one.specificity_interval),
        f"{one.rows} {one.split} rows",
        "in force" if in_force else "",
    )


def _rate(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" + (f" ({_interval(*interval)})" if interval is not None else "")


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
