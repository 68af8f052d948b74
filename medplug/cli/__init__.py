"""The command line: parse, call, print. Progress on standard error, results on standard output."""

from __future__ import annotations

import os
import sys
import threading
from importlib import import_module

import click

_COMMANDS = {
    "demo": ("demo", "The whole tour on synthetic radiographs; ends with a report."),
    "plugins": ("plugins", "What is installed, and what is in quarantine and why."),
    "show": ("show", "A model's card: labels, contract, preprocessing, metrics, thresholds."),
    "train": ("train", "Train a plugin's model on labelled images."),
    "evaluate": ("evaluate", "Measure a model on held-out rows, with intervals."),
    "operate": ("operate", "Show a model's operating points, or put another in force."),
    "compare": ("compare", "Tell whether one model is better than another, on the same rows."),
    "run": ("run", "Answer images: JSON, a report, files beside the study."),
    "send": ("send", "Send DICOM to a PACS, by C-STORE or STOW-RS."),
    "listen": ("listen", "Take studies from a PACS, answer them, and send the results."),
    "generate": ("generate", "Make synthetic images with a generative model."),
    "plant": ("plant", "Make labelled volumes or images: plant lesions into real ones."),
    "verify": ("verify", "Check that a model folder still does what it did."),
    "bench": ("bench", "Measure medplug on this machine, beside its peers."),
    "schema": ("schema", "Print the JSON Schema of what medplug writes."),
}


class _Lazy(click.Group):
    """Imports a command's module when it is asked for, so that help costs nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f".{_COMMANDS[cmd_name][0]}", __name__).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="medplug", prog_name="medplug")
def cli() -> None:
    """A medical image in, a model's answer out, in the source's own terms.

    Exit codes: 0 done; 1 an input was refused, none was found, or a check failed; 2 the call was wrong; 130
    interrupted.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: an error of medplug's becomes one line on standard error."""
    from ..errors import MedplugError, NodeError, TrainingError, WriterError

    try:
        code = cli.main(args=arguments, prog_name="medplug", standalone_mode=False)
    except click.exceptions.Exit as end:
        code = end.exit_code
    except click.ClickException as error:
        error.show()
        code = 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        code = 130
        _leave_threads_behind(code)
    except BrokenPipeError:
        # The reader of our output has gone, as `| head` does; nothing is left to say to it.
        sys.stderr.close()
        code = 0
    except (NodeError, TrainingError, WriterError, OSError) as error:
        click.secho(f"Error: {error}", fg="red", err=True)
        code = 1
    except MedplugError as error:
        click.secho(f"Error: {error}", fg="red", err=True)
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


def _leave_threads_behind(code: int) -> None:
    """End the process here if Ctrl-C, pressed again, came while Python waited for a thread.

    Up to 3.12 Python then takes the thread for ended (CPython issue 90882), goes down while it still runs native code,
    and is aborted. Such a thread is listed and not alive.
    """
    if any(not thread.is_alive() for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
