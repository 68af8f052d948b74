"""Whether the kernels became slower: `python -m medplug.bench.against [COMMIT]`, the parent if none is named.

Both builds run the same work in turns, in a process each. Exit code 0: no item is slower, or there is nothing to
compare; 1: one is slower by more than the limit, twice in a row.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click

from ..errors import CallError, MedplugError
from . import earlier
from .earlier import NothingToCompare

LIMIT = 1.15
"""How many times as much CPU time as before is still no loss: machines are noisy."""

ITEMS = ("radiograph-512", "radiograph-1024", "radiograph-turned", "radiograph-batch", "ct", "ct-turned", "tiles")
ROUNDS, MORE_ROUNDS = 5, 15

Ratios = dict[str, list[float]]
"""By item and round, the CPU time of these kernels over that of the earlier ones."""

Measure = Callable[[Sequence[str], int], Ratios]


def slower(ratios: Mapping[str, Sequence[float]], limit: float = LIMIT) -> list[str]:
    """Return the items whose median ratio is above the limit."""
    return [name for name, values in ratios.items() if values and statistics.median(values) > limit]


def decide(measure: Measure, items: Sequence[str], say: Callable[[str], None], limit: float = LIMIT) -> list[str]:
    """Measure once, and what seems slower again in more rounds; return what is slower both times."""
    suspects: Sequence[str] = items
    for rounds in (ROUNDS, MORE_ROUNDS):
        ratios = measure(suspects, rounds)
        suspects = slower(ratios, limit)
        for name, values in ratios.items():
            median = statistics.median(values)
            say(f"{name:18} {median:.2f} times the CPU time of before{'  SLOWER' if name in suspects else ''}")
        if not suspects:
            break
        say(f"in {rounds} rounds: {', '.join(suspects)} slower")
    return list(suspects)


class Rival:
    """A process with one build of the kernels."""

    def __init__(self, extension: Path) -> None:
        command = [sys.executable, "-m", "medplug.bench.rival", str(extension)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self._answer()
        except NothingToCompare:
            self.close()
            raise

    def seconds(self, item: str, turns: int = 1) -> float:
        """Return the CPU time of one call, the median of `turns`; `NothingToCompare` if it cannot be run."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([item, turns]) + "\n")
        self._process.stdin.flush()
        return statistics.median(self._answer()["seconds"])

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=60)

    def _answer(self) -> dict[str, list[float]]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer: dict[str, list[float]] = json.loads(line) if line else {}
        if not answer or "problem" in answer:
            raise NothingToCompare(str(answer.get("problem", "the process ended")))
        return answer


def race(now: Path, before: Path, items: Sequence[str], rounds: int) -> Ratios:
    """Run the items in turns with two builds. `NothingToCompare` if the earlier one cannot; ours must."""
    ratios: Ratios = {}
    rivals: list[Rival] = []
    try:
        try:
            rivals.append(Rival(now))
            for item in items:
                rivals[0].seconds(item)
        except NothingToCompare as problem:
            raise CallError(f"the kernels as they are do not run: {problem}") from None
        rivals.append(Rival(before))
        for item in items:
            rivals[1].seconds(item)
            ratios[item] = []
            for n in range(rounds):
                order = rivals if n % 2 == 0 else rivals[::-1]
                taken = {rival: rival.seconds(item) for rival in order}
                ratios[item].append(taken[rivals[0]] / taken[rivals[1]])
    finally:
        for rival in rivals:
            rival.close()
    return ratios


@click.command("against")
@click.argument("commit", default="HEAD~1")
@click.option(
    "--checkout", type=click.Path(path_type=Path, exists=True), default=".", help="The folder of the project's sources."
)
@click.option("--extension", type=click.Path(path_type=Path, exists=True), help="Another build to judge than ours.")
def command(commit: str, checkout: Path, extension: Path | None) -> None:
    """Compare the kernels with those of COMMIT and fail if an item became slower."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            before = earlier.build(checkout, earlier.find(checkout, commit), Path(folder))
            lost = decide(
                lambda items, rounds: race(extension or _installed(), before, items, rounds), ITEMS, click.echo
            )
    except NothingToCompare as reason:
        click.echo(f"nothing to compare: {reason}")
        return
    except MedplugError as error:
        raise click.ClickException(str(error)) from error
    if lost:
        click.echo(f"slower than {commit} by more than {LIMIT - 1:.0%}: {', '.join(lost)}", err=True)
        sys.exit(1)


def _installed() -> Path:
    from .. import _kernels

    assert _kernels.__file__ is not None
    return Path(_kernels.__file__)


if __name__ == "__main__":
    command()
