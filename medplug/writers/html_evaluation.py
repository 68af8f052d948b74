"""The sections of an evaluation and of a training: figures with their intervals, curves, the worst errors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..case import Case
from ..figures import Curve, Evaluation, Figure, HistoryPoint
from ..model import Task
from .html_neighbours import neighbours_section
from .html_operating import operating_sections
from .html_page import Section, count, fill, number
from .html_plots import Axis, lines
from .html_trust import trust_sections
from .pictures import Shown, try_show

_UNIT = Axis(0.0, 1.0)
_WORST = 24
_WORST_SIDE = 320
_ABREAST = 6  # figures of a label beside each other: more do not fit the page
_OPEN = (
    "MAE",
    "RMSE",
    "log loss",
    "calibration slope",
    "calibration intercept",
)  # no fraction, even where it lies below 1

_CALIBRATION = (
    " Calibration slope below 1: the probabilities are too extreme; above 1: too timid. Calibration intercept above "
    "0: they are too low on the whole; below 0: too high. Their intervals are of standard errors by patient. ECE if "
    "calibrated: what chance alone makes of so many rows, in 95 % of draws; an ECE above that says that they are wrong."
)


def evaluation_sections(evaluation: Evaluation, cases: Iterable[Case] = ()) -> tuple[Section, ...]:
    """Return an evaluation's sections; `cases` bring the pictures of the worst errors, by the name of their source."""
    made = [_figures(evaluation), *operating_sections(evaluation), *trust_sections(evaluation, _line)]
    if evaluation.confusion:
        made.append(_confusion(evaluation))
    if evaluation.curves:
        made.append(_curves(evaluation))
    if evaluation.worst:
        made.append(_worst(evaluation, cases))
    if evaluation.neighbours:
        made.append(neighbours_section(evaluation, cases))
    return tuple(made)


def history_section(history: Sequence[HistoryPoint], best_step: int | None = None) -> Section:
    """Return the losses by step, each kind in a plot of its own, with the step whose weights were kept."""
    kinds: dict[str, dict[str, tuple[list[float], list[float]]]] = defaultdict(dict)
    for point in history:
        for name, value in point.losses.items():
            phase, _, kind = name.rpartition("/")
            xs, ys = kinds[kind].setdefault(phase or kind, ([], []))
            xs.append(float(point.step))
            ys.append(value)
    mark = (float(best_step), "kept") if best_step is not None else None
    plots = [lines(series, "step", kind, mark=mark, title=kind) for kind, series in kinds.items()]
    seconds = history[-1].seconds if history else 0.0
    lead = f"{count(history[-1].step)} steps in {_duration(seconds)}." if history else "No point was recorded."
    return Section("Training", fill("plots.html", plots=plots), lead)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


@dataclass(frozen=True)
class _Line:
    """A figure as the table shows it; `dot`, `low`, `high` are places from 0 to 1 on its strip, if it has one."""

    name: str
    value: str
    interval: str
    dot: float | None
    low: float | None
    high: float | None


def _line(figure: Figure) -> _Line:
    value, interval = _written(figure)
    low, high = figure.low, figure.high
    if low is None or high is None or figure.name in _OPEN or not 0 <= low <= figure.value <= high <= 1:
        return _Line(figure.name, value, interval, None, None, None)
    return _Line(figure.name, value, interval, figure.value, low, high)


def _written(figure: Figure) -> tuple[str, str]:
    """A figure and its interval in words: three decimals for fractions, so that columns line up."""
    ends = [end for end in (figure.value, figure.low, figure.high) if end is not None]
    form = "{:.3f}".format if all(abs(end) <= 1 for end in ends) else number
    between = f"{form(figure.low)} to {form(figure.high)}" if figure.low is not None and figure.high is not None else ""
    return form(figure.value), between


def _figures(evaluation: Evaluation) -> Section:
    overall = [_line(figure) for figure in evaluation.figures if figure.label is None]
    labels = list(dict.fromkeys(figure.label for figure in evaluation.figures if figure.label is not None))
    names = list(dict.fromkeys(figure.name for figure in evaluation.figures if figure.label is not None))
    cells = {(figure.label, figure.name): _line(figure) for figure in evaluation.figures if figure.label is not None}
    by = f"of whole patients ({evaluation.clustered_by})" if evaluation.clustered_by else "of rows"
    who = f" of {count(evaluation.patients)} patients" if evaluation.patients else ""
    refused = f", {count(evaluation.refused)} refused" if evaluation.refused else ""
    lead = f"{count(evaluation.rows)} rows{who} of the {evaluation.split} split{refused}."
    body = fill(
        "figures.html",
        overall=overall,
        by_label=[
            (
                some,
                [
                    (label, evaluation.counts.get(label), [cells.get((label, name)) for name in some])
                    for label in labels
                ],
            )
            for some in (names[at : at + _ABREAST] for at in range(0, len(names), _ABREAST))
        ],
        of="Features" if evaluation.task == Task.GENERATION else "Label",
        counted=any(label in evaluation.counts for label in labels),
        interval=f"95 % intervals from {count(evaluation.resamples)} bootstrap draws {by}.{_widths(evaluation)}"
        if evaluation.resamples
        else "",
        warnings=evaluation.warnings,
        notes=evaluation.notes,
        hashes=_hashes(evaluation),
    )
    return Section("Evaluation", body, lead)


def _hashes(evaluation: Evaluation) -> list[tuple[str, str]]:
    """What was measured on what: a report that is passed on still says which model it is of."""
    model = evaluation.model
    which = [] if model is None else [("Model", f"{model.name} {model.version} of {model.distribution}")]
    which += [] if model is None else [("Weights (SHA-256)", model.weights_sha256)]
    return [*which, ("Data (SHA-256)", evaluation.data_sha256), ("Plan", evaluation.plan_id)]


def _widths(evaluation: Evaluation) -> str:
    if evaluation.task in (Task.REGRESSION, Task.SEGMENTATION):
        return ""
    shares = " Those of shares reach at least as far as Wilson's"
    if evaluation.task == Task.GENERATION:
        return f"{shares}: all draws of a share of 0 or 1 are alike."
    return f"{shares}, since draws cannot show an error that no row has; areas of exactly 0 or 1 have Newcombe's." + (
        _CALIBRATION
        if any(figure.name.startswith(("calibration ", "ECE if ")) for figure in evaluation.figures)
        else ""
    )


def _confusion(evaluation: Evaluation) -> Section:
    rows = []
    for label, counts in zip(evaluation.labels, evaluation.confusion):
        total = sum(counts)
        cells = [(n, n / total if total else 0.0, round(9 * n / total) if total else 0) for n in counts]
        rows.append((label, total, cells))
    body = fill("confusion.html", labels=evaluation.labels, rows=rows)
    return Section("Confusion", body, "Each row is what was true; the columns are what the model answered.")


def _curves(evaluation: Evaluation) -> Section:
    plots = []
    for kind, x, y, title in (
        ("roc", "1 - specificity", "sensitivity", "Receiver operating characteristic"),
        ("calibration", "stated probability", "observed frequency", "Calibration"),
        ("coverage", "part of the rows, the most sure first", "accuracy", "Accuracy by coverage"),
    ):
        found = [curve for curve in evaluation.curves if curve.kind == kind]
        if found:
            series = {_name(curve, evaluation): (curve.x, curve.y) for curve in found}
            plot = (
                lines(series, x, y, x=_UNIT, title=title)
                if kind == "coverage"
                else lines(series, x, y, x=_UNIT, y=_UNIT, diagonal=True, dots=kind == "calibration", title=title)
            )
            plots.append(plot)
    return Section("Curves", fill("plots.html", plots=plots))


def _name(curve: Curve, evaluation: Evaluation) -> str:
    """The label, for a ROC with the area under it and its interval."""
    label = curve.label or ""
    if curve.kind != "roc":
        return label
    before = f"{label}: " if label else ""
    for figure in evaluation.figures:
        if figure.label == curve.label and any(word in figure.name.lower() for word in ("auc", "auroc")):
            value, between = _written(figure)
            return f"{before}area {value} ({between})" if between else f"{before}area {value}"
    return label


def _worst(evaluation: Evaluation, cases: Iterable[Case]) -> Section:
    worst = evaluation.worst[:_WORST]
    wanted = {scored.source for scored in worst}
    shown: Mapping[str, Shown | str] = {
        case.reference.source: try_show(case.image, _WORST_SIDE) for case in cases if case.reference.source in wanted
    }
    lead = "The rows where the model was most sure and wrong."
    return Section("Worst errors", fill("worst.html", rows=[(one, shown.get(one.source)) for one in worst]), lead)
