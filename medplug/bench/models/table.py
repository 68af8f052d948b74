"""A benchmark of models in words: the cells of its tables, and the page of all final runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .figures import lower_is_better
from .goals import CPU_MINUTES, GOALS, Goal, Judged, judge, verdict
from .report import Measured, Summary, margin_name

COLUMNS = ("figure", "mean", "95 % interval", "sd of seeds", "sd of folds")
GOAL_COLUMNS = ("goal", "wanted", "found", "95 % interval", "", "quick baseline")

_ABOVE = 1e-9  # to be equal is not to be better
_BEATEN = {"reached": "beaten", "missed": "NOT BEATEN", "not decided": "not decided", "not measured": "not measured"}


def heading(measured: Measured) -> str:
    """Name a run: the plugin, its variant, the data, and how they were measured."""
    seeds = f"{len(measured.seeds)} seed{'s' if len(measured.seeds) > 1 else ''}"
    how = "test rows" if measured.how == "final" else f"{measured.folds} folds of the train rows"
    variant = f" ({measured.variant})" if measured.variant else ""
    return f"{measured.plugin}{variant} on {measured.dataset}: {how}, {seeds}"


def describe(measured: Measured) -> list[str]:
    """Say in a few lines what the figures come from."""
    rows = ", ".join(f"{count} {name}" for name, count in measured.rows.items())
    over = "" if measured.folds < 2 else f" over {measured.folds} folds"
    refused = f", {measured.refused} answers refused" if measured.refused else ""
    place = measured.place
    start = measured.recipe.get("pretrained")
    return [
        f"rows: {rows}{over}, grouped by {measured.grouped_by}{refused}",
        f"recipe {measured.recipe_sha256[:12]}, data {measured.data_sha256[:12]}, medplug {measured.medplug}"
        + ("" if measured.commit is None else f" {measured.commit[:12]}{measured.commit[40:]}")
        + (f", from the pretrained weights {start[:12]}" if start else ""),
        f"{measured.cpu_minutes:.1f} CPU minutes, {measured.wall_minutes:.1f} on the clock: {place.cpu}, {place.cpus} "
        f"CPUs, {place.threads} threads, {place.device}",
    ]


def cells(one: Summary) -> tuple[str, ...]:
    """Return one figure's cells, in the order of `COLUMNS`."""
    return (one.figure, _number(one.value), interval(one), _number(one.sd_seeds), _number(one.sd_folds))


def columns(measured: Measured) -> tuple[str, ...]:
    """Return the heads of a run's table of figures."""
    return (*COLUMNS, *(baseline.name for baseline in measured.baselines))


def figure_rows(measured: Measured) -> list[tuple[str, ...]]:
    """Return a run's figures, and beside each what the baselines have."""
    return [
        (
            *cells(one),
            *(
                _number(next((other.value for other in baseline.figures if other.figure == one.figure), None))
                for baseline in measured.baselines
            ),
        )
        for one in measured.figures
    ]


def margin_columns(measured: Measured) -> tuple[str, ...]:
    """Return the heads of a run's table of differences to the baselines."""
    return ("above that of", *(baseline.name for baseline in measured.baselines))


def margin_rows(measured: Measured) -> list[tuple[str, ...]]:
    """Return by how much each figure lies above that of each baseline, and whether that one is beaten."""
    rows = []
    for figure in measured.figures:
        found = [measured.find(margin_name(figure.figure, baseline.name)) for baseline in measured.baselines]
        if any(found):
            lower = lower_is_better(figure.figure)
            rows.append((figure.figure, *(_margin(one, lower) for one in found)))
    return rows


def _margin(one: Summary | None, lower: bool) -> str:
    if one is None:
        return ""
    ends = "" if one.low is None or one.high is None else f" ({one.low:+.3f} to {one.high:+.3f})"
    return f"{one.value:+.3f}{ends} {_BEATEN[verdict(one, -_ABOVE if lower else _ABOVE, lower)]}"


def goal_rows(judged: Iterable[Judged]) -> list[tuple[str, ...]]:
    """Return what was wanted and what was found."""
    return [
        (
            one.goal.figure,
            f"{'at most' if one.goal.lower else 'at least'} {one.goal.value:g}",
            _number(None if one.found is None else one.found.value),
            "" if one.found is None or one.goal.figure == CPU_MINUTES else interval(one.found),
            one.verdict.upper() if one.verdict == "missed" else one.verdict,
            "" if one.goal.quick is None or one.beaten is None else f"{one.goal.quick:g}: {_BEATEN[one.beaten]}",
        )
        for one in judged
    ]


def side_by_side(measured: Sequence[Measured]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return heads and rows that set variants of a plugin beside each other: each mean, and what it differs by."""
    first = measured[0]
    heads = ("figure", *(one.variant or "as it is" for one in measured))
    rows = []
    for figure in first.figures:
        texts = [figure.figure, f"{_number(figure.value)}  {interval(figure)}"]
        for other in measured[1:]:
            found = other.find(figure.figure)
            change = next((one for one in other.differences if one.figure == figure.figure), None)
            said = "" if change is None else f"  ({change.value:+.4f}: {interval(change, sign=True)})"
            texts.append("" if found is None else f"{_number(found.value)}{said}")
        rows.append(tuple(texts))
    minutes = ("CPU minutes", *(f"{one.cpu_minutes:.1f}" for one in measured))
    return heads, [*rows, minutes]


def interval(one: Summary, sign: bool = False) -> str:
    """Say a figure's interval."""
    if one.low is None or one.high is None:
        return ""
    form = "+.4f" if sign else ".3f"
    return f"{one.low:{form}} to {one.high:{form}}"


def markdown(runs: Sequence[Measured], goals: Sequence[Goal] = GOALS) -> str:
    """Return the tables of all final runs, the newest of each data set and plugin with its goals."""
    if not runs:
        return "No final run has been logged.\n"
    parts = [_every(runs)]
    for run in newest(runs):
        parts.append(f"## {run.plugin} on {run.dataset}")
        parts.append("\n".join(f"- {line}" for line in describe(run)))
        parts.append(_table(columns(run), figure_rows(run)))
        if run.margins:
            parts.append(_table(margin_columns(run), margin_rows(run)))
        judged = judge(run, goals)
        if judged:
            parts.append(_table(GOAL_COLUMNS, goal_rows(judged)))
        parts.append(_seeds(run))
    return "\n\n".join(parts) + "\n"


def newest(runs: Sequence[Measured]) -> list[Measured]:
    """Return the last run of each data set and plugin."""
    return list({(run.dataset, run.plugin): run for run in runs}.values())


def _every(runs: Sequence[Measured]) -> str:
    heads = ("date", "data", "plugin", "recipe", "seeds", "main figure", "95 % interval", "CPU minutes", "")
    counts: dict[tuple[str, str], int] = {}
    rows = []
    for run in runs:
        key = (run.dataset, run.plugin)
        counts[key] = counts.get(key, 0) + 1
        main = main_figure(run)
        rows.append(
            (
                run.date[:10],
                run.dataset,
                run.plugin,
                run.recipe_sha256[:12],
                str(len(run.seeds)),
                "" if main is None else f"{main.figure} {main.value:.3f}",
                "" if main is None else interval(main),
                f"{run.cpu_minutes:.1f}",
                f"run {counts[key]} on these test rows" + (", the same recipe again" if run.again else ""),
            )
        )
    return _table(heads, rows)


def main_figure(run: Measured) -> Summary | None:
    """Return the figure by which a run is listed."""
    for name in ("macro AUC", "AUROC"):
        found = run.find(name)
        if found is not None:
            return found
    return run.figures[0] if run.figures else None


def _seeds(run: Measured) -> str:
    heads = ("figure", *(f"seed {seed}" for seed in run.seeds))
    rows = []
    for one in run.figures:
        by_seed = {each.seed: each for each in one.seeds}
        texts = []
        for seed in run.seeds:
            each = by_seed.get(seed)
            ends = "" if each is None or each.low is None or each.high is None else f" ({each.low:.3f}-{each.high:.3f})"
            texts.append("" if each is None else f"{each.value:.3f}{ends}")
        rows.append((one.figure, *texts))
    return _table(heads, rows)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", f"|{'|'.join('---' for _ in heads)}|"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if abs(value) < 100 else f"{value:.0f}"
