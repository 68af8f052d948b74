"""`medplug schema`."""

from __future__ import annotations

import json

import click


@click.command("schema")
@click.argument("name", type=click.Choice(["result"]))
def command(name: str) -> None:
    """Print the JSON Schema (2020-12) of NAME."""
    from ..result import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
