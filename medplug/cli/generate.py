"""`medplug generate`."""

from __future__ import annotations

from pathlib import Path

import click
from rich.progress import Progress

from ..session import Answer
from .common import device_option, err, output_option, overwrite_option


@click.command("generate")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-n", "--count", type=click.IntRange(min=1), default=64, show_default=True, help="How many images.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The same seed, the same images."
)
@click.option("--label", metavar="NAME", help="What they show.  [default: labels as often as in training]")
@click.option(
    "--write",
    default="json,html,png",
    show_default=True,
    metavar="NAME,...",
    help="What to write: json, html, png, dicom, and plugins' own.",
)
@output_option(True, "The folder for the images.")
@device_option
@overwrite_option
@click.pass_context
def command(
    ctx: click.Context,
    model: Path,
    count: int,
    seed: int,
    label: str | None,
    write: str,
    output: Path,
    device: str,
    overwrite: bool,
) -> None:
    """Make synthetic images with MODEL. They show no patient, and every file says so.

    What comes out nearly as a training image is withheld, and another is drawn in its place.
    """
    from ..running import generate

    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        bar = progress.add_task("generating", total=count)

        def advance(answer: Answer) -> None:
            progress.advance(bar)

        summary = generate(
            model,
            count,
            output,
            seed=seed,
            label=label,
            write=[name.strip() for name in write.split(",") if name.strip()],
            device=device,
            overwrite=overwrite,
            on_answer=advance,
        )
    click.echo(f"{summary.answered} synthetic images written to {summary.output}")
    if summary.withheld:
        click.echo(f"{summary.withheld} near copies of training images were withheld")
    if summary.refused:
        click.echo(f"{summary.refused} images are missing: all that was drawn for them was a near copy")
    ctx.exit(1 if summary.refused else 0)
