"""How operating points and predictive values are printed."""

from __future__ import annotations

from collections.abc import Sequence

from ..figures import Evaluation
from ..model_folder import Abstention, Threshold
from ..operating_figures import Rate
from .common import out, table


def print_operating(made: Evaluation) -> None:
    """Print what operating points promised and did, and the predictive values of those in force."""
    if made.drift:
        out.print()
        rows = table("operating point", "chosen for", "sensitivity promised", "here", "specificity promised", "here")
        for one in made.drift:
            rows.add_row(
                one.label + (" (in force)" if one.in_force else ""),
                one.how,
                _fraction(one.promised_sensitivity),
                _rate(one.sensitivity),
                _fraction(one.promised_specificity),
                _rate(one.specificity),
            )
        out.print(rows)
    if made.predictive:
        out.print()
        rows = table("predictive values", "prevalence", "positive", "negative")
        for value in made.predictive:
            at = f"{value.prevalence:.3g}" + (" (these rows)" if value.sample else "")
            rows.add_row(value.label, at, _rate(value.positive), _rate(value.negative))
        out.print(rows)


def print_points(
    points: Sequence[Threshold], in_force: Sequence[Threshold], abstention: Abstention | None = None
) -> None:
    """Print a card's operating points with their provenance, and where it abstains."""
    rows = table("threshold", "value", "sensitivity", "specificity", "chosen by", "on", "")
    for one in sorted(dict.fromkeys([*in_force, *points]), key=lambda point: point.label):
        rows.add_row(
            one.label,
            f"{one.value:.4g}",
            _rate(_with_interval(one.sensitivity, one.sensitivity_interval)),
            _rate(_with_interval(one.specificity, one.specificity_interval)),
            one.how,
            f"{one.rows} {one.split} rows",
            "in force" if one in in_force else "",
        )
    out.print(rows)
    if abstention is not None:
        out.print(describe_abstention(abstention))


def describe_abstention(abstention: Abstention) -> str:
    """Say in a line where a model abstains."""
    state = "in force" if abstention.in_force else "not in force"
    return (
        f"abstains below a confidence of {abstention.confidence:.4g}, which {100 * abstention.coverage:.3g} % of "
        f"{abstention.rows} {abstention.split} rows reached ({state})"
    )


def _with_interval(value: float | None, interval: tuple[float, float] | None) -> Rate | None:
    if value is None:
        return None
    low, high = interval if interval is not None else (None, None)
    return Rate(value=value, low=low, high=high)


def _fraction(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _rate(rate: Rate | None) -> str:
    if rate is None:
        return ""
    between = "" if rate.low is None or rate.high is None else f" ({rate.low:.3f} to {rate.high:.3f})"
    return f"{rate.value:.3f}{between}"
