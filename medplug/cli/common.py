"""What several commands share: options, the console, and how a result is said in one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ..errors import CallError
from ..model_folder import Card
from ..novelty import NoveltyFit
from ..result import Anomaly, Classification, Generated, Refused, Regression, Result, Segmentation, Skipped


class _Results(Console):
    """A console whose lines, in a pipe, end where their words end: tables are padded for the eye alone."""

    def print(self, *objects: Any, **options: Any) -> None:
        if self.is_terminal:
            super().print(*objects, **options)
            return
        with self.capture() as captured:
            super().print(*objects, **options)
        try:
            self.file.write("\n".join(line.rstrip() for line in captured.get().split("\n")))
            self.file.flush()
        except BrokenPipeError:
            _unheard()


# No markup: what is printed holds file names and plugins' own words, in which [brackets] are only brackets.
# A pipe has no width: what a program reads must not be folded for a terminal.
out = _Results(highlight=False, markup=False, soft_wrap=True, width=None if sys.stdout.isatty() else 400)
err = Console(stderr=True, highlight=False, markup=False, soft_wrap=not sys.stderr.isatty())

device_option = click.option(
    "--device", default="auto", show_default=True, metavar="NAME", help="auto (CUDA where it is), cpu, cuda or cuda:N."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a program to read.")
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace an earlier run's results; other files stay.")


def rates(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, float]:
    """Read LABEL=RATE, repeated; a label may hold an equals sign."""
    read: dict[str, float] = {}
    for value in values:
        label, equals, rate = value.rpartition("=")
        try:
            read[label.strip()] = float(rate)
        except ValueError:
            equals = ""
        if not equals or not label.strip():
            raise click.BadParameter(f"{value!r}: write LABEL=RATE, pneumonia=0.05 for instance")
    return read


def output_option(required: bool, text: str) -> Callable[[Any], Any]:
    """Return the `-o` option, which is told at once where nothing can be written."""
    kind = click.Path(path_type=Path)
    return click.option(
        "-o", "--output", type=kind, required=required, metavar="DIR", help=text, callback=_check_output
    )


def _check_output(context: click.Context, parameter: click.Parameter, output: Path | None) -> Path | None:
    if output is not None:
        check_writable(output)
    return output


def check_writable(folder: Path) -> None:
    """Raise `CallError` where `folder` cannot be made or written into: before the work, not after it.

    Permissions do not tell: of a share that is mounted read-only they say yes. So a folder is made there, and removed.
    """
    there = next(path for path in (folder, *folder.parents) if path.exists())  # the last is / or .
    if not there.is_dir():
        raise CallError(f"{there} is a file; name a folder for the results")
    try:
        with TemporaryDirectory(prefix=".medplug-", dir=there):
            pass
    except OSError as error:
        raise CallError(f"{folder} cannot be written ({error.strerror}): name another folder with -o") from error


@contextmanager
def reading() -> Iterator[Callable[[int, int], None]]:
    """Show how many files of a folder are read, on standard error; yields what wants to be told."""
    columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Redirected, lines of results appear above the bar; into a pipe they must go as they are.
    with Progress(
        *columns, console=err, transient=True, redirect_stdout=sys.stdout.isatty(), disable=not err.is_terminal
    ) as progress:
        task = progress.add_task("reading", total=None)

        def on_read(done: int, found: int) -> None:
            progress.update(task, completed=done, total=found)

        yield on_read


def say(text: str, colour: str | None = None) -> None:
    """Print a line of results. When their reader goes away, as `| head` does, the work itself goes on unheard."""
    try:
        click.secho(text, fg=colour)
        sys.stdout.flush()
    except BrokenPipeError:
        _unheard()


def _unheard() -> None:
    """Let what is still to be printed go nowhere: whoever read it, as `| head` does, has gone away."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_json(value: Any) -> None:
    """Print any of medplug's structures as indented JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=_array), indent=2).decode())


def _array(array: Any) -> Any:
    return {"shape": list(array.shape), "dtype": str(array.dtype)}


def print_warnings(warnings: Sequence[str], notes: Sequence[str]) -> None:
    """Print how many warnings there are, and them in red, before the figures; `print_notes` comes after these."""
    many = "no warnings" if not warnings else f"{len(warnings)} warning{'s' if len(warnings) > 1 else ''}, in red"
    after = f"; {len(notes)} note{'s' if len(notes) > 1 else ''} below the tables" if notes else ""
    out.print(many + after, style="bold red" if warnings else None)
    for warning in warnings:
        out.print(f"warning: {warning}", style="bold red")
    if warnings:
        out.print()


def print_notes(notes: Sequence[str]) -> None:
    """Print what else is to be known of figures."""
    for note in notes:
        out.print(f"note: {note}")


def reason_of(source: str, outcome: Refused | Skipped) -> str:
    """Return a reason without the name of the source, which stands before it on the line."""
    return outcome.reason.removeprefix(f"{source}: ")


def describe(result: Result) -> str:
    """Say a result's outcome in a few words."""
    prediction = result.prediction
    if isinstance(prediction, Refused):
        return f"refused ({prediction.code}): {reason_of(result.case.source, prediction)}"
    if isinstance(prediction, Skipped):
        return f"skipped: {reason_of(result.case.source, prediction)}"
    unverified = f"  [unverified: {', '.join(result.unverified)}]" if result.unverified else ""
    return _answer(prediction) + unverified + _unlike(result)


def _unlike(result: Result) -> str:
    novelty = result.novelty
    if novelty is None or not novelty.novel:
        return ""
    return f"  [unlike what the model was trained on: novelty {novelty.score:.3g}, limit {novelty.limit:.3g}]"


def _answer(prediction: Any) -> str:
    if isinstance(prediction, Classification):
        ranked = sorted(prediction.probabilities.items(), key=lambda pair: -pair[1])[:3]
        words = ", ".join(f"{name} {probability:.2f}" for name, probability in ranked)
        if prediction.abstained:
            return f"abstained, not sure enough: {words}"
        if prediction.positive is None:
            return words
        return f"{words}; at its threshold: {', '.join(prediction.positive) or 'none'}"
    if isinstance(prediction, Anomaly):
        verdict = {True: " (anomalous)", False: " (not anomalous)", None: ""}[prediction.anomalous]
        return f"anomaly score {prediction.score:.4g}{verdict}"
    if isinstance(prediction, Segmentation) and prediction.mask is not None:
        counts = [int((prediction.mask == n + 1).sum()) for n in range(len(prediction.labels))]
        return ", ".join(f"{name}: {count} pixels" for name, count in zip(prediction.labels, counts))
    if isinstance(prediction, Regression):
        return ", ".join(f"{name} {value:.4g}" for name, value in prediction.values.items())
    assert isinstance(prediction, Generated)
    return f"synthetic image {prediction.index} of seed {prediction.seed}"


def colour(result: Result) -> str | None:
    """Return the colour in which a result is printed."""
    novel = result.novelty is not None and result.novelty.novel
    return "yellow" if result.refused or novel else None if result.answered else "bright_black"


def table(*columns: str, title: str | None = None) -> Table:
    """Return a plain table for the console."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def describe_thresholds(card: Card) -> list[str]:
    """Say a card's calibration and thresholds, a line each, with the rows that they come from."""
    lines = []
    if card.calibration is not None:
        calibration = card.calibration
        lines.append(
            f"temperature {calibration.temperature:.3f}, fitted on {calibration.rows} {calibration.split} rows"
        )
    for one in card.thresholds:
        rates = "".join(
            f", {name} {rate:.3f}"
            for name, rate in (("sensitivity", one.sensitivity), ("specificity", one.specificity))
            if rate is not None
        )
        lines.append(f"{one.label} from {one.value:.4g} ({one.how} on {one.rows} {one.split} rows{rates})")
    more = len(set(card.operating_points) - set(card.thresholds))
    if more:
        lines.append(f"{more} more operating points are stored: see `medplug operate`")
    return lines


def describe_novelty(fit: NoveltyFit) -> str:
    """Say from where on a case is novel, and by which rows."""
    return f"limit {fit.limit:.3g} ({ordinal(fit.percentile)} percentile of {fit.rows} {fit.split} rows)"


def ordinal(number: float) -> str:
    """Return 96th for 96, and 97.5th for 97.5."""
    last = int(number) % 10 if number == int(number) and int(number) % 100 not in (11, 12, 13) else 0
    return f"{number:g}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(last, 'th') }"
