"""`medplug demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from .common import device_option, err

if TYPE_CHECKING:
    from ..training import TrainingProgress


@click.command("demo")
@click.argument("folder", metavar="[DIR]", default="medplug-demo", type=click.Path(path_type=Path, file_okay=False))
@click.option("--patients", type=click.IntRange(min=30), default=90, show_default=True, help="How many to draw.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@device_option
def command(folder: Path, patients: int, seed: int, device: str) -> None:
    """Take the whole tour on synthetic chest radiographs, in DIR, and end with a report.

    About two minutes on two cores. Nothing leaves this machine; no image shows a patient.
    """
    from ..demo.tour import tour

    if folder.exists() and any(folder.iterdir()):
        raise click.UsageError(f"{folder} is not empty: name another folder, as in `medplug demo my-tour`")
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=err
    ) as progress:
        bar = progress.add_task("starting", total=None)
        doing = ""

        def say(words: str, now: TrainingProgress | None) -> None:
            nonlocal bar, doing
            if words != doing:
                progress.update(bar, total=1, completed=1)
                bar, doing = progress.add_task(words, total=None), words
            if now is not None and now.steps:
                progress.update(bar, completed=now.step, total=now.steps)

        report = tour(folder, patients=patients, seed=seed, device=device, say=say)
        progress.update(bar, total=1, completed=1)
    click.echo(f"The report: {report.resolve()}")
    click.echo("Not for diagnosis: every image in it is synthetic.")
