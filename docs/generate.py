"""Write the pages that the program itself dictates: `python docs/generate.py`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click

HERE = Path(__file__).resolve().parent
WIDTH = 100

HEAD = """\
# Command line

<!-- Written by docs/generate.py from the program itself; a test compares them. -->

Results go to standard output, progress and everything else to standard error. With `--json`, where a command has it, a
program can read the results.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a named input was refused or could not be read, or a check failed |
| 2 | the call was wrong: an argument, an option, a combination, or a model folder that cannot be used |
| 130 | interrupted with Ctrl-C; what was finished is kept |
"""


def command_line() -> str:
    """Return the page of the command line: the help of every command."""
    from medplug.cli import cli

    parts = [HEAD]
    root = click.Context(cli, info_name="medplug", terminal_width=WIDTH, **cli.context_settings)
    parts.append(f"## medplug\n\n```text\n{cli.get_help(root)}\n```\n")
    return "\n".join([*parts, *commands(cli, root)])


def commands(group: click.Group, above: click.Context) -> Iterator[str]:
    """Yield the help of each command of a group, and of a group's own commands."""
    for name in group.list_commands(above):
        command = group.get_command(above, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=above, terminal_width=WIDTH)
        yield f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
        if isinstance(command, click.Group):
            yield from commands(command, context)


def result_schema() -> str:
    """Return what `medplug schema result` prints."""
    from medplug.result import json_schema

    return json.dumps(json_schema(), indent=2) + "\n"


MODELS = """\
# Models, measured

<!-- Written by docs/generate.py from models.jsonl; a test compares them. -->

Every final run that was ever made on the test rows of a known data set, in the order in which they were made: the
first look at test rows is worth more than the fifth. `medplug bench models --final` adds to the log from which this
page is made. Recipes were chosen by cross-validation on train rows; [Measure models](../how-to/bench-models.md) says
how, and how the intervals are made. Images of one hospital share its habits, and none of these figures says how a
model does elsewhere.

The log began on 2026-11-27. Before it, PneumoniaMNIST's test rows had been scored for earlier recipes, one of the CNN
(accuracy 0.952, AUC 0.985) and two of the autoencoder (AUROC 0.860, and 0.886 to 0.906 over five seeds), and those of
cxr-kermany for the novelty of an earlier CNN (2.3 % of its own rows marked). The recipes that followed were chosen
without them, but by people who knew that validation rows flatter. The second run of the GAN is of the same networks:
what changed is how the small classifiers that judge images are taught, chosen by how they learn from real ones.
"""


def models() -> dict[str, str]:
    """Return the page of all final runs, and its picture where there are any."""
    from medplug.bench.models import chart, goals, log, table

    runs = log.read(HERE / "benchmarks" / "models.jsonl")
    page = f"{MODELS}\n{table.markdown(runs)}"
    if not runs:
        return {"benchmarks/models.md": page}
    picture = "![The newest run of each model on each data set](models.svg)\n"
    return {
        "benchmarks/models.md": f"{page}\n{picture}",
        "benchmarks/models.svg": chart.svg(table.newest(runs), goals.GOALS),
    }


def pages() -> dict[str, str]:
    """Return the generated files by their path below docs/."""
    return {"reference/command-line.md": command_line(), "reference/result-schema.json": result_schema(), **models()}


if __name__ == "__main__":
    for name, text in pages().items():
        (HERE / name).write_text(text)
