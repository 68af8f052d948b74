"""`medplug plugins`."""

from __future__ import annotations

import click

from .common import json_option, out, print_json, table


@click.command("plugins")
@json_option
def command(as_json: bool) -> None:
    """List the models that are installed, and the plugins in quarantine with the reason."""
    from ..plugins import discover

    host = discover()
    if as_json:
        print_json(
            {
                "models": [
                    {
                        "name": offer.name,
                        "distribution": offer.distribution,
                        "distribution_version": offer.distribution_version,
                        "version": offer.model.version,
                        "task": offer.task,
                        "kind": offer.kind,
                        "note": offer.note,
                    }
                    for offer in host.offers
                ],
                "quarantined": [
                    {"entry_point": one.entry_point, "distribution": one.distribution, "reason": one.reason}
                    for one in host.quarantined
                ],
            }
        )
        return
    rows = table("model", "task", "kind", "from", "")
    for offer in host.offers:
        origin = f"{offer.distribution} {offer.distribution_version}"
        rows.add_row(offer.name, offer.task.value, offer.kind, origin, offer.note or "")
    out.print(rows)
    if host.quarantined:
        out.print()
        rows = table("in quarantine", "from", "reason")
        for one in host.quarantined:
            rows.add_row(one.entry_point, one.distribution, one.reason, style="yellow")
        out.print(rows)
