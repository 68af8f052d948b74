"""Whole reports beside a run's: of a training, of an evaluation, of a tour through several of these."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..case import Case
from ..comparison_figures import Comparison
from ..figures import Evaluation, HistoryPoint
from ..model_folder import Card, LoadedModel, checked_preprocessing
from ..session import Answer
from .html_card import card_section
from .html_comparison import comparison_sections
from .html_evaluation import evaluation_sections, history_section
from .html_model import card_sections
from .html_page import Section, write_page
from .html_run import PICTURES, RunSections

TRAINING, EVALUATION, COMPARISON = "training.html", "evaluation.html", "comparison.html"


def training_report(
    folder: Path,
    card: Card,
    history: Sequence[HistoryPoint],
    evaluation: Evaluation | None = None,
    samples: Sequence[Section] = (),
    cases: Iterable[Case] = (),
) -> Path:
    """Write `training.html` into a model folder; return its path.

    `samples` are further sections, such as generated images; `cases` bring the pictures of the worst errors.
    """
    sections = training_sections(folder, card, history, evaluation, samples, cases)
    rows = card.training.rows.get("train", 0) if card.training else 0
    lead = f"{card.task.capitalize()}, trained on {rows} rows." if rows else f"{card.task.capitalize()}."
    return write_page(folder / TRAINING, card.plugin.name, sections, kind="training report", lead=lead)


def training_sections(
    folder: Path,
    card: Card,
    history: Sequence[HistoryPoint],
    evaluation: Evaluation | None = None,
    samples: Sequence[Section] = (),
    cases: Iterable[Case] = (),
) -> tuple[Section, ...]:
    """Return the sections of a training report, for a report that tells of more."""
    best = card.training.best_step if card.training else None
    return (
        history_section(history, best),
        *samples,
        *(evaluation_sections(evaluation, cases) if evaluation else ()),
        card_section(card),
        *card_sections(card, checked_preprocessing(card, folder)),
    )


def evaluation_report(
    evaluation: Evaluation, out: Path, cases: Iterable[Case] = (), further: Sequence[Section] = ()
) -> Path:
    """Write an evaluation and `further` sections to `out` (a folder, or a path that ends in .html); return its path."""
    path = out if out.suffix == ".html" else out / EVALUATION
    name = evaluation.model.name if evaluation.model else evaluation.task
    title = f"{name} on {evaluation.split}"
    sections = (*evaluation_sections(evaluation, cases), *further)
    return write_page(path, title, sections, kind="evaluation report")


def comparison_report(made: Comparison, out: Path, cases: Iterable[Case] = ()) -> Path:
    """Write a comparison to `out` (a folder, or a path that ends in .html); return its path."""
    path = out if out.suffix == ".html" else out / COMPARISON
    return write_page(path, "Two models", comparison_sections(made, cases), kind="comparison")


def run_sections(
    loaded: LoadedModel, answers: Iterable[Answer], pictures: int = PICTURES, model: bool = False
) -> tuple[Section, ...]:
    """Return the sections of a run, for a report that tells of more; `model` adds the model's own."""
    run = RunSections(loaded, pictures)
    for answer in answers:
        run.add(answer)
    return run.sections(model)


def tour_report(path: Path, title: str, sections: Sequence[Section], lead: str = "") -> Path:
    """Write a report that strings sections together, `chapter`s among them; return its path."""
    return write_page(path, title, sections, kind="tour", lead=lead)
