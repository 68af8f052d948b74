"""`medplug show`."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from ..model import Constraint, Span
from ..model_folder import Card
from .common import describe_novelty, json_option, out, print_json, table
from .operating_tables import print_points


@click.command("show")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--card", "as_card", is_flag=True, help="Print the model card in Markdown: for whom it is, and for whom not."
)
@json_option
def command(model: Path, as_card: bool, as_json: bool) -> None:
    """Print the card of MODEL; neither its plugin nor its weights are loaded."""
    from ..model_folder import checked_preprocessing, read_card

    card = read_card(model)
    preprocessing = checked_preprocessing(card, model)
    if as_json:
        print_json(card)
        return
    if as_card:
        from ..writers.model_card import markdown

        click.echo(markdown(card))
        return
    rows = table("", "")
    rows.show_header = False
    plugin = card.plugin
    rows.add_row(
        "plugin", f"{plugin.name} {plugin.model_version} of {plugin.distribution} {plugin.distribution_version}"
    )
    rows.add_row("task", card.task)
    rows.add_row("labels", _labels(card))
    rows.add_row("contract", "\n".join(_contract(card)))
    rows.add_row("preprocessing", f"{preprocessing.to_json()}\nplan {card.plan_id}")
    rows.add_row("options", msgspec.json.encode(card.options).decode())
    if card.training is not None:
        trained = card.training
        counts = ", ".join(f"{count} {split}" for split, count in trained.rows.items())
        rows.add_row(
            "training",
            f"{trained.steps} steps of {trained.batch_size} on {counts} (seed {trained.seed}, {trained.device}, "
            f"{trained.precision}); stopped: {trained.stopped}; best at step {trained.best_step}",
        )
        if trained.pretrained is not None:
            start = trained.pretrained
            rows.add_row("begun from", f"{start.loaded} of {start.tensors} tensors of the file {start.sha256[:12]}")
        if trained.duplicates_dropped:
            rows.add_row("left out", f"{trained.duplicates_dropped} rows whose images stand in a later split")
        for leak in trained.leaks:
            rows.add_row("known to be wrong", leak, style="red")
    if card.calibration is not None:
        calibration = card.calibration
        rows.add_row(
            "calibration",
            f"temperature {calibration.temperature:.3f}, fitted on {calibration.rows} {calibration.split} rows",
        )
    if card.novelty is not None:
        fit = card.novelty
        rows.add_row(
            "novelty", f"{describe_novelty(fit)}, compared with {fit.trained_rows} train rows by {', '.join(fit.parts)}"
        )
    out.print(rows)
    if card.thresholds or card.operating_points or card.abstention is not None:
        out.print()
        print_points(card.operating_points, card.thresholds, card.abstention)
    if card.metrics:
        out.print()
        rows = table("metric", "value", "95 % interval", "on")
        for metric in card.metrics:
            interval = "" if metric.low is None or metric.high is None else f"{metric.low:.3f} to {metric.high:.3f}"
            rows.add_row(metric.name, f"{metric.value:.3f}", interval, f"{metric.rows} {metric.split} rows")
        out.print(rows)
    out.print("\nNot for diagnosis.", style="dim")


def _labels(card: Card) -> str:
    if not card.labels.names:
        return "none"
    codes = card.labels.codes
    named = [
        f"{name} ({codes[name].scheme} {codes[name].value})" if name in codes else name for name in card.labels.names
    ]
    return ", ".join(named) + ("" if card.labels.exclusive else " (each by itself)")


def _contract(card: Card) -> list[str]:
    contract = card.contract
    channels = " or ".join(map(str, contract.channels))
    lines = [f"{contract.dimensions}-D, {channels} channels, one {contract.unit.value} a case"]
    for name in ("modality", "body_part", "view", "photometric", "spacing", "bits"):
        constraint: Constraint | Span | None = getattr(contract, name)
        if isinstance(constraint, Constraint):
            wanted = " or ".join(constraint.values)
        elif isinstance(constraint, Span):
            wanted = f"{constraint.low:g} to {constraint.high:g}"
        else:
            continue
        lines.append(f"{name.replace('_', ' ')} {wanted}; where absent: {constraint.absent}")
    return lines
