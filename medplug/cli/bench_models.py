"""`medplug bench models`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .columns import comma, data_options, settings, take
from .common import device_option, err, out, output_option, table

if TYPE_CHECKING:
    from ..bench.models.goals import Goal
    from ..bench.models.main import Asked, Step
    from ..bench.models.report import Measured
    from ..dataset import DataOptions

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("models")
@click.argument("dataset")
@click.option("--plugin", "plugins", callback=comma, default="cnn", show_default=True, metavar="NAME,...")
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True, help="Seeds 0, 1, ...: how many.")
@click.option("--folds", type=click.IntRange(2), default=3, show_default=True, help="Folds of the train rows.")
@click.option("--final", is_flag=True, help="Train on the train rows, score the test rows, and log it.")
@click.option("--again", is_flag=True, help="With --final: although the log has this recipe on these data.")
@click.option("--log", type=_FILE, metavar="FILE", help="The log of final runs.  [default: that of the checkout]")
@click.option(
    "--set",
    "options",
    multiple=True,
    callback=settings,
    metavar="KEY=VALUE",
    help="One of the models' options, or of the recipe's as recipe.KEY; repeatable.",
)
@click.option(
    "--try",
    "tried",
    multiple=True,
    metavar='"KEY=VALUE ..."',
    help='A variant with these settings beside those of --set; repeated, they are compared. "" is --set alone.',
)
@data_options
@click.option("--normal", metavar="LABEL", help="What an anomaly model learns.  [default: as the known set says]")
@click.option(
    "--pretrained",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Let every training start from a safetensors file or a model folder, where it fits.",
)
@click.option(
    "--features", type=click.Path(path_type=Path), metavar="MODEL", help="For a generator: the classifier that judges."
)
@click.option(
    "--data",
    "root",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="MEDPLUG_TEST_DATA",
    metavar="DIR",
    help="Where the known sets lie.  [env: MEDPLUG_TEST_DATA]",
)
@click.option("--goals", "goal_file", type=_FILE, metavar="FILE", help="JSON with goals instead of the project's own.")
@click.option("--json", "json_file", type=_FILE, metavar="FILE", help="Write it all.")
@click.option("--svg", "svg_file", type=_FILE, metavar="FILE", help="Draw it.")
@output_option(False, "Where trainings are kept, so that the same call goes on.  [default: bench-DATASET]")
@device_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    dataset: str,
    plugins: tuple[str, ...],
    options: dict[str, str],
    tried: tuple[str, ...],
    goal_file: Path | None,
    json_file: Path | None,
    svg_file: Path | None,
    **arguments: Any,
) -> None:
    """Measure how good models are that plugins learn from DATASET, beside trivial baselines.

    DATASET is pneumoniamnist, cxr-kermany or cxr-nih, or a CSV or MedMNIST .npz with a split column. Without --final,
    train rows alone are used, by cross-validation in which patients and equal images stay together: choose a recipe by
    that. With --final the test rows are scored, once for a recipe, and the log says so for ever.

    Exit code 1: the interval of a figure lies beyond its goal. Goals are for test rows, unless --goals names others.
    """
    from ..bench.models import chart, goals, main
    from ..bench.models.recipe import Variant
    from ..bench.models.report import to_json

    for file in (json_file, svg_file):
        if file is not None and not file.absolute().parent.is_dir():  # said before the minutes that it takes
            raise click.UsageError(f"{file}: {file.parent} is no folder")
    wanted = goals.read(goal_file) if goal_file is not None else goals.GOALS if arguments["final"] else ()
    variants = [
        Variant(plugin, {**options, **settings(ctx, None, tuple(text.split()))}, text)
        for plugin in plugins
        for text in tried or ("",)
    ]
    asked = _asked(dataset, take(arguments), variants, **arguments)
    with _shown() as report:
        try:
            measured = main.run(asked, report)
        except KeyboardInterrupt:
            err.print(f"what was finished is kept in {asked.output}: the same call goes on from there")
            raise
    missed = _print(measured, wanted)
    if json_file is not None:
        json_file.write_bytes(to_json(measured))
    if svg_file is not None:
        svg_file.write_text(chart.svg(measured, wanted), encoding="utf-8")
    ctx.exit(1 if missed else 0)


def _asked(
    dataset: str,
    columns: DataOptions,
    variants: list[Any],
    *,
    seeds: int,
    root: Path | None,
    normal: str | None,
    output: Path | None,
    log: Path | None,
    **more: Any,
) -> Asked:
    from ..bench.models import log as logs
    from ..bench.models.main import Asked
    from ..bench.models.rows import read
    from ..bench.models.sets import KNOWN, foreign
    from ..dataset import DataOptions

    known, others = KNOWN.get(dataset), {}
    if known is None:
        if not Path(dataset).exists():
            raise click.UsageError(f"{dataset} is no file and no data set that is known: {', '.join(KNOWN)}")
        rows, name = read(Path(dataset), columns), Path(dataset).name
    else:
        if columns != DataOptions():
            raise click.UsageError(f"{dataset} is known, and so are its columns: name the file to choose others")
        if root is None:
            raise click.UsageError(f"say where {dataset} lies: --data DIR, or MEDPLUG_TEST_DATA")
        rows, name = read(known.find(root), known.options), known.name
        normal = normal or known.normal
        log = log or logs.default()
        others = foreign(root)
    return Asked(
        dataset=name,
        rows=rows,
        variants=variants,
        seeds=range(seeds),
        normal=normal,
        foreign=others,
        output=output or Path(f"bench-{Path(name).stem}"),
        log=log,
        **more,
    )


@contextmanager
def _shown() -> Iterator[Any]:
    """Show trainings done and wanted, and how far the one that runs is; where nobody watches, a line for each."""
    said = ""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[shown]}"),
        TimeElapsedColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    ) as progress:
        whole = progress.add_task("trainings", total=None, shown="")
        part = progress.add_task("", total=None, shown="", visible=False)

        def report(step: Step) -> None:
            nonlocal said
            if not err.is_terminal and step.what != said:
                said = step.what
                err.print(f"{step.done} of {step.wanted or '?'} done: {said}", markup=False)
            progress.update(whole, completed=step.done, total=step.wanted or None, shown=step.what)
            now = step.training
            if now is None:
                progress.update(part, visible=False)
            else:
                losses = "  ".join(f"{name} {value:.4g}" for name, value in now.losses.items())
                progress.update(
                    part, visible=True, description=now.phase, completed=now.step, total=now.steps, shown=losses
                )

        yield report


def _print(measured: tuple[Measured, ...], wanted: tuple[Goal, ...]) -> bool:
    """Print every run, and say whether a goal was missed."""
    from ..bench.models import goals
    from ..bench.models import table as tables

    missed = False
    for one in measured:
        out.print(tables.heading(one))
        for line in tables.describe(one):
            out.print(f"  {line}")
        _rows(tables.columns(one), tables.figure_rows(one))
        if one.margins:
            _rows(tables.margin_columns(one), tables.margin_rows(one))
        judged = goals.judge(one, wanted)
        if judged:
            _rows(tables.GOAL_COLUMNS, tables.goal_rows(judged))
            missed |= any(each.verdict == "missed" for each in judged)
        for note in one.notes:
            out.print(f"note: {note}")
        out.print()
    by_plugin: dict[str, list[Measured]] = {}
    for one in measured:
        by_plugin.setdefault(one.plugin, []).append(one)
    for plugin, variants in by_plugin.items():
        if len(variants) > 1:
            out.print(f"{plugin}: means, and in brackets the differences to the first, paired by patient")
            _rows(*tables.side_by_side(variants))
    return missed


def _rows(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    made = table(*heads)
    for cells in rows:
        red = any(cell.endswith(("MISSED", "NOT BEATEN")) for cell in cells)
        made.add_row(*cells, style="red" if red else "")
    out.print()
    out.print(made)
