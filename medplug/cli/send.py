"""`medplug send`."""

from __future__ import annotations

from pathlib import Path

import click
from rich.progress import Progress

from .common import err, say


@click.command("send")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--to", required=True, metavar="URL", help="dimse://CALLED@host:port or dicomweb://host:port/path.")
@click.pass_context
def command(ctx: click.Context, files: tuple[Path, ...], to: str) -> None:
    """Send DICOM FILES, or the DICOM in folders, to a node by C-STORE or STOW-RS, in their order and as they are.

    dimses:// and dicomwebs:// are the same over TLS. Behind the URL: ?calling=AETITLE&ca=FILE&cert=FILE&key=FILE.
    One line for each file that the node refuses; the exit code is then 1.
    """
    from ..errors import CallError
    from ..nodes import Address
    from ..pacs.send import deliver, outgoing

    node, found = Address.parse(to), list(outgoing(files))
    if not found:
        raise CallError(f"no DICOM lies in {', '.join(map(str, files))}")
    refused = 0
    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        bar = progress.add_task("sending", total=len(found))
        for sent in deliver(found, node):
            progress.advance(bar)
            if sent.refused:
                refused += 1
                say(f"{sent.path}: refused: {sent.refused}", "yellow")
            elif sent.note:
                say(f"{sent.path}: stored, with a warning: {sent.note}")
    err.print(f"{len(found) - refused} stored, {refused} refused by {node}")
    ctx.exit(1 if refused else 0)
