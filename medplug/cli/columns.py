"""The options that say what the columns of a table mean, and those of models; several commands share them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..dataset import DataOptions


def comma(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Read "CR,DX" as two values."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if value else ()


def settings(ctx: click.Context, parameter: click.Parameter | None, values: tuple[str, ...]) -> dict[str, str]:
    """Read "width=48" as the setting of an option."""
    found = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals:
            raise click.BadParameter(f"{value!r}: write key=value")
        found[key.strip()] = text.strip()
    return found


def data_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; `take` turns them into `DataOptions`."""
    for option in reversed(
        (
            click.option(
                "--label",
                "label",
                multiple=True,
                metavar="COLUMN",
                help="The column with the label; repeated, each column is a label of its own (0 or 1).",
            ),
            click.option(
                "--patient", metavar="COLUMN", help="The column that names the patient; patients stay together."
            ),
            click.option("--split", "split_column", metavar="COLUMN", help="The column that says train, val or test."),
            click.option("--mask", metavar="COLUMN", help="The column with the file of the reference mask."),
            click.option(
                "--labels",
                "label_file",
                type=click.Path(path_type=Path, dir_okay=False),
                metavar="FILE",
                help="JSON with the names of labels and their SNOMED CT codes.",
            ),
        )
    ):
        function = option(function)
    return function


def take(arguments: dict[str, Any], **more: Any) -> DataOptions:
    """Take the options above out of a command's arguments."""
    return DataOptions(
        labels=tuple(arguments.pop("label")),
        patient=arguments.pop("patient"),
        split=arguments.pop("split_column"),
        mask=arguments.pop("mask"),
        label_file=arguments.pop("label_file"),
        **more,
    )
