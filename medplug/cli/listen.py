"""`medplug listen`."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path

import click

from .common import err, json_option, out, print_json, say, table


@click.command("listen")
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Say what is wrong with CONFIG and its models, and serve nothing.")
@click.option("--echo", is_flag=True, help="With --check: ask the destination, too.")
@click.option("--status", is_flag=True, help="List the studies of the queue, whether a listener runs or not.")
@click.option("--retry", metavar="STUDY", help="Try again now what failed or waits of a study, or of `all`.")
@click.option("--drop", metavar="STUDY", help="Forget a study and what of it has not been delivered.")
@json_option
def command(
    config: Path, check: bool, echo: bool, status: bool, retry: str | None, drop: str | None, as_json: bool
) -> None:
    """Take studies from a PACS, answer each with models when it is quiet, and send the results, as CONFIG (TOML) says.

    Stops at Ctrl-C or SIGTERM, when what is being stored has been acknowledged. What it has acknowledged survives a
    kill; results wait until their destination is there.
    """
    if sum((check, status, retry is not None, drop is not None)) > 1:
        raise click.UsageError("--check, --status, --retry and --drop are one at a time")
    if echo and not check:
        raise click.UsageError("--echo goes with --check")
    if as_json and not status:
        raise click.UsageError("--json goes with --status")
    from ..pacs import listen as service
    from ..pacs.config import read_config

    settings = read_config(config)
    if check:
        service.check(settings, echo=echo)
        models = len(settings.models)
        ready = "1 model is" if models == 1 else f"{models} models are"
        say(f"{config}: {ready} ready; results go to {settings.destination}")
    elif retry is not None:
        say(f"{service.retry(settings, retry)} studies are tried again")
    elif drop is not None:
        say(f"{service.drop(settings, drop)} studies are forgotten")
    elif status:
        lines = service.queue(settings)
        if as_json:
            print_json(lines)
            return
        rows = table("study", "state", "instances", "results", "study instance uid", "reason")
        for line in lines:
            results = f"{line.sent} of {line.sent + line.unsent}"
            rows.add_row(line.short, line.state, str(line.instances), results, line.study, line.reason or "")
        out.print(rows)
    else:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
        logging.getLogger("medplug.pacs").setLevel(logging.INFO)
        service.listen(settings, stop)
        err.print("stopped")
