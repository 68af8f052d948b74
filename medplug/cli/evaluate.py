"""`medplug evaluate`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import click
from rich.progress import Progress
from rich.table import Table

from ..explain import METHOD, Method
from ..figures import Evaluation, Explained, Figure
from .columns import data_options, take
from .common import (
    check_writable,
    device_option,
    err,
    json_option,
    out,
    output_option,
    print_json,
    print_notes,
    print_warnings,
    rates,
    table,
)
from .operating_tables import print_operating


@click.command("evaluate")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("data", required=False)
@click.option(
    "--on", "split", type=click.Choice(["test", "val", "train"]), default="test", show_default=True, help="The rows."
)
@click.option(
    "--features",
    type=click.Path(path_type=Path),
    metavar="MODEL",
    help="For a generator: the classifier that compares.",
)
@click.option("--samples", type=click.IntRange(min=2), help="For a generator: how many images to make.")
@click.option("--resamples", type=click.IntRange(min=0), default=1000, show_default=True, help="Bootstrap draws.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--prevalence",
    multiple=True,
    callback=rates,
    metavar="LABEL=RATE",
    help="Tell predictive values for this prevalence, pneumonia=0.05 for instance; repeatable.",
)
@click.option(
    "--subgroup",
    "subgroups",
    multiple=True,
    metavar="COLUMN",
    help="Figures by this column's values too; repeatable.  [default: by brightness and sharpness]",
)
@click.option(
    "--probes/--no-probes",
    default=True,
    show_default=True,
    help="Train trivial models on the train rows, to compare with.",
)
@click.option(
    "--explain",
    type=click.IntRange(min=1),
    is_flag=False,
    flag_value=24,
    metavar="[N]",
    help="Plant lesions into N rows (24 where none is said) and check that the maps point at them; score maps by "
    "deletion and insertion too.",
)
@click.option("--method", type=click.Choice(get_args(Method)), help="With --explain: how.  [default: grad-cam]")
@data_options
@output_option(
    False,
    "The folder for evaluation.json and evaluation.html.  [default: MODEL/evaluation, or beside it evaluation-val, "
    "evaluation-NAME for other rows, other DATA]",
)
@device_option
@json_option
def command(
    model: Path,
    data: str | None,
    output: Path | None,
    as_json: bool,
    explain: int | None,
    method: Method | None,
    **arguments: Any,
) -> None:
    """Measure MODEL on held-out rows, each figure with its 95 % interval.

    Without DATA, the data that MODEL was trained on is read again, by the same columns but for those that are named;
    the card keeps the figures. Other DATA without a split column is measured row by row, all of it.
    """
    if method is not None and explain is None:
        raise click.UsageError("--method goes with --explain")
    if output is None and model.is_dir():
        check_writable(model)
    from ..evaluation import dataset_of, evaluate, lies_at, store_metrics, write
    from ..evaluation.explanation_figures import check_explanations
    from ..evaluation.perturbed import score_maps
    from ..model_folder import read_card
    from ..session import Session
    from ..writers.html_explained import explained_section
    from ..writers.reports import evaluation_report

    options = take(arguments)
    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        bar = progress.add_task("evaluating", total=None)

        def advance(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total)

        session = Session(model, arguments["device"])
        dataset = dataset_of(session.loaded, data, options)
        made = evaluate(session, dataset, progress=advance, **arguments)
        further = []
        if explain is not None:
            progress.update(bar, description="explaining", completed=0, total=explain)
            rows = dataset.of(made.split)
            asked: Any = {
                "method": method or METHOD,
                "seed": arguments["seed"],
                "resamples": arguments["resamples"],
                "progress": advance,
            }
            checked = check_explanations(session, rows, explain, **asked)
            progress.update(bar, description="deleting and inserting", completed=0)
            scored = score_maps(session, rows, explain, **asked)
            checked = checked.with_scores(scored)
            made = checked.added_to(made)
            further.append(explained_section(checked))
    training = read_card(model).training
    same = training is not None and training.data_sha256 == made.data_sha256
    other = None if data is None or same or lies_at(training, data) else data
    folder = output if output is not None else model / _folder(made.split, other)
    write(made, folder)
    report = evaluation_report(made, folder, dataset.cases, further)
    if same:
        store_metrics(model, made)
    if as_json:
        print_json(made)
    else:
        _print(made)
    err.print(f"report: {report}", markup=False)


def _folder(split: str, other: str | None) -> str:
    """The name of the folder for the rows of a split, of the training data or of `other`."""
    name = "" if other is None else "-" + re.sub(r"[^A-Za-z0-9_-]+", "_", Path(other).resolve().stem)
    said = split != "test" or name in ("-train", "-val")  # other data of that name is not the training data's rows
    return f"evaluation{name}-{split}" if said else f"evaluation{name}"


def _print(made: Evaluation) -> None:
    clustered = f", {made.patients} patients ({made.clustered_by})" if made.clustered_by else ""
    out.print(f"{made.rows} {made.split} rows{clustered}, {made.refused} refused", markup=False)
    print_warnings(made.warnings, made.notes)
    rows = table("", "", "value", "95 % interval")
    for figure in made.figures:
        rows.add_row(figure.name, figure.label or "", f"{figure.value:.3f}", _interval(figure))
    out.print(rows)
    if made.confusion:
        out.print()
        rows = table("true, answered:", *made.labels)
        for label, counts in zip(made.labels, made.confusion):
            rows.add_row(label, *map(str, counts))
        out.print(rows)
    print_operating(made)
    if made.probes:
        out.print()
        rows = table("trivial models", "on", "", "value", "95 % interval")
        for probe in made.probes:
            _add(rows, (probe.kind, probe.split), probe.figures)
        out.print(rows)
    if made.subgroups:
        out.print()
        rows = table("subgroup", "rows", "", "value", "95 % interval")
        for group in made.subgroups:
            _add(rows, (f"{group.by}: {group.group}", str(group.rows)), group.figures)
        out.print(rows)
    if made.explained is not None:
        _print_explained(made.explained)
    print_notes(made.notes)


def _add(rows: Table, begin: tuple[str, ...], figures: Sequence[Figure]) -> None:
    """A line for each figure, what they are of in the first alone."""
    if not figures:
        rows.add_row(*begin)
    for figure in figures:
        name = figure.name if figure.label is None else f"{figure.name} ({figure.label})"
        rows.add_row(*begin, name, f"{figure.value:.3f}", _interval(figure))
        begin = ("",) * len(begin)


def _interval(figure: Figure) -> str:
    return "" if figure.low is None or figure.high is None else f"{figure.low:.3f} to {figure.high:.3f}"


def _print_explained(explained: Explained) -> None:
    out.print()
    moved = f"{explained.planted} of {explained.rows} planted lesions moved an answer"
    few = "" if explained.figures else ", too few to say how well the maps point"
    out.print(f"explanations by {explained.method}: {moved}{few}", markup=False)
    figures = (*explained.figures, *(() if explained.perturbed is None else explained.perturbed.figures))
    if not figures:
        return
    rows = table("", "", "value", "95 % interval")
    for figure in figures:
        rows.add_row(figure.name, figure.label or "", f"{figure.value:.3f}", _interval(figure))
    out.print(rows)
