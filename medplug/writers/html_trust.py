"""The sections that say what an evaluation is worth: what trivial models reach, and the figures group by group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..figures import Evaluation, Figure, Probe
from .html_page import Section, fill

Cell = TypeVar("Cell")

_SEEN = {
    "border": "the border of the image alone",
    "grey statistics": "mean, deviation and percentiles of its greys",
    "pixels": "its pixels, small",
}


@dataclass(frozen=True)
class _Row(Generic[Cell]):
    """A line of a table of figures; `bad` where a warning is about it."""

    name: str
    rows: int | None
    people: int | None
    cells: Sequence[Cell | None]
    strong: bool = False
    bad: bool = False


def trust_sections(evaluation: Evaluation, line: Callable[[Figure], Cell]) -> tuple[Section, ...]:
    """Return the sections for probes and for subgroups, as far as there are any; `line` writes a figure."""
    made = []
    if evaluation.probes:
        made.append(_probes(evaluation, line))
    made += _subgroups(evaluation, line) if evaluation.subgroups else []
    return tuple(made)


def _probes(evaluation: Evaluation, line: Callable[[Figure], Cell]) -> Section:
    names = _names([figure for probe in evaluation.probes for figure in probe.figures])
    whole = [figure for figure in evaluation.figures if figure.label is None]
    if evaluation.task == "anomaly":  # the same area under the same curve
        whole = [_renamed(figure, "macro AUC") if figure.name == "AUROC" else figure for figure in whole]
    rows = [_Row("The model", None, None, _cells(names, whole, line), strong=True)]
    for probe in evaluation.probes:
        own = f"{evaluation.split} rows" if probe.split == evaluation.split else f"{probe.split} rows, in folds"
        rows.append(_Row(f"{_seen(probe)} ({own})", probe.rows, None, _cells(names, probe.figures, line)))
    body = fill(
        "compared.html",
        what="What it sees",
        of="Learned from",
        people=False,
        names=names,
        rows=rows,
        notes=(
            "Each is a linear model that learned from train rows. A network that is not above them was not needed; a "
            "label that the border gives away is learned from the border.",
        ),
    )
    return Section("What trivial models reach", body)


def _subgroups(evaluation: Evaluation, line: Callable[[Figure], Cell]) -> list[Section]:
    groups = evaluation.subgroups
    names = _names([figure for group in groups for figure in group.figures])
    told = {figure.name for group in groups for figure in group.figures}
    whole = [figure for figure in evaluation.figures if figure.name in told]
    people = any(group.patients is not None for group in groups)
    rows = [_Row("All rows", evaluation.rows, evaluation.patients, _cells(names, whole, line), strong=True)]
    for group in groups:
        bad = any(f"where {group.by} is {group.group}:" in warning for warning in evaluation.warnings)
        cells = _cells(names, group.figures, line)
        rows.append(_Row(f"{group.by}: {group.group}", group.rows, group.patients, cells, bad=bad))
    body = fill(
        "compared.html",
        what="Group",
        of="Rows",
        people=people,
        names=names,
        rows=rows,
        notes=(
            "Groups of fewer than ten rows have no figures. Of forty figures about one looks worse by chance alone.",
        ),
    )
    return [Section("Subgroups", body)]


def _seen(probe: Probe) -> str:
    return _SEEN.get(probe.kind, probe.kind).capitalize()


def _names(figures: Sequence[Figure]) -> list[str]:
    return list(dict.fromkeys(_name(figure) for figure in figures))


def _name(figure: Figure) -> str:
    return figure.name if figure.label is None else f"{figure.name} ({figure.label})"


def _cells(names: Sequence[str], figures: Sequence[Figure], line: Callable[[Figure], Cell]) -> list[Cell | None]:
    lines = {_name(figure): line(figure) for figure in figures}
    return [lines.get(name) for name in names]


def _renamed(figure: Figure, name: str) -> Figure:
    return Figure(name=name, value=figure.value, low=figure.low, high=figure.high)
