"""What a model is not for, derived from its folder: each sentence names the fact that it follows from."""

from __future__ import annotations

from collections.abc import Iterator

from ..model import Task
from ..model_folder import Card, TrainingRecord

FEW = 100
"""Of fewer train rows a label is said to be learned from few."""


def not_for(card: Card) -> tuple[str, ...]:
    """Return what a model is not for, and what its figures do not say."""
    return (
        "It is no medical device. Nothing that it says is a diagnosis, and no patient may be treated by it.",
        *_labels(card),
        *_contract(card),
        *_people(card.training),
        *_rows(card),
        *_figures(card),
        *_novelty(card),
    )


def _labels(card: Card) -> Iterator[str]:
    names = ", ".join(card.labels.names)
    if card.task == Task.CLASSIFICATION and card.labels.exclusive:
        yield (
            f"It knows no other finding than {names}: an image that shows another disease, or several, is answered "
            "with one of these all the same."
        )
    elif card.task == Task.CLASSIFICATION:
        yield f"It knows no other finding than {names}: of any other disease it says nothing, which is no all-clear."
    elif card.task == Task.ANOMALY:
        yield (
            "A high score says that an image is unlike those it learned, and not that somebody is ill; a low score is "
            "no all-clear."
        )
    elif card.task == Task.SEGMENTATION:
        yield f"It outlines {names} and nothing else: an image without outlines is no image without findings."
    elif card.task == Task.GENERATION:
        yield "Its images are no data about patients: figures that were found on them alone hold for no patient."


def _contract(card: Card) -> Iterator[str]:
    if card.task == Task.GENERATION:
        return
    for name, words in (("modality", "modality"), ("body_part", "body part")):
        constraint = getattr(card.contract, name)
        if constraint is None:
            yield f"It does not check the {words}: an image of another {words} than its training's is answered as any."
        else:
            wanted = " or ".join(constraint.values)
            admitted = "; an image that does not say it is answered" if constraint.absent == "admit" else ""
            yield f"It is for the {words} {wanted} alone{admitted}."


def _people(training: TrainingRecord | None) -> Iterator[str]:
    if training is None:
        yield "What it learned from is not stored, so nothing is known of whom it is good for."
        return
    yield (
        "Nothing is stored about age, sex, devices or hospitals of its training rows: that it holds for children, for "
        "adults, or for another hospital's images is not shown."
    )


def _rows(card: Card) -> Iterator[str]:
    training = card.training
    if training is None:
        return
    if not training.grouped_by:
        yield (
            "No patient ids were known: rows of one patient may stand in several splits, so its figures may flatter "
            "and their intervals are too narrow."
        )
    for name, count in training.counts.items():
        if training.normal is None and count < FEW:
            yield f"{name} was learned from {count} train rows: few, if not too few."
    if not training.rows.get("val"):
        yield "There were no validation rows: it is not calibrated and has no threshold."


def _figures(card: Card) -> Iterator[str]:
    tested = [metric for metric in card.metrics if metric.split == "test"]
    if not tested and card.task != Task.GENERATION:
        yield "It was not measured on test rows: how good it is, is not known."
    elif tested:
        yield (
            "Its figures are those of test rows of the data that it was trained on: nothing stored shows that they "
            "hold for images from elsewhere."
        )
    values = {metric.name: metric.value for metric in tested}
    if values.get("accuracy", 1.0) <= values.get("majority accuracy", 0.0):
        yield "Its accuracy is no better than that of always giving the most frequent label."
    if card.thresholds:
        yield (
            "What its thresholds promise holds for images like the validation rows and may not hold for others: "
            "medplug evaluate says what became of it."
        )


def _novelty(card: Card) -> Iterator[str]:
    if card.task == Task.GENERATION:
        return
    novelty = card.novelty
    if novelty is None:
        yield "It has no measure of novelty: an image unlike all that it learned is answered without a warning."
    else:
        yield (
            f"It flags images unlike those it learned, from a score of {novelty.limit:.4g} on (the limit of "
            f"{novelty.percentile:g} % of {novelty.rows} {novelty.split} rows); an answer about what is flagged is "
            "worth nothing, and what is not flagged may still be unlike."
        )
