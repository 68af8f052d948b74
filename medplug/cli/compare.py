"""`medplug compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.progress import Progress

from ..comparison_figures import Comparison
from .columns import data_options, take
from .common import device_option, err, json_option, out, output_option, print_json, print_notes, print_warnings, table


@click.command("compare")
@click.argument("model_a", type=click.Path(path_type=Path))
@click.argument("model_b", type=click.Path(path_type=Path))
@click.argument("data", required=False)
@click.option(
    "--on", "split", type=click.Choice(["test", "val", "train"]), default="test", show_default=True, help="The rows."
)
@click.option("--resamples", type=click.IntRange(min=0), default=1000, show_default=True, help="Bootstrap draws.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@data_options
@output_option(False, "The folder for comparison.json and comparison.html.  [default: none is written]")
@device_option
@json_option
def command(
    model_a: Path, model_b: Path, data: str | None, output: Path | None, as_json: bool, **arguments: Any
) -> None:
    """Tell whether MODEL_A is better than MODEL_B, on the same rows, with intervals of the difference.

    Without DATA both must have been trained on the same data, by the same split: its test rows are taken.
    """
    from ..evaluation import dataset_of
    from ..evaluation.comparison import compare, write
    from ..model_folder import load
    from ..writers.reports import comparison_report

    options = take(arguments)
    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        bar = progress.add_task("comparing", total=None)

        def advance(done: int, total: int) -> None:
            progress.update(bar, completed=done, total=total)

        made = compare(model_a, model_b, data, data_options=options, progress=advance, **arguments)
    if as_json:
        print_json(made)
    else:
        _print(made)
    if output is not None:
        write(made, output)
        cases = dataset_of(load(model_a), data, options).cases
        err.print(f"report: {comparison_report(made, output, cases)}")


def _print(made: Comparison) -> None:
    clustered = f", {made.patients} patients ({made.clustered_by})" if made.clustered_by else ""
    out.print(f"{made.rows} {made.split} rows{clustered}; A is {made.a}, B is {made.b}")
    print_warnings(made.warnings, made.notes)
    rows = table("", "", "A", "B", "A - B", "95 % interval", "better")
    for one in made.differences:
        interval = "" if one.low is None or one.high is None else f"{one.low:+.3f} to {one.high:+.3f}"
        figures = (f"{one.a:.3f}", f"{one.b:.3f}", f"{one.difference:+.3f}")
        rows.add_row(one.name, one.label or "", *figures, interval, (one.verdict or "").upper())
    out.print(rows)
    if made.mcnemar is not None:
        test = made.mcnemar
        out.print(f"right by A alone {test.only_a}, by B alone {test.only_b}: McNemar's exact p {test.p:.3g}")
    for area in made.delong:
        of = "" if area.label is None else f" of {area.label}"
        out.print(
            f"area{of}: A - B {area.difference:+.3f} ({area.low:+.3f} to {area.high:+.3f}), DeLong's p {area.p:.3g}"
        )
    out.print(made.verdict, style="bold")
    print_notes(made.notes)
