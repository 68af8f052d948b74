"""`medplug bench`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from . import bench_models
from .columns import comma
from .common import device_option, err, out, table


@click.group("bench")
def command() -> None:
    """Measure medplug on this machine, beside the libraries that are installed."""


command.add_command(bench_models.command)


@command.command("kernels")
@click.option("--items", callback=comma, metavar="NAME,...", help="Which work items.  [default: all]")
@click.option("--threads", callback=comma, default="1,2", show_default=True, metavar="N,...", help="How many threads.")
@click.option("--rounds", type=click.IntRange(1), default=15, show_default=True, help="How often each has its turn.")
@click.option(
    "--peer",
    "peers",
    multiple=True,
    metavar="NAME",
    help="A library to compare with, or none; may be repeated.  [default: all that are installed]",
)
@click.option("--small", is_flag=True, help="Small images: a test of the benchmark, no measurement.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write it all."
)
@click.option("--svg", "svg_file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Draw it.")
@click.pass_context
def kernels(
    ctx: click.Context,
    items: tuple[str, ...],
    threads: tuple[str, ...],
    rounds: int,
    peers: tuple[str, ...],
    small: bool,
    json_file: Path | None,
    svg_file: Path | None,
) -> None:
    """Time the preprocessing of radiographs, CTs, masks and small pictures, by medplug and by its peers.

    Every answer is compared with a slow one in float64 before it is timed; one that is wrong has no time. The peers
    are opencv, torch, pillow, simpleitk, scipy and monai. Exit code 1: an answer of medplug's was wrong.
    """
    # Threads of a library that has finished must not spin while the next one has its turn. Read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from ..bench import main, tables
    from ..bench import peers as libraries
    from ..bench.items import ITEMS

    try:
        counts = [int(count) for count in threads]
    except ValueError:
        raise click.BadParameter("write numbers, such as 1,2", param_hint="--threads") from None
    for file in (json_file, svg_file):
        if file is not None and not file.absolute().parent.is_dir():  # said before the minutes that it takes
            raise click.UsageError(f"{file}: {file.parent} is no folder")
    chosen = libraries.choose(None if not peers else [] if peers == ("none",) else peers)
    with err.status("") as status:
        report = main.run(items or tuple(ITEMS), counts, rounds, chosen, small, status.update)
    for line in tables.describe(report.machine):
        out.print(line)
    for item in report.items:
        for count in report.threads:
            rows = table(*tables.COLUMNS, title=f"\n{tables.heading(item.title, count)}")
            for row in report.of(item.name, count):
                style = "red" if row.seconds is None else "bold" if row.library == "medplug" else ""
                rows.add_row(*tables.cells(row), style=style)
            out.print(rows)
    if json_file is not None:
        json_file.write_bytes(report.to_json())
    if svg_file is not None:
        from ..bench.chart import svg

        svg_file.write_text(svg(report), encoding="utf-8")
    ctx.exit(1 if any(row.library == "medplug" and row.seconds is None for row in report.rows) else 0)


@command.command("stream")
@click.argument("source", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--size", type=click.IntRange(32, 4096), default=224, show_default=True, help="What they are resized to.")
@click.option("--batch", "batch_size", type=click.IntRange(1), default=64, show_default=True, help="Images a batch.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Threads that prepare.  [default: one a core]")
@click.option("--images", type=click.IntRange(1), default=2000, show_default=True, help="Files to make without SOURCE.")
@click.option("--side", type=click.IntRange(16), default=1024, show_default=True, help="Rows and columns of those.")
@device_option
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write it all."
)
def stream(
    source: Path | None,
    size: int,
    batch_size: int,
    workers: int | None,
    images: int,
    side: int,
    device: str,
    json_file: Path | None,
) -> None:
    """Time the way of whole files through a network: SOURCE, or radiographs that are made for it.

    Files are read, prepared and put into batches by threads (`medplug.batches`), and an untrained ResNet-18 answers, in
    bfloat16 on CUDA and in float32 on a CPU. Each stage is timed by itself, then all together.
    """
    import tempfile

    import msgspec

    from ..bench import stream as flow

    if json_file is not None and not json_file.absolute().parent.is_dir():
        raise click.UsageError(f"{json_file}: {json_file.parent} is no folder")
    with tempfile.TemporaryDirectory(prefix="medplug-bench-") as folder, err.status("making files") as status:
        if source is None:
            source = Path(folder)
            flow.make_files(source, images, side)
        made = flow.run(
            source, size=size, batch_size=batch_size, device=device, workers=workers, progress=status.update
        )
    for line in flow.describe(made):
        out.print(line)
    rows = table(*flow.COLUMNS)
    for cells in flow.cells(made):
        rows.add_row(*cells)
    out.print(rows)
    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
