"""`medplug verify`."""

from __future__ import annotations

from pathlib import Path

import click

from .common import json_option, out, print_json, table


@click.command("verify")
@click.argument("model", type=click.Path(path_type=Path))
@json_option
@click.pass_context
def command(ctx: click.Context, model: Path, as_json: bool) -> None:
    """Check MODEL station by station: its files, its preprocessing, and what its network makes of golden inputs."""
    from ..golden import verify

    checks = verify(model)
    if as_json:
        print_json(checks)
    else:
        rows = table("station", "", "detail")
        for check in checks:
            rows.add_row(check.station, check.same, check.detail, style="" if check.passed else "red")
        out.print(rows)
        failed = [check.station for check in checks if not check.passed]
        out.print(f"differs: {'; '.join(failed)}" if failed else "verified", markup=False)
    ctx.exit(0 if all(check.passed for check in checks) else 1)
