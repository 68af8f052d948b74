"""`medplug train`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from .columns import comma, data_options, settings, take
from .common import (
    describe_novelty,
    describe_thresholds,
    device_option,
    err,
    output_option,
    overwrite_option,
    reason_of,
)

_UNITS = {"s": 1, "m": 60, "h": 3600}


class _Duration(click.ParamType[float]):
    """A duration such as 90s, 10m or 1.5h."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", str(value))
        if match is None or float(match[1]) == 0:
            self.fail(f"{value!r} is no duration: write 90s, 10m or 1.5h", param, ctx)
        return float(match[1]) * _UNITS[match[2]]


@click.command("train")
@click.argument("plugin")
@click.argument("data")
@output_option(True, "The model folder to make.")
@data_options
@click.option("--normal", metavar="LABEL", help="For an anomaly model: learn the rows with this label alone.")
@click.option("--modality", callback=comma, metavar="CR,DX", help="The modalities that the model is for.")
@click.option("--body-part", callback=comma, metavar="CHEST", help="The body parts that the model is for.")
@click.option(
    "--set",
    "options",
    multiple=True,
    callback=settings,
    metavar="KEY=VALUE",
    help="One of the model's options, or of the recipe's as recipe.KEY; repeatable.",
)
@click.option(
    "--duplicates",
    type=click.Choice(["refuse", "drop", "keep"]),
    default="refuse",
    show_default=True,
    help="Images that stand in two splits: stop, leave them out of the earlier one, or go on and say so.",
)
@click.option("--budget", type=_Duration(), metavar="TIME", help="Train for about this long: 90s, 10m, 1.5h.")
@click.option("--steps", type=click.IntRange(min=1), help="Train for this many steps.")
@click.option(
    "--operate",
    "aim",
    metavar="AIM",
    default="youden",
    show_default=True,
    help="What thresholds are for: youden, sensitivity=0.95 or specificity=0.9.",
)
@click.option(
    "--coverage",
    type=click.FloatRange(min=0, max=1, min_open=True, max_open=True),
    metavar="PART",
    help="Fit a limit to abstain below, which this part of the validation rows reaches; `run --abstain` uses it.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--pretrained", metavar="FILE", type=Path, help="Start from a safetensors file or a model folder, where it fits."
)
@click.option("--resume", is_flag=True, help="Go on where an earlier training into DIR stopped.")
@device_option
@overwrite_option
@click.pass_context
def command(ctx: click.Context, /, plugin: str, data: str, output: Path, **arguments: Any) -> None:
    """Train PLUGIN's model on DATA: a folder of class folders, a CSV, or a MedMNIST .npz.

    Ctrl-C keeps the best so far. Afterwards the model folder holds the weights, the card and a report.
    """
    from ..training import TrainingProgress, train
    from ..writers.reports import training_report

    columns = take(arguments, modality=arguments.pop("modality"), body_part=arguments.pop("body_part"))
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[shown]}"),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    ) as progress:
        bar = progress.add_task("reading", total=None, shown="")
        told: list[str] = []

        def show(now: TrainingProgress) -> None:
            for note in now.notes:  # not after an hour, when the wrong rows were learned
                err.print(f"note: {note}")
                told.append(note)
            losses = "  ".join(f"{name} {value:.4g}" for name, value in now.losses.items())
            done, total = now.images or (now.step, now.steps)
            step = f"{done}/{total or '?'}" if done else ""
            progress.update(bar, description=now.phase, completed=done, total=total, shown=f"{step}  {losses}".strip())

        trained = train(plugin, data, output, data_options=columns, progress=show, **arguments)
    report = training_report(trained.path, trained.card, trained.history)
    for note in trained.notes:
        if note not in told:
            err.print(f"note: {note}")
    for row in trained.left_out[:10]:
        err.print(f"left out: {row.reference.source}: {reason_of(row.reference.source, row.outcome)}")
    if len(trained.left_out) > 10:
        err.print(f"left out: {len(trained.left_out) - 10} more rows")
    record = trained.card.training
    assert record is not None  # training writes it
    click.echo(f"{trained.path}: {record.steps} steps, stopped: {record.stopped}, best at step {record.best_step}")
    for line in describe_thresholds(trained.card):
        click.echo(line)
    if trained.card.novelty is not None:
        click.echo(f"novelty: {describe_novelty(trained.card.novelty)}")
    err.print(f"report: {report}")
    ctx.exit(130 if trained.interrupted else 0)
