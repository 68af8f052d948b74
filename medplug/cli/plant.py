"""`medplug plant`."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click
from rich.progress import Progress

from ..sources import Tilt
from .common import err, output_option


@click.command("plant")
@click.argument("source", nargs=-1, required=True)
@output_option(True, "The folder for the volumes and manifest.csv.")
@click.option("-n", "--count", type=click.IntRange(min=12), default=400, show_default=True, help="How many volumes.")
@click.option("--size", type=click.IntRange(min=8), default=24, show_default=True, help="Voxels along each side.")
@click.option(
    "--spacing", type=click.FloatRange(min=0, min_open=True), metavar="MM", help="[default: the coarsest axis]"
)
@click.option(
    "--contrast",
    type=(float, float),
    metavar="LOW HIGH",
    help="What a lesion adds, on the scale of the volume's 5th to 95th percentile.  [default: 0.8 1.2]",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The same seed, the same volumes."
)
@click.option(
    "--tilt",
    type=click.Choice(get_args(Tilt)),
    default="refuse",
    show_default=True,
    help="What becomes of a series whose slices are tilted, or at uneven distances.",
)
def command(
    source: tuple[str, ...],
    output: Path,
    count: int,
    size: int,
    spacing: float | None,
    contrast: tuple[float, float] | None,
    seed: int,
    tilt: Tilt,
) -> None:
    """Cut small volumes out of the series in each SOURCE and plant a lesion into half of them.

    What it writes trains and tests a 3-D model whose answer is known: `medplug train cnn DIR/manifest.csv --patient
    patient -o MODEL`. Splits are apart in space: no voxel is in two. The lesions are synthetic, and show no disease.
    """
    from dataclasses import replace

    from ..planting import LESIONS, plant_set

    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        bar = progress.add_task("planting", total=None)
        made = plant_set(
            list(source),
            output,
            count=count,
            size=size,
            spacing=spacing,
            lesions=LESIONS if contrast is None else replace(LESIONS, contrast=contrast),
            seed=seed,
            tilt=tilt,
            progress=lambda done, total: progress.update(bar, completed=done, total=total),
        )
    for note in made.notes:
        err.print(f"note: {note}", markup=False)
    parts = ", ".join(f"{made.volumes[split]} {split} from {made.blocks[split]} blocks" for split in made.volumes)
    click.echo(f"{parts}; written to {made.manifest}")
