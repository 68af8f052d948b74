"""Whether the kernels became slower: `python -m medplug.bench.against [COMMIT]`, the parent if none is named.

Both builds run the same work in turns, in a process each. Exit code 0: no item is slower, or there is nothing to
compare; 1: one is slower by more than the limit, and again in the median of several pairs of new processes: where in
memory a process lies can cost it a quarter of its speed for as long as it lives.
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
from .timing import repeats_for

LIMIT = 1.15
"""How many times as much CPU time as before is still no loss: machines are noisy."""

ITEMS = ("radiograph-512", "radiograph-1024", "radiograph-turned", "radiograph-batch", "ct", "ct-turned", "tiles")
ROUNDS, MORE_PAIRS = 5, 7
"""How many turns two processes take, and how many pairs of them judge what seemed slower to the first."""

Ratios = dict[str, list[float]]
"""By item, the CPU time of these kernels over that of the earlier ones: of each pair of processes, or of each turn."""

Measure = Callable[[Sequence[str], int], Ratios]


def slower(ratios: Mapping[str, Sequence[float]], limit: float = LIMIT) -> list[str]:
    """Return the items whose median ratio is above the limit."""
    return [name for name, values in ratios.items() if values and statistics.median(values) > limit]


def decide(measure: Measure, items: Sequence[str], say: Callable[[str], None], limit: float = LIMIT) -> list[str]:
    """Measure once, and what seems slower again with more pairs of processes; return what is slower both times."""
    suspects: Sequence[str] = items
    for pairs in (1, MORE_PAIRS):
        ratios = measure(suspects, pairs)
        suspects = slower(ratios, limit)
        for name, values in ratios.items():
            median = statistics.median(values)
            say(f"{name:18} {median:.2f} times the CPU time of before{'  SLOWER' if name in suspects else ''}")
        if not suspects:
            break
        say(f"with {pairs} pair{'s' if pairs > 1 else ''} of processes: {', '.join(suspects)} slower")
    return list(suspects)


class Rival:
    """A process with one build of the kernels; what goes wrong in it is raised as `failure` says."""

    def __init__(self, extension: Path, failure: Callable[[str], Exception]) -> None:
        self._failure = failure
        command = [sys.executable, "-m", "medplug.bench.rival", str(extension)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self._answer()
        except BaseException:
            self.close()
            raise

    def seconds(self, item: str, calls: int = 1) -> float:
        """Return the CPU time of one of so many calls."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([item, calls]) + "\n")
        self._process.stdin.flush()
        return self._answer()["seconds"]

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=60)

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer: dict[str, float] = json.loads(line) if line else {}
        if not answer or "problem" in answer:
            raise self._failure(str(answer.get("problem", "the process ended")))
        return answer


def race(now: Path, before: Path, items: Sequence[str], pairs: int = 1) -> Ratios:
    """Run the items with as many pairs of processes. `NothingToCompare` if the earlier build cannot; ours must."""
    ratios: Ratios = {item: [] for item in items}
    for _ in range(pairs):
        for item, values in _pair(now, before, items).items():
            ratios[item].append(statistics.median(values))
    return ratios


def _pair(now: Path, before: Path, items: Sequence[str]) -> Ratios:
    """Run the items in turns with two builds, in two new processes; both make the same number of calls in a turn."""
    ratios: Ratios = {}
    rivals: list[Rival] = []
    try:
        rivals.append(Rival(now, lambda problem: CallError(f"the kernels as they are do not run: {problem}")))
        calls = {item: repeats_for(rivals[0].seconds(item)) for item in items}
        rivals.append(Rival(before, NothingToCompare))
        for item in items:  # all of them, as in the first process: what lies in its memory makes a difference
            rivals[1].seconds(item)
        for item in items:
            ratios[item] = []
            for n in range(ROUNDS):
                order = rivals if n % 2 == 0 else rivals[::-1]
                taken = {rival: rival.seconds(item, calls[item]) for rival in order}
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
            lost = decide(lambda items, pairs: race(extension or _installed(), before, items, pairs), ITEMS, click.echo)
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
