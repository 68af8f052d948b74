"""The sections about operating points on evaluated rows: what they promised, and what a positive answer is worth."""

from __future__ import annotations

from ..figures import Evaluation
from ..operating_figures import Drift, Predictive, Rate
from .html_page import Section, fill, percent


def operating_sections(evaluation: Evaluation) -> tuple[Section, ...]:
    """Return the drift of the operating points and the predictive values; nothing where a model has no points."""
    made = []
    if evaluation.drift:
        lead = (
            f"What each threshold promised when it was chosen on validation rows, and what it did on these "
            f"{evaluation.split} rows, with 95 % intervals."
        )
        rows = [(one, (_promise(one, "sensitivity"), _promise(one, "specificity"))) for one in evaluation.drift]
        made.append(Section("Operating points", fill("drift.html", rows=rows), lead))
    if evaluation.predictive:
        lead = (
            "How often a positive, and how often a negative answer at the threshold in force is right: it depends on "
            "how many of those examined have the finding."
        )
        values = [
            (one, written(one.positive), written(one.negative), _prevalence(one)) for one in evaluation.predictive
        ]
        made.append(Section("Predictive values", fill("predictive.html", rows=values), lead))
    return tuple(made)


def written(rate: Rate | None) -> str:
    """Write a rate with its interval as percentages, which do not break; nothing where there is none."""
    if rate is None:
        return ""
    between = "" if rate.low is None or rate.high is None else f" ({100 * rate.low:.1f}\u2013{100 * rate.high:.1f})"
    return f"{100 * rate.value:.1f} %{between}"


def _promise(one: Drift, name: str) -> tuple[str, str, str, bool]:
    """(promised, observed, how many points more or less, whether the promise is broken)."""
    promise: float | None = getattr(one, f"promised_{name}")
    rate: Rate | None = getattr(one, name)
    apart = "" if promise is None or rate is None else f"{100 * (rate.value - promise):+.1f}"
    return ("" if promise is None else percent(promise), written(rate), apart, name in one.broken)


def _prevalence(one: Predictive) -> str:
    return f"{100 * one.prevalence:.3g} %" + (" (these rows)" if one.sample else "")
