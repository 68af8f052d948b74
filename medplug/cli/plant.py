"""`medplug plant`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
from rich.progress import Progress

from ..sources import Tilt
from .columns import settings
from .common import err, output_option

if TYPE_CHECKING:
    from ..planting import Planted

_VOLUMES, _IMAGES = ("spacing", "tilt"), ("select", "patient", "split")


def _columns(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Read "finding=none" as what a column must hold; a column has one value."""
    found = settings(ctx, parameter, values)
    if len(found) < len(values):
        raise click.BadParameter(f"{', '.join(values)}: a column is named twice, and rows hold one value of it")
    return found


@click.command("plant")
@click.argument("source", nargs=-1, required=True)
@output_option(True, "The folder for what is made and manifest.csv.")
@click.option(
    "--dims",
    type=click.Choice(["2", "3"]),
    default="3",
    show_default=True,
    help="3: volumes cut out of series. 2: images, whole, from files, folders or a CSV.",
)
@click.option(
    "-n", "--count", type=click.IntRange(min=4), help="How many are made.  [default: 400 volumes; all of the images]"
)
@click.option(
    "--size",
    type=click.IntRange(min=8),
    help="Voxels along each side of a volume, or pixels along an image's longest.  [default: 24; as the source has it]",
)
@click.option(
    "--contrast",
    type=(float, float),
    metavar="LOW HIGH",
    help="What a lesion adds, on the scale of the image's 5th to 95th percentile.  "
    "[default: 0.8 1.2 in volumes, 0.25 0.6 in images]",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The same seed, the same bytes.")
@click.option(
    "--spacing",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MM",
    help="Of volumes.  [default: the coarsest axis]",
)
@click.option(
    "--tilt",
    type=click.Choice(get_args(Tilt)),
    help="Of volumes: what becomes of a series whose slices are tilted, or at uneven distances.  [default: refuse]",
)
@click.option(
    "--select",
    multiple=True,
    callback=_columns,
    metavar="COLUMN=VALUE",
    help="Of images: plant into these rows of a CSV alone, those without a finding for instance; repeatable.",
)
@click.option("--patient", metavar="COLUMN", help="Of images: the column that names the patient.")
@click.option("--split", metavar="COLUMN", help="Of images: the column that says train, val or test.")
def command(
    source: tuple[str, ...],
    output: Path,
    dims: str,
    contrast: tuple[float, float] | None,
    seed: int,
    **arguments: Any,
) -> None:
    """Plant lesions into half of the volumes cut out of the series in each SOURCE, or, with --dims 2, of its images.

    What it writes trains and tests a model whose answer is known: `medplug train cnn DIR/manifest.csv --patient patient
    --mask mask -o MODEL`. No voxel of a volume, and no patient of an image, is in two splits. The lesions are
    synthetic, and show no disease.
    """
    given = {name: value for name, value in arguments.items() if value}
    strange = [name for name in (_IMAGES if dims == "3" else _VOLUMES) if name in given]
    if strange:
        raise click.UsageError(f"--{strange[0]} is for {'images: add --dims 2' if dims == '3' else 'volumes'}")
    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        bar = progress.add_task("planting", total=None)

        def advance(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total)

        made = _plant(dims, list(source), output, contrast, seed=seed, progress=advance, **given)
    for note in made.notes:
        err.print(f"note: {note}", markup=False)
    group = "block" if dims == "3" else "patient"
    parts = ", ".join(
        f"{made.images[split]} {split} from {made.groups[split]} {group}{'s' if made.groups[split] > 1 else ''}"
        for split in made.images
    )
    click.echo(f"{parts}; written to {made.manifest}")


def _plant(
    dims: str, source: list[str], output: Path, contrast: tuple[float, float] | None, **arguments: Any
) -> Planted:
    from dataclasses import replace

    from .. import planting, planting_images

    usual = planting.LESIONS if dims == "3" else planting_images.LESIONS
    lesions = usual if contrast is None else replace(usual, contrast=contrast)
    make = planting.plant_set if dims == "3" else planting_images.plant_images
    return make(source, output, lesions=lesions, **arguments)
