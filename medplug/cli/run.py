"""`medplug run`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click
import msgspec

from ..explain import METHOD, Method
from ..selection import selection_of
from ..session import Answer
from ..sources import Tilt
from .common import (
    colour,
    describe,
    device_option,
    err,
    json_option,
    output_option,
    overwrite_option,
    reading,
    reason_of,
    say,
)

if TYPE_CHECKING:
    from ..running import Preview


@click.command("run")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("source", nargs=-1, required=True)
@output_option(False, "The folder for the results. Needed unless --dry-run.")
@click.option(
    "--write",
    default="json,html",
    show_default=True,
    metavar="NAME,...",
    help="What to write: json, html, dicom-sr, dicom-seg, dicom-seg-fractional, dicom-map, dicom-capture, "
    "and plugins' own.",
)
@click.option("--explain", is_flag=True, help="Add a map of where the model looked.")
@click.option("--label", metavar="LABEL", help="With --explain: the label to explain, instead of the model's answer.")
@click.option("--abstain", is_flag=True, help="Withhold the answers that the model is least sure of.")
@click.option(
    "--method",
    type=click.Choice(get_args(Method)),
    metavar="NAME",
    help="With --explain: grad-cam (the default), integrated-gradients, or occlusion, which is slow and plain.",
)
@click.option(
    "--select",
    "selected",
    multiple=True,
    metavar="NAME=VALUE",
    help="Analyse only this: modality, body_part, view, description (a pattern: '*chest*') or min_slices. Repeatable.",
)
@click.option(
    "--tilt",
    type=click.Choice(get_args(Tilt)),
    default="refuse",
    show_default=True,
    help="What becomes of a series whose slices are tilted, or at uneven distances.",
)
@click.option(
    "--refuse-novel", is_flag=True, help="Refuse what is unlike what the model was trained on, instead of marking it."
)
@click.option("--dry-run", is_flag=True, help="Say what would be analysed, and read no pixel.")
@click.option("--batch-size", type=click.IntRange(min=1), default=16, show_default=True)
@device_option
@overwrite_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    model: Path,
    source: tuple[str, ...],
    output: Path | None,
    write: str,
    explain: bool,
    label: str | None,
    abstain: bool,
    method: Method | None,
    selected: tuple[str, ...],
    tilt: Tilt,
    refuse_novel: bool,
    dry_run: bool,
    batch_size: int,
    device: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Answer every image of each SOURCE (a file, a folder, a study's URL) with MODEL, a folder made by `medplug train`.

    Every file appears in the results: answered, refused with the reason, or skipped. One line each on standard output.
    """
    if label is not None and not explain:
        raise click.UsageError("--label goes with --explain")
    if method is not None and not explain:
        raise click.UsageError("--method goes with --explain")
    writers = [name.strip() for name in write.split(",") if name.strip()]
    explanations = (label or True) if explain else False
    select = selection_of(selected)
    if dry_run:
        from ..running import preview

        with reading() as on_read:
            previews = preview(
                model,
                list(source),
                write=writers,
                explanations=explanations,
                output=output,
                select=select,
                tilt=tilt,
                on_read=on_read,
            )
            code = _preview(previews, as_json)
        ctx.exit(code)
    if output is None:
        raise click.UsageError("-o DIR is needed: where shall the results go?")
    from ..running import run

    def tell(answer: Answer) -> None:
        result = answer.result
        if as_json:
            say(msgspec.json.encode(result, enc_hook=lambda array: {"shape": list(array.shape)}).decode())
        else:
            say(f"{result.case.source}: {describe(result)}", colour(result))

    with reading() as on_read:
        summary = run(
            model,
            list(source),
            output,
            write=writers,
            explanations=explanations,
            abstain=abstain,
            method=method or METHOD,
            device=device,
            batch_size=batch_size,
            novel="refuse" if refuse_novel else "flag",
            overwrite=overwrite,
            select=select,
            tilt=tilt,
            on_answer=tell,
            on_read=on_read,
        )
    err.print(
        f"{summary.answered} answered, {summary.refused} refused, {summary.skipped} skipped; "
        f"written to {summary.output}",
        markup=False,
    )
    if summary.novel is not None and summary.compared:
        err.print(f"{summary.novel} of {summary.compared} unlike what the model was trained on", markup=False)
    for note in summary.notes:
        err.print(note, markup=False)
    ctx.exit(1 if summary.refused or not summary.answered else 0)


def _preview(previews: Iterator[Preview], as_json: bool) -> int:
    """Print what a run would do, and return its exit code."""
    counts: Counter[str] = Counter()
    for one in previews:
        kind = "analysed" if one.outcome is None else type(one.outcome).__name__.lower()
        counts[kind] += 1
        if as_json:
            fields = {"outcome": one.outcome, "shape": one.shape, "unverified": one.unverified}
            say(msgspec.json.encode({"case": one.reference, **fields}).decode())
        elif one.outcome is None:
            unverified = f"  [unverified: {', '.join(one.unverified)}]" if one.unverified else ""
            say(f"{one.reference.source}: would be analysed at {' x '.join(map(str, one.shape))}{unverified}")
        else:
            say(f"{one.reference.source}: {kind}: {reason_of(one.reference.source, one.outcome)}")
    err.print(
        f"{counts['analysed']} would be analysed, {counts['refused']} refused, {counts['skipped']} skipped; "
        "nothing was written",
        markup=False,
    )
    return 1 if counts["refused"] or not counts["analysed"] else 0
