"""What a benchmark of models leaves behind, as data: the line of the log, and the file of `--json`."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

How = Literal["cross-validation", "final"]


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class SeedValue(_Part, frozen=True):
    """One seed's figure, with the 95 % interval over patients where there is one."""

    seed: int
    value: float
    low: float | None = None
    high: float | None = None


class Summary(_Part, frozen=True):
    """A figure over all seeds and folds: the mean of the seeds' means over their folds.

    The 95 % interval `covers` "patients and seeds", "patients" where there is one seed, or "seeds" where the figure is
    not made of rows (Student's t). `sd_seeds` and `sd_folds` are standard deviations, of the seeds' means and over the
    folds within a seed.
    """

    figure: str
    value: float
    low: float | None = None
    high: float | None = None
    covers: str = ""
    sd_seeds: float | None = None
    sd_folds: float | None = None
    seeds: tuple[SeedValue, ...] = ()


class Baseline(_Part, frozen=True):
    """What needs no learning worth the name, on the same rows."""

    name: str
    figures: tuple[Summary, ...]


class Place(_Part, frozen=True):
    """Where it ran."""

    cpu: str
    cpus: int
    system: str
    device: str
    threads: int
    torch: str


class Measured(_Part, frozen=True):
    """One plugin with one recipe on one data set.

    `rows` counts those that it learned from, was calibrated by and was measured on. `recipe` is what `recipe_sha256` is
    the hash of; `code_sha256` covers the Python code, committed or not. `margins` are a figure's differences to the
    same figure of each baseline, paired by patient; `differences` those to the first variant of the same call.
    `again` says that a final run of this recipe on these data had been logged before.
    """

    date: str
    how: How
    dataset: str
    data_sha256: str
    grouped_by: str
    rows: dict[str, int]
    plugin: str
    task: str
    settings: dict[str, str]
    variant: str
    recipe: dict[str, Any]
    recipe_sha256: str
    medplug: str
    commit: str | None
    code_sha256: str
    seeds: tuple[int, ...]
    folds: int
    refused: int
    cpu_minutes: float
    wall_minutes: float
    figures: tuple[Summary, ...]
    baselines: tuple[Baseline, ...]
    margins: tuple[Summary, ...]
    place: Place
    differences: tuple[Summary, ...] = ()
    notes: tuple[str, ...] = ()
    again: bool = False
    format: Literal[1] = 1

    def find(self, figure: str) -> Summary | None:
        """Return a figure or a margin by its name, None where it was not measured."""
        return next((one for one in (*self.figures, *self.margins) if one.figure == figure), None)


def margin_name(figure: str, baseline: str) -> str:
    """Return what the difference of a figure to that of a baseline is called."""
    return f"{figure} above {baseline}"


def to_json(measured: tuple[Measured, ...]) -> bytes:
    """Return all of it as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(measured), indent=2) + b"\n"
