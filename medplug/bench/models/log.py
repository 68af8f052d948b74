"""The log of every final run: lines are added, never changed, so that nobody rolls the dice in silence."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

import medplug

from ...errors import CallError
from .report import Measured

BELOW_CHECKOUT = Path("docs", "benchmarks", "models.jsonl")


def default() -> Path | None:
    """Return where the project's own log lies, None where medplug does not run from a checkout."""
    checkout = Path(str(medplug.__file__)).parent.parent
    return checkout / BELOW_CHECKOUT if (checkout / "pyproject.toml").is_file() else None


def read(path: Path) -> tuple[Measured, ...]:
    """Return the runs of a log, the oldest first, none where there is no log; `CallError` for a damaged line."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return ()
    runs = []
    for number, line in enumerate(lines):
        try:
            if not line.endswith(b"\n"):
                raise ValueError("it has no end")
            runs.append(msgspec.json.decode(line, type=Measured))
        except (msgspec.DecodeError, ValueError) as error:
            raise CallError(f"{path}, line {number + 1}, is no final run ({error}): restore it") from None
    return tuple(runs)


def append(path: Path, run: Measured) -> None:
    """Add a run to a log, durably, as one line; `CallError` where the log is damaged."""
    read(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as stream:
        stream.write(msgspec.json.encode(run) + b"\n")
        os.fsync(stream.fileno())


def earlier(runs: Iterable[Measured], recipe_sha256: str, data_sha256: str, seeds: Sequence[int]) -> list[Measured]:
    """Return the runs of the same recipe on the same data with any of the same seeds."""
    return [
        run
        for run in runs
        if (run.recipe_sha256, run.data_sha256) == (recipe_sha256, data_sha256) and set(run.seeds) & set(seeds)
    ]


def refuse_repeated(path: Path, recipe_sha256: str, data_sha256: str, seeds: Sequence[int]) -> None:
    """Raise `CallError` where these test rows were scored with this recipe and these seeds before."""
    found = earlier(read(path), recipe_sha256, data_sha256, seeds)
    if found:
        last = found[-1]
        raise CallError(
            f"{last.plugin} with recipe {recipe_sha256[:12]} was scored on the test rows of {last.dataset} on "
            f"{last.date}: {path} has the figures. To measure the same once more, and have the log show both, "
            "say --again"
        )
