"""`medplug operate`."""

from __future__ import annotations

from pathlib import Path

import click

from ..model import Task
from .common import device_option, err, json_option, out, print_json
from .operating_tables import print_points


@click.command("operate")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--at", "aim", metavar="AIM", help="youden, sensitivity=0.95 or specificity=0.9: at least that rate.")
@click.option("--label", "labels", multiple=True, metavar="LABEL", help="With --at: this label alone; repeatable.")
@click.option(
    "--coverage",
    type=click.FloatRange(min=0, max=1, min_open=True),
    metavar="PART",
    help="Answer about this part of the images and abstain from the least sure; 1 answers all.",
)
@device_option
@json_option
def command(
    model: Path, aim: str | None, labels: tuple[str, ...], coverage: float | None, device: str, as_json: bool
) -> None:
    """Show the operating points of MODEL, or put another in force.

    A point that is not stored is chosen now, on the validation rows of the data that MODEL was trained on, no others.
    """
    from ..evaluation.in_force import put_abstention_in_force, put_in_force
    from ..evaluation.operating_points import aim_of
    from ..model_folder import read_card

    if labels and aim is None:
        raise click.UsageError("--label goes with --at")
    card = read_card(model)
    if aim is not None:
        chosen = put_in_force(model, aim_of(aim), labels, device=device)
        card = chosen.card
        for note in chosen.notes:
            err.print(f"note: {note}")
    if coverage is not None:
        card = put_abstention_in_force(model, coverage, device=device)
    if as_json:
        print_json(
            {
                "in_force": card.thresholds,
                "operating_points": card.operating_points,
                "abstention": card.abstention,
            }
        )
        return
    if not (card.operating_points or card.thresholds or card.abstention):
        why = "" if card.task in (Task.CLASSIFICATION, Task.ANOMALY) else f": its task is {card.task}"
        out.print(f"{model} has no operating points{why}")
        return
    print_points(card.operating_points, card.thresholds, card.abstention)
